"""`users`: who may sign in to a shared app, in a file of names, roles and salted password hashes.

The password is typed twice, comes in on stdin, or is generated and printed once; it is never an argument, which others
on the machine could read.
"""

from __future__ import annotations

import argparse
import getpass
import sys
from collections.abc import Sequence
from pathlib import Path

from pixart_ui.access import passwords
from pixart_ui.access.users import User, read_users, user, write_users
from pixart_ui.access.viewer import Role
from pixart_ui.errors import InputError
from pixart_ui.settings import Settings

FILE_NAME = "users.txt"


def add_parser(
    subparsers: argparse._SubParsersAction[argparse.ArgumentParser], parents: Sequence[argparse.ArgumentParser]
) -> None:
    parser = subparsers.add_parser(
        "users", parents=parents, help="who may sign in to a shared app", description=__doc__
    )
    verbs = parser.add_subparsers(title="verbs", metavar="VERB", required=True)
    add = verbs.add_parser("add", help="add somebody, or give them another password", parents=parents)
    add.add_argument("name", metavar="NAME")
    add.add_argument("--owner", action="store_true", help="may do everything (default: a member, who has their own)")
    add.add_argument("--generate", action="store_true", help="make a password and print it once")
    add.set_defaults(run=_add)
    listing = verbs.add_parser("list", help="list names and roles", parents=parents)
    listing.set_defaults(run=_list)
    remove = verbs.add_parser("remove", help="remove somebody, who is signed out at once", parents=parents)
    remove.add_argument("name", metavar="NAME")
    remove.set_defaults(run=_remove)
    for verb in (add, listing, remove):
        verb.add_argument("--auth-file", metavar="FILE", help=f"the file (default: {FILE_NAME} in the data folder)")


def _add(settings: Settings, args: argparse.Namespace) -> int:
    file = _file(settings, args)
    known = dict(read_users(file)) if file.exists() else {}
    password = passwords.generated() if args.generate else _typed(args.name)
    added = user(args.name, password, Role.OWNER if args.owner else Role.MEMBER)
    write_users(file, [*(one for one in known.values() if one.name != added.name), added])
    print(f"{added.name} may sign in as {added.role}, when the app is started with --auth-file {file}")
    if args.generate:
        print(f"password, shown only now: {password}")
    return 0


def _list(settings: Settings, args: argparse.Namespace) -> int:
    for one in read_users(_file(settings, args)).values():
        print(f"{one.name:<24} {one.role}")
    return 0


def _remove(settings: Settings, args: argparse.Namespace) -> int:
    file = _file(settings, args)
    known = read_users(file)
    if args.name not in known:
        raise InputError(f"User {args.name[:40]!r} is not in {file}: see `users list`.")
    left: list[User] = [one for one in known.values() if one.name != args.name]
    write_users(file, left)
    print(f"{args.name} may no longer sign in")
    return 0


def _file(settings: Settings, args: argparse.Namespace) -> Path:
    return Path(args.auth_file).expanduser().resolve() if args.auth_file else settings.data_dir / FILE_NAME


def _typed(name: str) -> str:
    """Typed twice at a terminal, else the first line of stdin. Raises InputError."""
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\r\n")
    first = getpass.getpass(f"Password of {name}: ")
    if getpass.getpass("Once more: ") != first:
        raise InputError("The two passwords differ: type them again.")
    return first
