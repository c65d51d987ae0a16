"""Who is asking: a name that owns jobs and pictures, and a role.

A request of the page carries its viewer in a context variable, which threads started for it inherit; outside of one
(the command line, a test) and without sign-in everybody is `local`, who may do everything.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from enum import StrEnum

LOCAL_OWNER = "local"


class Role(StrEnum):
    """An owner may do everything, a member has jobs and pictures of their own, a visitor as well, in tighter limits."""

    OWNER = "owner"
    MEMBER = "member"
    VISITOR = "visitor"


@dataclass(frozen=True)
class Viewer:
    """`name` is the owner of what they make."""

    name: str
    role: Role

    @property
    def is_owner(self) -> bool:
        return self.role is Role.OWNER

    @property
    def is_signed_in(self) -> bool:
        """Whether they gave a name and a password: nobody who works alone, and no visitor."""
        return self.name != LOCAL_OWNER and self.role is not Role.VISITOR

    @property
    def only(self) -> str | None:
        """The owner whose things they may see; None for everybody's."""
        return None if self.is_owner else self.name

    def may_see(self, owner: str) -> bool:
        return self.is_owner or owner == self.name


LOCAL = Viewer(LOCAL_OWNER, Role.OWNER)
_viewer: ContextVar[Viewer] = ContextVar("viewer", default=LOCAL)


def current() -> Viewer:
    """Whoever the present request is from."""
    return _viewer.get()


@contextmanager
def seen_by(viewer: Viewer) -> Iterator[None]:
    """Until the end of the block everything is asked by that viewer."""
    token = _viewer.set(viewer)
    try:
        yield
    finally:
        _viewer.reset(token)
