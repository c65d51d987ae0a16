"""A picture as the gallery's index holds it, and what a look into the gallery is narrowed to. Values only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Picture:
    """One row of the index; everything else that is known stands in the file itself.

    `job` made it, and may have been cleared from the list since. Times are seconds since 1970; `deleted_at` is set
    while it lies in the trash. `style` is empty for none. Sizes in pixels.
    """

    id: int
    name: str
    owner: str
    job: int | None
    prompt: str
    checkpoint: str
    precision: str
    style: str
    width: int
    height: int
    made_at: float
    is_starred: bool = False
    deleted_at: float | None = None


@dataclass(frozen=True)
class PictureFilter:
    """What is shown: None is everything. Each word of `text` must stand in the prompt, in capitals or not.

    From the moment `since` on and before `until`. `style` empty means pictures without one.
    """

    text: str | None = None
    checkpoint: str | None = None
    precision: str | None = None
    style: str | None = None
    since: float | None = None
    until: float | None = None
    is_starred: bool = False
    is_deleted: bool = False
    owner: str | None = None


@dataclass(frozen=True)
class PicturePage:
    """Some of the pictures that match, newest first; `total` is how many match."""

    pictures: tuple[Picture, ...]
    total: int


@dataclass(frozen=True)
class Choices:
    """What there is to choose from, with how many pictures each has; `total`, `starred` and `deleted` are counts."""

    checkpoints: Mapping[str, int] = field(default_factory=dict)
    precisions: Mapping[str, int] = field(default_factory=dict)
    styles: Mapping[str, int] = field(default_factory=dict)
    total: int = 0
    starred: int = 0
    deleted: int = 0
