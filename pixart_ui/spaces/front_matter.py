"""The YAML block at the head of README.md that makes the repository a Space, and what is wrong with it.

Offline and pure but for reading the file. Each finding is a sentence with its remedy. What may stand there is the
Hub's "Spaces configuration reference".
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]
from packaging.version import InvalidVersion, Version

README = "README.md"
# ZeroGPU's own lists, of its documentation in November 2026.
ZERO_GPU_PYTHONS = ("3.12.12", "3.10.13")
ZERO_GPU_TORCHES = ("2.8.0", "2.9.1", "2.10.0", "2.11.0")
MAX_SHORT_DESCRIPTION = 60
COLOURS = ("red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray")
HARDWARE = (
    "cpu-basic", "cpu-upgrade", "zero-a10g", "t4-small", "t4-medium", "l4x1", "l4x4", "l40sx1", "l40sx4", "l40sx8",
    "a10g-small", "a10g-large", "a10g-largex2", "a10g-largex4", "a100-large",
)  # fmt: skip
REQUIRED = ("title", "sdk", "sdk_version", "python_version", "app_file")
KNOWN = (
    *REQUIRED, "emoji", "colorFrom", "colorTo", "license", "suggested_hardware", "short_description", "models",
    "datasets", "tags", "pinned", "thumbnail", "header", "fullWidth", "preload_from_hub", "startup_duration_timeout",
    "custom_headers", "disable_embedding", "base_path", "hf_oauth", "hf_oauth_scopes", "hf_oauth_expiration_minutes",
)  # fmt: skip
_REPOSITORY = re.compile(r"[\w.-]{1,96}/[\w.-]{1,96}")
_PRELOADED = re.compile(r"[\w.-]+/[\w.-]+( [^\s,]+(,[^\s,]+)*( [0-9a-f]{40})?)?")


def read(root: Path) -> Mapping[str, Any] | None:
    """What stands there; None where README.md has no such block, or one that is no YAML mapping."""
    try:
        text = (root / README).read_text(encoding="utf-8")
    except OSError:
        return None
    lines = text.splitlines()
    if not lines or lines[0] != "---" or "---" not in lines[1:]:
        return None
    try:
        found = yaml.safe_load("\n".join(lines[1 : lines.index("---", 1)]))
    except yaml.YAMLError:
        return None
    return found if isinstance(found, dict) else None


def problems(found: Mapping[str, Any] | None, root: Path) -> Iterator[str]:
    """What would keep the Space from building or running."""
    if found is None:
        yield f"{README} has no front matter, the Hub builds nothing without: begin it with YAML between ---."
        return
    for name in REQUIRED:
        if name not in found:
            yield f"{name} is missing in the front matter of {README}: add it."
    if found.get("sdk", "gradio") != "gradio":
        yield f"sdk is {found['sdk']!r}, this app is for Gradio: write sdk: gradio."
    yield from _version_problems(found)
    app_file = found.get("app_file", "app.py")
    if not (root / str(app_file)).is_file():
        yield f"app_file {app_file!r} does not exist: name the file that starts the app, app.py."
    for name in ("colorFrom", "colorTo"):
        if found.get(name, COLOURS[0]) not in COLOURS:
            yield f"{name} {found[name]!r} is not one of the Hub's colours: choose one of {', '.join(COLOURS)}."
    description = str(found.get("short_description", ""))
    if len(description) > MAX_SHORT_DESCRIPTION:
        yield (
            f"short_description has {len(description)} characters, the Hub takes {MAX_SHORT_DESCRIPTION}: shorten it."
        )
    yield from _list_problems(found)


def advice(found: Mapping[str, Any] | None) -> Iterator[str]:
    """What is worth a look and stops nothing."""
    for name in found or {}:
        if name not in KNOWN:
            yield f"{name} in the front matter is unknown to the Hub, which leaves it aside: check its spelling."
    hardware = (found or {}).get("suggested_hardware", HARDWARE[0])
    if hardware not in HARDWARE:
        yield f"suggested_hardware {hardware!r} is none that is known here: choose one of {', '.join(HARDWARE)}."


def is_version(text: str) -> bool:
    try:
        Version(text)
    except InvalidVersion:
        return False
    return True


def _version_problems(found: Mapping[str, Any]) -> Iterator[str]:
    python = found.get("python_version")
    if python is not None and not isinstance(python, str):
        yield f'python_version {python!r} is a number, and 3.10 would be read as 3.1: put it in quotes, "3.12".'
    elif python is not None and not any(f"{listed}.".startswith(f"{python}.") for listed in ZERO_GPU_PYTHONS):
        listed = " or ".join(ZERO_GPU_PYTHONS)
        yield f'python_version {python} is not on ZeroGPU, which has {listed}: write "3.12".'
    elif python is not None and Version(python) < Version("3.11"):
        yield f'python_version {python} is older than this app needs, 3.11: write "3.12".'
    if not is_version(str(found.get("sdk_version", "0"))):
        yield f"sdk_version {found['sdk_version']!r} is not a version of Gradio: write one, such as 6.31.0."


def _list_problems(found: Mapping[str, Any]) -> Iterator[str]:
    for name in ("models", "datasets"):
        for entry in found.get(name) or []:
            if not isinstance(entry, str) or _REPOSITORY.fullmatch(entry) is None:
                yield f"{entry!r} in {name} is not a repository of the Hub: write owner/name."
    for entry in found.get("preload_from_hub") or []:
        if not isinstance(entry, str) or _PRELOADED.fullmatch(entry) is None:
            yield f"{entry!r} in preload_from_hub cannot be read: write owner/name, then files with commas between."
