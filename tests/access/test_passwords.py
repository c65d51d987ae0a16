"""Passwords and their hashes."""

from __future__ import annotations

import pytest

from pixart_ui.access.passwords import generated, hashed, matches


def test_a_hash_is_of_its_password_alone() -> None:
    kept = hashed("correct horse")
    assert matches("correct horse", kept)
    assert not matches("correct horse ", kept)
    assert "correct" not in kept


def test_the_same_password_has_another_hash_each_time() -> None:
    assert hashed("correct horse") != hashed("correct horse")


@pytest.mark.parametrize("kept", ["", "scrypt", "plain$1$1$1$aa$bb", "scrypt$a$8$1$aa$bb", "scrypt$16384$8$1$?$?"])
def test_a_damaged_hash_is_of_no_password(kept: str) -> None:
    assert not matches("", kept)
    assert not matches("x", kept)


def test_an_endless_password_is_not_even_hashed() -> None:
    assert not matches("x" * 1_000_000, hashed("x" * 8))


def test_generated_ones_differ_and_have_80_bits() -> None:
    made = {generated() for _ in range(100)}
    assert len(made) == 100
    assert all(len(password) == 19 and len(set(password)) > 4 for password in made)
