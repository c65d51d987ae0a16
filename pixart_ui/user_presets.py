"""Presets and styles that people keep: a JSON file a person in the data folder, changed by rename alone.

What must stay true: nobody changes what another keeps, or reads it unless it is shared; every change is made under a
lock, so that two pages at once lose nothing; a file that was damaged is put aside, not overwritten. Names of own styles
are none of the app's.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from pixart_ui.errors import DiskFullError, InputError, PixArtError
from pixart_ui.preset_file import MAX_PRESETS, MAX_STYLES, Preset, Shelf, checked_name, dump, parse, preset_of, style_of
from pixart_ui.presets import Style
from pixart_ui.shared_presets import SharedPreset, is_anothers, own_name, read_names, write_names

LOCK_SECONDS = 5.0


@dataclass(frozen=True)
class Imported:
    """What came in, under the names that it has here."""

    presets: tuple[str, ...]
    styles: tuple[str, ...]
    num_known: int


class UserPresets:
    """All shelves. `taken` are the names of the app's own styles. Nothing is read or made at construction."""

    def __init__(self, folder: Path, taken: Callable[[], Sequence[str]]) -> None:
        self._folder = folder
        self._taken = taken
        self._read: dict[Path, tuple[tuple[int, int], Shelf]] = {}

    def shelf(self, owner: str) -> Shelf:
        """What that person keeps; empty where the file cannot be read."""
        path = self._path(owner)
        try:
            stat = path.stat()
            stamp = (stat.st_mtime_ns, stat.st_size)
            known = self._read.get(path)
            if known is not None and known[0] == stamp:
                return known[1]
            found = _parse_kept(path.read_bytes())
        except (OSError, InputError):
            return Shelf()
        self._read[path] = (stamp, found)
        return found

    def save(self, owner: str, name: object, settings: dict[str, Any]) -> Preset:
        """Keep settings under a name; one that has it already is replaced. Raises InputError."""
        preset = preset_of(name, settings)
        with self._change(owner) as shelf:
            kept = _put(shelf[0].presets, preset)
            _check_count(len(kept), MAX_PRESETS, "presets")
            shelf[0] = replace(shelf[0], presets=kept)
        return preset

    def rename(self, owner: str, name: str, new: object) -> str:
        """Raises InputError where there is none, or the new name is another's."""
        text = checked_name(new, "preset")
        with self._change(owner) as shelf:
            preset = shelf[0].preset(name)
            if text != name and text in (other.name for other in shelf[0].presets):
                raise InputError(f"There is a preset {text!r} already: choose another name, or delete that one.")
            renamed = replace(preset, name=text)
            if name in self.shared_names(owner):
                self._keep_shared(owner, self.shared_names(owner) - {name} | {text})
            shelf[0] = replace(
                shelf[0], presets=tuple(renamed if other is preset else other for other in shelf[0].presets)
            )
        return text

    def delete(self, owner: str, name: str) -> None:
        """Raises InputError where there is none."""
        with self._change(owner) as shelf:
            preset = shelf[0].preset(name)
            if name in self.shared_names(owner):  # else a later one of this name would be shown to all
                self._keep_shared(owner, self.shared_names(owner) - {name})
            shelf[0] = replace(shelf[0], presets=tuple(other for other in shelf[0].presets if other is not preset))

    def share(self, owner: str, name: str, *, is_shared: bool) -> None:
        """Let everybody see and use it, with the own style that it names, or no longer. Raises InputError."""
        with self._change(owner) as shelf:
            kept = {shelf[0].preset(name).name}
            known = self.shared_names(owner)
            self._keep_shared(owner, known | kept if is_shared else known - kept)

    def shared_names(self, owner: str) -> frozenset[str]:
        """Those of that person's that everybody sees."""
        return frozenset(read_names(self._folder).get(owner, ()))

    def shared(self) -> tuple[SharedPreset, ...]:
        """Everybody's that all may see, as they are now; without a folder of this machine as their checkpoint."""
        return tuple(
            SharedPreset(owner, _portable(preset), _style_of(preset, shelf))
            for owner, names in read_names(self._folder).items()
            for shelf in (self.shelf(owner),)
            for preset in shelf.presets
            if preset.name in names
        )

    def shared_with(self, person: str) -> tuple[SharedPreset, ...]:
        """Others' that this person may see."""
        return tuple(entry for entry in self.shared() if entry.owner != person)

    def find(self, person: str, key: str) -> Preset:
        """One of that person's own by its name, or another's by its key. Raises InputError."""
        if not is_anothers(key):
            return self.shelf(person).preset(key)
        found = next((entry.preset for entry in self.shared_with(person) if entry.key == key), None)
        if found is None:
            raise InputError(f"The preset {own_name(key)[:60]!r} is shown to you no longer: choose another one.")
        return found

    def styles(self, person: str) -> tuple[Style, ...]:
        """That person's own, then those of presets that others share; of two with one name it is the own."""
        own = self.shelf(person).styles
        names = {style.name for style in own}
        others = {entry.style.name: entry.style for entry in self.shared_with(person) if entry.style is not None}
        return (*own, *(style for name, style in others.items() if name not in names))

    def save_style(self, owner: str, name: object, prompt: object, negative_prompt: object) -> Style:
        """Keep a style; an own one that has the name already is replaced. Raises InputError."""
        style = style_of(name, prompt, negative_prompt)
        if style.name in self._taken():
            raise InputError(f"{style.name!r} is one of the app's own styles: choose another name.")
        with self._change(owner) as shelf:
            kept = _put(shelf[0].styles, style)
            _check_count(len(kept), MAX_STYLES, "styles")
            shelf[0] = replace(shelf[0], styles=kept)
        return style

    def delete_style(self, owner: str, name: str) -> None:
        """Raises InputError where there is none. Presets that name it say so when they are used."""
        with self._change(owner) as shelf:
            style = shelf[0].style(name)
            shelf[0] = replace(shelf[0], styles=tuple(other for other in shelf[0].styles if other is not style))

    def export(self, owner: str, name: str | None = None) -> bytes:
        """A file of one preset and the own style that it names, or of everything. Raises InputError.

        The name may be the key of one that another shares. A checkpoint that is a folder of this machine is left out:
        it is nobody else's, and names a person.
        """
        shelf = self.shelf(owner)
        presets = shelf.presets if name is None else (self.find(owner, name),)
        wanted = {preset.settings.get("style") for preset in presets}
        styles = shelf.styles if name is None else tuple(one for one in self.styles(owner) if one.name in wanted)
        if not presets and not styles:
            raise InputError("Nothing is kept yet, so there is nothing to share: save a preset first.")
        return dump(Shelf(tuple(map(_portable, presets)), styles))

    def take_in(self, owner: str, content: bytes) -> Imported:
        """Add what a file holds; what is here already is not doubled, another of the same name gets a new one.

        Raises InputError, and then nothing is added.
        """
        found = parse(content)
        with self._change(owner) as shelf:
            styles, style_names, num_known = _merge(shelf[0].styles, found.styles, self._taken())
            moved = {old.name: new for old, new in zip(found.styles, style_names, strict=True)}
            incoming = tuple(_with_style(preset, moved) for preset in found.presets)
            presets, preset_names, num_known_presets = _merge(shelf[0].presets, incoming, ())
            _check_count(len(presets), MAX_PRESETS, "presets")
            _check_count(len(styles), MAX_STYLES, "styles")
            shelf[0] = Shelf(presets, styles)
        return Imported(tuple(preset_names), tuple(style_names), num_known + num_known_presets)

    def _keep_shared(self, owner: str, names: frozenset[str] | set[str]) -> None:
        """Under the lock."""
        write_names(self._folder, {**read_names(self._folder), owner: tuple(sorted(names))})

    @contextmanager
    def _change(self, owner: str) -> Iterator[list[Shelf]]:
        """What is kept now, in a list of one; what stands there afterwards is written. Raises InputError."""
        path = self._path(owner)
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with FileLock(self._folder / "lock", timeout=LOCK_SECONDS):
                holder = [self._kept(path)]
                yield holder
                aside = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
                try:
                    aside.write_bytes(dump(holder[0]))
                    aside.replace(path)
                finally:
                    aside.unlink(missing_ok=True)
        except Timeout:
            raise InputError("The presets are being written by another page: try again in a moment.") from None
        except OSError as error:
            raise DiskFullError(
                f"The presets cannot be written into {self._folder} ({error.strerror}): check its room and permissions."
            ) from None

    def _kept(self, path: Path) -> Shelf:
        if not path.exists():
            return Shelf()
        try:
            return _parse_kept(path.read_bytes())
        except PixArtError:
            path.replace(path.with_suffix(f".damaged-{int(time.time())}"))
            return Shelf()

    def _path(self, owner: str) -> Path:
        return self._folder / f"{hashlib.sha256(owner.encode()).hexdigest()[:32]}.json"


def _parse_kept(content: bytes) -> Shelf:
    """A file of ours; one that holds nothing any more is as good as any."""
    return Shelf() if content == dump(Shelf()) else parse(content)


def _put(entries: tuple[Any, ...], new: Any) -> tuple[Any, ...]:
    """In its place where the name is there already, else at the end."""
    if all(entry.name != new.name for entry in entries):
        return (*entries, new)
    return tuple(new if entry.name == new.name else entry for entry in entries)


def _merge(
    here: tuple[Any, ...], incoming: Sequence[Any], taken: Sequence[str]
) -> tuple[tuple[Any, ...], list[str], int]:
    """All of both, the names that the incoming ones have now, and how many of them were here already."""
    merged, names, num_known = list(here), [], 0
    for entry in incoming:
        if entry in merged:
            num_known += 1
        else:
            used = {other.name for other in merged} | set(taken)
            name = entry.name if entry.name not in used else _free_name(entry.name, used)
            entry = _renamed(entry, name)
            merged.append(entry)
        names.append(entry.name)
    return tuple(merged), names, num_known


def _free_name(name: str, used: set[str]) -> str:
    return next(other for number in range(2, 10_000) if (other := f"{name[:52]} ({number})") not in used)


def _renamed(entry: Preset | Style, name: str) -> Preset | Style:
    return entry.model_copy(update={"name": name}) if isinstance(entry, Style) else replace(entry, name=name)


def _style_of(preset: Preset, shelf: Shelf) -> Style | None:
    """The own style that it names."""
    return next((style for style in shelf.styles if style.name == preset.settings.get("style")), None)


def _with_style(preset: Preset, moved: dict[str, str]) -> Preset:
    style = preset.settings.get("style")
    if style is None or moved.get(style, style) == style:
        return preset
    return replace(preset, settings={**preset.settings, "style": moved[style]})


def _portable(preset: Preset) -> Preset:
    checkpoint = str(preset.settings.get("checkpoint", ""))
    if not ("/" in checkpoint or "\\" in checkpoint or checkpoint.startswith(".")):
        return preset
    return replace(preset, settings={key: value for key, value in preset.settings.items() if key != "checkpoint"})


def _check_count(count: int, most: int, what: str) -> None:
    if count > most:
        raise InputError(f"That would be {count} {what}, at most {most} are kept: delete some first.")
