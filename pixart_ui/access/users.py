"""Who may sign in: names, roles and password hashes, from a file, from flags, or generated for one start.

The file has a line `name:role:hash` for each user, is readable by its owner alone and changed by renaming. It is read
again when it changes, so that a user who was removed is out at once.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pixart_ui.access import passwords
from pixart_ui.access.viewer import LOCAL_OWNER, Role, Viewer
from pixart_ui.errors import InputError

MIN_PASSWORD_CHARS = 8
MAX_FILE_BYTES = 1024**2
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@-]{0,39}", re.ASCII)
# Names that others go by: who works without signing in, and whoever visits a Space.
TAKEN = re.compile(rf"{LOCAL_OWNER}|visitor-.*|nobody", re.IGNORECASE)
_ROLES = {str(Role.OWNER): Role.OWNER, str(Role.MEMBER): Role.MEMBER}


@dataclass(frozen=True)
class User:
    """`password` is the hash."""

    name: str
    role: Role
    password: str

    @property
    def viewer(self) -> Viewer:
        return Viewer(self.name, self.role)

    def line(self) -> str:
        return f"{self.name}:{self.role}:{self.password}"


@dataclass(frozen=True)
class Credential:
    """A name, and its password as it is typed: held only until it is hashed or printed."""

    name: str
    password: str
    role: Role


class Users:
    """Those of the file, if there is one, and those that were given. Safe to use from several threads."""

    def __init__(self, given: Iterable[User] = (), file: Path | None = None) -> None:
        self._given = {user.name: user for user in given}
        self._file = file
        self._stamp: tuple[int, int, int] | None = None
        self._read: Mapping[str, User] = {}

    def get(self, name: str) -> User | None:
        return self.all().get(name)

    def all(self) -> Mapping[str, User]:
        """By name. A file that cannot be read any more lets nobody of it in."""
        if self._file is not None:
            try:
                stat = self._file.stat()
                stamp = (stat.st_ino, stat.st_mtime_ns, stat.st_size)
                if stamp != self._stamp:
                    self._read, self._stamp = read_users(self._file), stamp
            except (OSError, InputError):
                self._read, self._stamp = {}, None
        return {**self._read, **self._given}


def user(name: str, password: str, role: Role) -> User:
    """Raises InputError for a name or a password that cannot be."""
    if NAME.fullmatch(name) is None or TAKEN.fullmatch(name):
        raise InputError(
            f"User {name[:40]!r} cannot be, a name has 1 to 40 letters, digits, dots, dashes, @ or underscores and is "
            f"not {LOCAL_OWNER!r}: try ada."
        )
    if not MIN_PASSWORD_CHARS <= len(password) <= passwords.MAX_PASSWORD_CHARS:
        raise InputError(
            f"The password of {name!r} has {len(password)} characters, it must have from {MIN_PASSWORD_CHARS} to "
            f"{passwords.MAX_PASSWORD_CHARS:,}: choose another one."
        )
    return User(name, role, passwords.hashed(password))


def given_users(flags: Sequence[str], *, has_owner: bool) -> tuple[User, ...]:
    """From `--auth user:password`: the first is the owner unless there is one, the others are members.

    Raises InputError.
    """
    found: dict[str, User] = {}
    for flag in flags:
        name, colon, password = flag.partition(":")
        if not colon:
            raise InputError("--auth has no password, it is written user:password: for example ada:correct-horse.")
        role = Role.MEMBER if has_owner or found else Role.OWNER
        if name in found:
            raise InputError(f"User {name!r} is given twice by --auth: leave one out.")
        found[name] = user(name, password, role)
    return tuple(found.values())


def generated_credentials() -> tuple[Credential, ...]:
    """An owner and a member with passwords for this start."""
    return tuple(
        Credential(name, passwords.generated(), role) for name, role in (("owner", Role.OWNER), ("guest", Role.MEMBER))
    )


def read_users(file: Path) -> Mapping[str, User]:
    """Raises InputError where it cannot be read or a line is none of ours."""
    try:
        if file.stat().st_size > MAX_FILE_BYTES:
            raise InputError(f"{file} is too large for a file of users: choose the one that `users add` wrote.")
        lines = file.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        raise InputError(f"There is no file of users {file}: make it with `python -m pixart_ui users add`.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"The file of users {file} cannot be read ({error}): correct its permissions.") from None
    found: dict[str, User] = {}
    for number, line in enumerate(lines, start=1):
        if line.strip() and not line.startswith("#"):
            one = _user_of(line, file, number)
            found[one.name] = one
    return found


def write_users(file: Path, users: Iterable[User]) -> None:
    """Replace the file; nobody else may read it. Raises InputError."""
    text = "# Users of PixArt UI: name:role:hash. Made by `python -m pixart_ui users`.\n"
    text += "".join(f"{user.line()}\n" for user in users)
    aside = file.with_name(f".{file.name}.{os.getpid()}.part")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            stream.write(text)
        aside.replace(file)
    except OSError as error:
        raise InputError(f"The file of users {file} cannot be written ({error.strerror}): choose another.") from None


def _user_of(line: str, file: Path, number: int) -> User:
    name, _, rest = line.strip().partition(":")
    role, _, password = rest.partition(":")
    if (
        NAME.fullmatch(name) is None
        or TAKEN.fullmatch(name)
        or role not in _ROLES
        or not password.startswith("scrypt$")
    ):
        raise InputError(
            f"Line {number} of {file} is not name:role:hash: write it with `python -m pixart_ui users add`."
        )
    return User(name, _ROLES[role], password)
