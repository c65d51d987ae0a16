"""Who is asking: a name that owns jobs and pictures, and a role.

A request of the page carries its viewer in a context variable, which the server's threads for it inherit. Where none is
at hand (the command line, a worker, a test) it is `local` who asks, who may do everything; but nobody, who may do
nothing, in a process that serves others: there code that lost its request must not act as the owner.
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


@dataclass
class Default:
    """Who asks where no request is at hand: of a process, so that a new thread has it too."""

    viewer: Viewer


LOCAL = Viewer(LOCAL_OWNER, Role.OWNER)
NOBODY = Viewer("nobody", Role.VISITOR)
DEFAULT = Default(LOCAL)
_viewer: ContextVar[Viewer | None] = ContextVar("viewer", default=None)


def current() -> Viewer:
    """Whoever the present request is from."""
    viewer = _viewer.get()
    return viewer if viewer is not None else DEFAULT.viewer


def serve_others() -> None:
    """From now on nobody asks where no request is at hand. Before a page is put together that others reach."""
    DEFAULT.viewer = NOBODY


@contextmanager
def seen_by(viewer: Viewer) -> Iterator[None]:
    """Until the end of the block everything is asked by that viewer."""
    token = _viewer.set(viewer)
    try:
        yield
    finally:
        _viewer.reset(token)
