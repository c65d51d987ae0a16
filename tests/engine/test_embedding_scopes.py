"""Embeddings of people who sign in are kept apart: nobody learns by its speed what somebody else asked for."""

from __future__ import annotations

from dataclasses import replace

from pixart_ui.engine.embeddings import EmbeddingKey
from pixart_ui.request import Numerics, Precision

KEY = EmbeddingKey("a red circle", "x", Precision.FP16, Numerics.FAST, "float32", "cpu", 120, True, ("1",))


def test_a_scope_is_part_of_the_key() -> None:
    assert replace(KEY, scope="bob").as_json() != replace(KEY, scope="eve").as_json() != KEY.as_json()


def test_without_one_the_key_is_as_it_was() -> None:
    assert "scope" not in KEY.as_json()
