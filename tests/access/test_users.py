"""Who may sign in: the file, the flags, and the names that cannot be."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from pixart_ui.access.users import Users, generated_credentials, given_users, read_users, user, write_users
from pixart_ui.access.viewer import Role
from pixart_ui.errors import InputError


def test_a_file_keeps_names_roles_and_no_password(tmp_path: Path) -> None:
    file = tmp_path / "users.txt"
    write_users(file, [user("ada", "correct horse", Role.OWNER), user("bob", "battery staple", Role.MEMBER)])
    assert {one.name: one.role for one in read_users(file).values()} == {"ada": Role.OWNER, "bob": Role.MEMBER}
    assert "horse" not in file.read_text()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_whoever_is_removed_from_the_file_is_out_at_once(tmp_path: Path) -> None:
    file = tmp_path / "users.txt"
    ada, bob = user("ada", "correct horse", Role.OWNER), user("bob", "battery staple", Role.MEMBER)
    write_users(file, [ada, bob])
    users = Users((), file)
    assert users.get("bob") == bob
    write_users(file, [ada])
    assert users.get("bob") is None
    file.unlink()
    assert users.get("ada") is None


def test_the_first_of_the_flags_is_the_owner() -> None:
    first, second = given_users(["ada:correct:horse", "bob:battery staple"], has_owner=False)
    assert (first.role, second.role) == (Role.OWNER, Role.MEMBER)
    (third,) = given_users(["eve:correct horse"], has_owner=True)
    assert third.role is Role.MEMBER


@pytest.mark.parametrize(
    "flag", ["ada", "ada:short", ":long enough", "local:long enough", "Visitor-1:long enough", "a b:long enough"]
)
def test_credentials_that_cannot_be_are_refused(flag: str) -> None:
    with pytest.raises(InputError):
        given_users([flag], has_owner=False)


def test_a_line_that_is_none_is_named(tmp_path: Path) -> None:
    file = tmp_path / "users.txt"
    file.write_text("# a comment\n\nada:root:scrypt$x\n")
    with pytest.raises(InputError, match="Line 3"):
        read_users(file)


def test_credentials_are_made_for_an_owner_and_a_guest() -> None:
    assert [one.role for one in generated_credentials()] == [Role.OWNER, Role.MEMBER]
