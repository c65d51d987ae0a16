"""The gallery: every picture in the data folder, found again after any restart, and a trash to take them back from.

The files in `images/` are the truth, with what made them inside; the journal's index makes them quick to find. Pictures
that no job of this journal made (another folder's, older ones, those of cleared jobs) are taken up when they are seen.
What must stay true: a picture is in `images/` or in `trash/` at every moment, whatever is killed between two steps,
and only one that was deleted long ago, or for good by a person, is ever removed.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import re
import shutil
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from pixart_ui.errors import InputError
from pixart_ui.gallery import images
from pixart_ui.gallery.index import Found
from pixart_ui.gallery.picture import Picture
from pixart_ui.jobs.journal import Journal
from pixart_ui.request import ResolvedRequest
from pixart_ui.settings import Settings

TRASH_DAYS = 30
DAY_SECONDS = 86400.0
# Looking at what is new may take so long at a time; the rest is looked at the next time somebody asks.
SCAN_SECONDS = 0.4
PURGE_EVERY_SECONDS = 3600.0
LARGE = "large"
# Ours begin with the day on which they were ordered.
_DAY = re.compile(r"(\d{8})-\d+-\d+\.png")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}\.png")
log = logging.getLogger(__name__)


class Gallery:
    """Pictures on the disk and in the index. Safe to use from several threads.

    Every verb takes `owner`: whose pictures it may touch, None for everybody's. Others are as if they did not exist.
    """

    def __init__(self, settings: Settings, journal: Journal) -> None:
        self._settings = settings
        self._journal = journal
        self._lock = threading.Lock()
        self._scanned: object = None
        self._num_unfinished = 0
        self._purged_at = -PURGE_EVERY_SECONDS
        # Files that are no pictures of ours, as they were when they were looked at.
        self._foreign: dict[Path, int] = {}

    def mark(self) -> str:
        """Another text whenever a file may have come or gone; two looks at the disk."""
        return f"{self._folders()}{self._num_unfinished}"

    def refresh(self) -> None:
        """Bring the index up to what the disk says, as far as `SCAN_SECONDS` allow; newest first."""
        if self._scanned == self.mark() or not self._lock.acquire(blocking=False):
            return
        try:
            folders = self._folders()
            if self._scan():
                self._num_unfinished += 1
                self._scanned = None
            else:
                self._scanned = f"{folders}{self._num_unfinished}"
            self._purge_old()
        finally:
            self._lock.release()

    def find(self, picture_id: int, *, owner: str | None = None) -> Picture:
        """To look at. Raises InputError where there is no such picture, or it is another owner's and not shared."""
        found = self._journal.pictures([picture_id], owner=owner, or_shared=True)
        if not found:
            raise unknown_picture()
        return found[0]

    def path(self, picture: Picture) -> Path | None:
        """Its file, wherever it is now."""
        places = (self._settings.images_dir / picture.name, self._settings.trash_dir / picture.name)
        return next((path for path in places if path.is_file()), None)

    def request(self, picture: Picture) -> ResolvedRequest:
        """What it was made from. Raises InputError where the file is gone or damaged."""
        return ResolvedRequest.parse(self.facts(picture)["request"])

    def facts(self, picture: Picture) -> Mapping[str, Any]:
        """Everything that it carries. Raises InputError where the file is gone or damaged."""
        path = self.path(picture)
        if path is None:
            raise unknown_picture()
        return images.read_facts(path)

    def thumbnail_path(self, name: str) -> Path:
        """Where the gallery's thumbnail of that picture is, once somebody has looked at it."""
        return self._settings.thumbnails_dir / LARGE / f"{Path(name).stem}.webp"

    def star(self, ids: Sequence[int], is_starred: bool = True, *, owner: str | None = None) -> tuple[Picture, ...]:
        """Mark pictures as worth keeping, or no longer. Raises InputError where none of them is there."""
        found = self._some(ids, owner, is_deleted=False)
        self._journal.star_pictures([picture.id for picture in found], is_starred)
        return found

    def delete(self, ids: Sequence[int], *, owner: str | None = None) -> tuple[Picture, ...]:
        """Move pictures to the trash. Raises InputError where none of them is there."""
        with self._lock:
            found = self._some(ids, owner, is_deleted=False)
            moved = self._move(found, self._settings.images_dir, self._settings.trash_dir)
            self._journal.place_pictures(deleted=[picture.id for picture in moved])
        return moved

    def restore(self, ids: Sequence[int], *, owner: str | None = None) -> tuple[Picture, ...]:
        """Bring pictures back from the trash. Raises InputError where none of them is there any more."""
        with self._lock:
            found = self._some(ids, owner, is_deleted=True)
            moved = self._move(found, self._settings.trash_dir, self._settings.images_dir)
            self._journal.place_pictures(here=[picture.id for picture in moved])
        return moved

    def purge(self, ids: Sequence[int], *, owner: str | None = None) -> tuple[Picture, ...]:
        """Remove pictures in the trash for good. Raises InputError where none of them is there."""
        with self._lock:
            found = self._some(ids, owner, is_deleted=True)
            self._remove(found)
        return found

    def _some(self, ids: Sequence[int], owner: str | None, *, is_deleted: bool) -> tuple[Picture, ...]:
        found = self._journal.pictures(ids, owner=owner)
        fitting = tuple(picture for picture in found if (picture.deleted_at is not None) == is_deleted)
        if not fitting:
            raise unknown_picture()
        return fitting

    def _move(self, pictures: Sequence[Picture], source: Path, target: Path) -> tuple[Picture, ...]:
        """Those that were moved: one whose file is gone meanwhile is left out. Raises InputError, having undone all."""
        target.mkdir(parents=True, exist_ok=True)
        moved: list[Picture] = []
        try:
            moved.extend(each for each in pictures if _move_file(source / each.name, target / each.name))
        except OSError as error:
            for picture in moved:
                _move_file(target / picture.name, source / picture.name)
            raise InputError(
                f"{picture.name} cannot be moved to {target} ({error.strerror}): make room there or correct its "
                "permissions; nothing was changed."
            ) from None
        if not moved:
            raise unknown_picture()
        return tuple(moved)

    def _remove(self, pictures: Sequence[Picture]) -> None:
        for picture in pictures:
            (self._settings.trash_dir / picture.name).unlink(missing_ok=True)
            self.thumbnail_path(picture.name).unlink(missing_ok=True)
            self._settings.thumbnail_path(picture.name).unlink(missing_ok=True)
        self._journal.forget_pictures([picture.id for picture in pictures])

    def _purge_old(self) -> None:
        if time.monotonic() - self._purged_at < PURGE_EVERY_SECONDS:
            return
        self._purged_at = time.monotonic()
        old = self._journal.deleted_before(time.time() - TRASH_DAYS * DAY_SECONDS)
        if old:
            self._remove(old)
            log.info("%d pictures removed that were deleted more than %d days ago", len(old), TRASH_DAYS)

    # What is on the disk

    def _folders(self) -> tuple[int, int]:
        return _changed_ns(self._settings.images_dir), _changed_ns(self._settings.trash_dir)

    def _scan(self) -> bool:
        """Whether there is more to look at than there was time for."""
        # The rows first: a job's file is there before its row is.
        seen = self._journal.seen_pictures()
        here, deleted = _names(self._settings.images_dir), _names(self._settings.trash_dir)
        deleted -= here
        found = here | deleted
        back = [row.id for name, row in seen.items() if name in here and (row.is_deleted or row.is_gone)]
        away = [row.id for name, row in seen.items() if name in deleted and (row.is_gone or not row.is_deleted)]
        gone = [row.id for name, row in seen.items() if name not in found and not row.is_gone]
        if back or away or gone:
            self._journal.place_pictures(here=back, deleted=away, gone=gone)
        end = time.monotonic() + SCAN_SECONDS
        for names, folder, are_deleted in (
            (here, self._settings.images_dir, False),
            (deleted, self._settings.trash_dir, True),
        ):
            unknown = [folder / name for name in sorted(names - seen.keys(), reverse=True)]
            is_more = self._take_up(unknown, end, are_deleted=are_deleted)
            if is_more:
                return True
        return False

    def _take_up(self, paths: Sequence[Path], end: float, *, are_deleted: bool) -> bool:
        found: list[Found] = []
        is_more = False
        for path in paths:
            if time.monotonic() > end:
                is_more = True
                break
            if (picture := self._look_at(path)) is not None:
                found.append(picture)
        if found:
            self._journal.add_pictures(found, are_deleted=are_deleted)
        return is_more

    def _look_at(self, path: Path) -> Found | None:
        """None for a file that is no picture of ours; it is not looked at again until it changes."""
        with contextlib.suppress(OSError):
            changed_ns = path.stat().st_mtime_ns
            if self._foreign.get(path) == changed_ns:
                return None
            try:
                facts = images.read_facts(path)
                request = ResolvedRequest.parse(facts["request"])
            except InputError:
                self._foreign[path] = changed_ns
                return None
            job = facts.get("job")
            return Found(path.name, request, job if isinstance(job, int) else None, _made_at(path.name, changed_ns))
        return None


def unknown_picture() -> InputError:
    return InputError("That picture is unknown, it may have been removed: choose another one.")


def _move_file(source: Path, target: Path) -> bool:
    """False where there is no such file. Never onto another file, and never half of it, on another disk either."""
    if not source.is_file():
        return False
    if target.exists():
        raise FileExistsError(errno.EEXIST, "another picture has its name there")
    try:
        source.rename(target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        aside = target.with_name(f".{target.name}.{os.getpid()}.part")
        shutil.copy2(source, aside)
        aside.rename(target)
        source.unlink()
    return True


def _names(folder: Path) -> set[str]:
    return set(_entries(folder))


def _entries(folder: Path) -> Iterator[str]:
    with contextlib.suppress(FileNotFoundError), os.scandir(folder) as entries:
        for entry in entries:
            if _NAME.fullmatch(entry.name) is not None and entry.is_file(follow_symlinks=False):
                yield entry.name


def _changed_ns(folder: Path) -> int:
    try:
        return folder.stat().st_mtime_ns
    except FileNotFoundError:
        return 0


def _made_at(name: str, changed_ns: int) -> float:
    """When the file was written; a copy that forgot it has the noon of the day in its name."""
    written = changed_ns / 1e9
    match = _DAY.fullmatch(name)
    if match is None or f"{datetime.fromtimestamp(written).astimezone():%Y%m%d}" == match[1]:
        return written
    try:
        return datetime.strptime(f"{match[1]} 12", "%Y%m%d %H").astimezone().timestamp()
    except ValueError:
        return written
