"""How the app is opened, from its settings: for this machine alone, for people who sign in, or as a Space.

What must stay true: whatever can be reached from another machine has sign-in, a Space excepted, where everybody who
comes is a visitor in tight limits.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pixart_ui.access.gate import Door, Mode
from pixart_ui.access.hosts import LOOPBACK, Hosts, is_address, is_loopback
from pixart_ui.access.sharing import Sharing
from pixart_ui.access.store import Store
from pixart_ui.access.users import Credential, Users, generated_credentials, given_users, read_users, user
from pixart_ui.access.viewer import Role
from pixart_ui.settings import Settings
from pixart_ui.spaces.kind import frame_ancestors, is_space, space_hosts

# Addresses that mean every address of the machine: nobody asks under them.
UNSPECIFIED = ("0.0.0.0", "::")


@dataclass(frozen=True)
class Opening:
    """`credentials` were made for this start and are to be printed, once. `frames` may show the page in a frame."""

    door: Door
    hosts: Hosts
    credentials: tuple[Credential, ...] = ()
    frames: tuple[str, ...] = ()


def mode_of(settings: Settings, sharing: Sharing, environ: Mapping[str, str]) -> Mode:
    if sharing.auth or sharing.auth_file is not None:
        return Mode.SHARED
    if is_space(environ):
        return Mode.SPACE
    return Mode.SHARED if sharing.share or not is_loopback(settings.host) else Mode.LOCAL


def open_door(settings: Settings, sharing: Sharing, environ: Mapping[str, str]) -> Opening:
    """Raises InputError for credentials that cannot be, JournalError."""
    mode = mode_of(settings, sharing, environ)
    bound = (settings.host,) if is_address(settings.host) and settings.host not in UNSPECIFIED else ()
    hosts = Hosts((*LOOPBACK, *bound, *sharing.allowed_hosts, *space_hosts(environ)), has_addresses=mode is Mode.SPACE)
    if mode is not Mode.SHARED:
        return Opening(Door(mode, settings.port), hosts, frames=frame_ancestors(environ))
    made: tuple[Credential, ...] = ()
    if not sharing.auth and sharing.auth_file is None:
        made = generated_credentials()
        users = Users([user(one.name, one.password, one.role) for one in made])
    else:
        kept = read_users(sharing.auth_file) if sharing.auth_file is not None else {}
        has_owner = any(one.role is Role.OWNER for one in kept.values())
        users = Users(given_users(sharing.auth, has_owner=has_owner), sharing.auth_file)
    door = Door(mode, settings.port, users, Store(settings.journal_path))
    return Opening(door, hosts, made, frame_ancestors(environ))
