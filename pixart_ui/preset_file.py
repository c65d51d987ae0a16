"""The file that presets and styles are kept and shared in: JSON, checked whole, each error one sentence.

    {"format": 1, "presets": [{"name": "Posters", "settings": {"steps": 30}}],
     "styles": [{"name": "Ink", "prompt": "ink drawing of {prompt}", "negative_prompt": "colour"}]}

Settings are those of a `GenerationRequest`, checked by it; a prompt may be left out. Knows no disk and no owner.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from pixart_ui.byte_size import show_bytes
from pixart_ui.errors import InputError, unknown_name
from pixart_ui.presets import PLACEHOLDER, Style
from pixart_ui.request import GenerationRequest

FORMAT = 1
MAX_FILE_BYTES = 1_000_000
MAX_PRESETS, MAX_STYLES = 200, 200
MAX_NAME_CHARS, MAX_STYLE_CHARS = 60, 2_000
# Beyond what any settings of ours need, and far below what a parser minds.
MAX_DEPTH = 8
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


@dataclass(frozen=True)
class Preset:
    """A name and what it sets; what is left out stays to the checkpoint's defaults. No prompt: the form's stays."""

    name: str
    settings: Mapping[str, Any]

    @property
    def has_prompt(self) -> bool:
        return bool(self.settings.get("prompt"))

    def request(self, prompt: str) -> GenerationRequest:
        """What it asks for, with that prompt where it has none of its own. Raises InputError."""
        return GenerationRequest.parse({"prompt": prompt, **self.settings})


Entry = TypeVar("Entry", Preset, Style)


@dataclass(frozen=True)
class Shelf:
    """What one person keeps, or one file holds; names are unique in each."""

    presets: tuple[Preset, ...] = ()
    styles: tuple[Style, ...] = ()

    def preset(self, name: str) -> Preset:
        """Raises InputError."""
        return _named("preset", name, self.presets)

    def style(self, name: str) -> Style:
        """Raises InputError."""
        return _named("style", name, self.styles)


def preset_of(name: object, settings: Mapping[str, Any]) -> Preset:
    """Check both; settings that are None are as good as left out. Raises InputError."""
    known = {key: value for key, value in settings.items() if value is not None and (key, value) != ("prompt", "")}
    request = GenerationRequest.parse({"prompt": "any", **known})
    return Preset(checked_name(name, "preset"), request.model_dump(mode="json", include=set(known)))


def style_of(name: object, prompt: object, negative_prompt: object = "") -> Style:
    """A style of a person's own. Raises InputError."""
    text, negative = _text(prompt, "prompt"), _text(negative_prompt, "negative prompt")
    if text.count(PLACEHOLDER) != 1:
        found = "not at all" if PLACEHOLDER not in text else f"{text.count(PLACEHOLDER)} times"
        raise InputError(
            f"A style's prompt must contain {PLACEHOLDER} once, where the person's words go, and this has it {found}: "
            f"write for example “ink drawing of {PLACEHOLDER}, thin lines”."
        )
    if PLACEHOLDER in negative:
        raise InputError(
            f"A style's negative prompt contains {PLACEHOLDER}, which stands for nothing there: remove it."
        )
    return Style(name=checked_name(name, "style"), prompt=text, negative_prompt=negative.strip(" ,"))


def checked_name(name: object, kind: str) -> str:
    """With single spaces. Raises InputError."""
    if not isinstance(name, str):
        raise InputError(f"The name of a {kind} is {_shown(name)}, it must be text: give it a name.")
    text = " ".join(name.split())
    if not text:
        raise InputError(f"The {kind} has no name: give it one, for example “Posters”.")
    if len(text) > MAX_NAME_CHARS:
        raise InputError(
            f"The name {_shown(text)} has {len(text)} characters, at most {MAX_NAME_CHARS} are allowed: shorten it."
        )
    if (control := _CONTROL.search(text)) is not None:
        raise InputError(f"The name {_shown(text)} contains U+{ord(control[0]):04X}, which cannot be seen: remove it.")
    return text


def parse(content: bytes) -> Shelf:
    """Read a file. Raises InputError: what is wrong, where, and what to do."""
    if len(content) > MAX_FILE_BYTES:
        raise InputError(
            f"The file has {show_bytes(len(content))}, at most {show_bytes(MAX_FILE_BYTES)} of presets are read: "
            "choose a smaller one."
        )
    value = _json(content)
    if not isinstance(value, dict):
        raise InputError('This is not a file of presets, it holds no JSON object: choose one with "presets" in it.')
    _check_keys(value, ("format", "presets", "styles"), "the file")
    if value.get("format", FORMAT) != FORMAT:
        raise InputError(
            f"The file's format is {_shown(value['format'])}, {FORMAT} is read: save it anew with this app."
        )
    presets = tuple(_preset(entry, number) for number, entry in enumerate(_list(value, "presets", MAX_PRESETS), 1))
    styles = tuple(_style(entry, number) for number, entry in enumerate(_list(value, "styles", MAX_STYLES), 1))
    if not presets and not styles:
        raise InputError("The file holds neither presets nor styles: choose another.")
    _check_unique("preset", presets)
    _check_unique("style", styles)
    return Shelf(presets, styles)


def dump(shelf: Shelf) -> bytes:
    """As `parse` reads it."""
    value = {
        "format": FORMAT,
        "presets": [{"name": preset.name, "settings": dict(preset.settings)} for preset in shelf.presets],
        "styles": [
            {"name": style.name, "prompt": style.prompt, "negative_prompt": style.negative_prompt}
            for style in shelf.styles
        ],
    }
    return (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode()


def _json(content: bytes) -> Any:
    try:
        value = json.loads(content.decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise InputError("The file is not UTF-8 text: choose a JSON file of presets.") from None
    except json.JSONDecodeError as error:
        raise InputError(
            f"The file is not JSON, line {error.lineno} column {error.colno} cannot be read: correct it there."
        ) from None
    except (RecursionError, ValueError):
        raise InputError("The file is not JSON that can be read: choose a file of presets.") from None
    if _depth(value) > MAX_DEPTH:
        raise InputError("The file is nested deeper than presets are: choose a file of presets.")
    return value


def _depth(value: Any) -> int:
    """How deep lists and objects lie in each other, without recursion."""
    level, layer = 0, [value]
    while layer and level <= MAX_DEPTH:
        level += 1
        inner = [part.values() if isinstance(part, dict) else part for part in layer if isinstance(part, dict | list)]
        layer = [entry for part in inner for entry in part]
    return level


def _list(value: Mapping[str, Any], key: str, most: int) -> list[Any]:
    entries = value.get(key, [])
    if not isinstance(entries, list):
        raise InputError(f'"{key}" is {_shown(entries)}, it must be a list: put it in square brackets.')
    if len(entries) > most:
        raise InputError(f"The file holds {len(entries):,} {key}, at most {most} are kept: split it.")
    return entries


def _preset(entry: Any, number: int) -> Preset:
    where = f"preset {number}"
    _check_object(entry, ("name", "settings"), where)
    settings = entry.get("settings", {})
    if not isinstance(settings, dict):
        raise InputError(
            f"The settings of {where} are {_shown(settings)}: write them as an object of names and values."
        )
    _check_keys(settings, tuple(GenerationRequest.model_fields), f"the settings of {where}")
    return _placed(where, lambda: preset_of(entry.get("name"), settings))


def _style(entry: Any, number: int) -> Style:
    where = f"style {number}"
    _check_object(entry, ("name", "prompt", "negative_prompt"), where)
    return _placed(where, lambda: style_of(entry.get("name"), entry.get("prompt"), entry.get("negative_prompt", "")))


def _placed(where: str, work: Callable[[], Entry]) -> Entry:
    try:
        return work()
    except InputError as error:
        raise InputError(f"In {where}: {error.message}") from None


def _check_object(entry: Any, keys: Sequence[str], where: str) -> None:
    if not isinstance(entry, dict):
        raise InputError(
            f"The {where} of the file is {_shown(entry)}: write it as an object with {' and '.join(keys)}."
        )
    _check_keys(entry, keys, where)


def _check_keys(value: Mapping[str, Any], known: Sequence[str], where: str) -> None:
    """An unknown key is named, with the nearest that there is."""
    for key in value:
        if key not in known:
            error = unknown_name("key", str(key), known)
            raise InputError(f"In {where}: {error.message}")


def _check_unique(kind: str, entries: Iterable[Preset | Style]) -> None:
    seen = set()
    for entry in entries:
        if entry.name in seen:
            raise InputError(f"The file has two {kind}s named {entry.name!r}: rename one of them.")
        seen.add(entry.name)


def _text(value: object, what: str) -> str:
    if value is None:
        value = ""
    if not isinstance(value, str):
        raise InputError(f"A style's {what} is {_shown(value)}, it must be text: put it in quotes.")
    if len(value) > MAX_STYLE_CHARS:
        raise InputError(
            f"A style's {what} has {len(value):,} characters, at most {MAX_STYLE_CHARS:,} are read: shorten it."
        )
    text = " ".join(value.split())
    if (control := _CONTROL.search(text)) is not None:
        raise InputError(f"A style's {what} contains U+{ord(control[0]):04X}, which cannot be seen: remove it.")
    return text


def _named(kind: str, name: str, entries: Sequence[Entry]) -> Entry:
    found = next((entry for entry in entries if entry.name == name), None)
    if found is not None:
        return found
    if not entries:
        raise InputError(f"Unknown {kind} {_shown(name)}: none is kept yet.")
    raise unknown_name(kind, name, [entry.name for entry in entries])


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "…"
