"""What must be the same on every machine that draws for one app, so that its pictures are: versions, code, weights.

No torch: versions are read from what is installed. A picture depends only on its resolved request, the device and the
versions; so a machine where they differ may not join.
"""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import pixart_ui
from pixart_ui import __version__
from pixart_ui.catalog import Catalog
from pixart_ui.errors import CheckpointError
from pixart_ui.hub import Hub

PACKAGES = ("ray", "torch", "diffusers", "transformers", "bitsandbytes", "numpy")
# What has a say in a picture, or is sent from one machine to another.
DRAWING = ("engine", "cluster", "hub", "tiny")
VALUES = ("request.py", "events.py", "catalog.py", "bins.py")


@dataclass(frozen=True)
class Manifest:
    """`checkpoints` are those on the machine's disk: by name, the revisions or the content of their parts."""

    versions: Mapping[str, str]
    code: str
    checkpoints: Mapping[str, Mapping[str, str]]

    @classmethod
    def of(cls, catalog: Catalog, hub: Hub) -> Manifest:
        """Of this machine."""
        versions = {"pixart-ui": __version__, "python": ".".join(platform.python_version_tuple()[:2])}
        return cls(versions | {name: _version(name) for name in PACKAGES}, code_hash(), _checkpoints(catalog, hub))

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def parse(cls, value: Mapping[str, Any]) -> Manifest:
        """Raises KeyError for another version's."""
        return cls(value["versions"], value["code"], value["checkpoints"])


def differences(wanted: Manifest, found: Manifest) -> Sequence[str]:
    """What keeps a machine from joining, each in a few words; a checkpoint that it lacks does not."""
    problems = [
        f"{name} is {found.versions.get(name, 'absent')} there and {value} here"
        for name, value in wanted.versions.items()
        if found.versions.get(name) != value
    ]
    if not problems and wanted.code != found.code:
        problems.append("the app's own code differs")
    both = sorted(set(wanted.checkpoints) & set(found.checkpoints))
    changed = [name for name in both if dict(wanted.checkpoints[name]) != dict(found.checkpoints[name])]
    return [*problems, *(f"checkpoint {name} is of another revision" for name in changed)]


def code_hash() -> str:
    """Of the source files that run on a node or pass between the two; the page may be another version's."""
    root, digest = Path(pixart_ui.__file__).resolve().parent, hashlib.sha256()
    folders = [path for name in DRAWING for path in (root / name).rglob("*.py")]
    for path in sorted([*folders, *(root / name for name in VALUES)]):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(root).as_posix()}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()


def _version(package: str) -> str:
    try:
        return version(package).partition("+")[0]  # +cpu and +cu… are builds of one version
    except PackageNotFoundError:
        return "absent"


def _checkpoints(catalog: Catalog, hub: Hub) -> dict[str, Mapping[str, str]]:
    found: dict[str, Mapping[str, str]] = {}
    for checkpoint in catalog:
        try:
            located = hub.locate(checkpoint)
        except CheckpointError:
            continue
        found[checkpoint.name] = located.revisions if located.revisions else hub.hashes(located)
    return found
