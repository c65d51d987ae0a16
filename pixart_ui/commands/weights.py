"""`models convert` and `models prune`, and what the other verbs of `models` say of converted weights.

The first picture converts as well; this does it ahead, and gives the room back.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pixart_ui.catalog import Component
from pixart_ui.commands.meter import Meter, human
from pixart_ui.engine.forms import WeightSource, form_of
from pixart_ui.engine.tensorfile import TensorEntry
from pixart_ui.engine.weights import StoredFile, WeightStore
from pixart_ui.errors import unknown_name
from pixart_ui.hub import Hub
from pixart_ui.request import Precision
from pixart_ui.services import catalog
from pixart_ui.settings import Settings

WEIGHTS: tuple[Component, ...] = ("text_encoder", "transformer", "vae")


def add_verbs(
    verbs: argparse._SubParsersAction[argparse.ArgumentParser], parents: Sequence[argparse.ArgumentParser]
) -> None:
    convert = verbs.add_parser(
        "convert",
        parents=parents,
        help="store a checkpoint's weights as a precision wants them, ahead of use",
    )
    convert.add_argument("name", metavar="CHECKPOINT", help="see `models list`, or a folder")
    convert.add_argument(
        "--precision", default=Precision.FP16.value, metavar="NAME", help="fp16 (default), bf16, int8, nf4 or fp4"
    )
    convert.add_argument("--device", help="what will compute with it, where it is quantized: auto, cpu, cuda or cuda:N")
    convert.add_argument("--json", action="store_true", help="print what there is now as JSON")
    convert.set_defaults(run=run_convert)

    prune = verbs.add_parser(
        "prune", parents=parents, help="remove converted weights that no listed checkpoint on this disk uses"
    )
    prune.add_argument("--all", action="store_true", help="remove all of them; they are made again when needed")
    prune.add_argument("--json", action="store_true", help="print the bytes as JSON")
    prune.set_defaults(run=run_prune)


@dataclass(frozen=True)
class Prepared:
    """One component's weights as they stand after `convert`."""

    component: Component
    form: str
    is_own: bool
    was_written: bool
    nbytes: int
    path: Path

    @classmethod
    def of(cls, source: WeightSource, form: str, entries: dict[str, TensorEntry], *, was_written: bool) -> Prepared:
        path = next(iter(entries.values())).path
        is_own = path.parent == source.folder
        nbytes = sum(file.stat().st_size for file in {entry.path for entry in entries.values()})
        return cls(source.component, form, is_own, was_written, nbytes, source.folder if is_own else path)

    def sentence(self) -> str:
        if self.is_own:
            return f"{self.component}: needs no converting, its own files are {self.form} ({human(self.nbytes)})."
        word = "converted to" if self.was_written else "was converted before to"
        return f"{self.component}: {word} {self.form}, {human(self.nbytes)}: {self.path}"

    def as_json(self) -> dict[str, Any]:
        state = "own" if self.is_own else "written" if self.was_written else "stored"
        value = {"component": self.component, "form": self.form, "state": state}
        return value | {"bytes": self.nbytes, "path": str(self.path)}


def run_convert(settings: Settings, args: argparse.Namespace) -> int:
    precision = _precision(args.precision)
    checkpoint = catalog().get(args.name)
    hub = Hub(settings.checkpoints_dir)
    located = hub.locate(checkpoint)
    hashes = hub.hashes(located)
    store = WeightStore(settings.weights_dir)
    prepared = [
        _prepare(store, WeightSource(component, located.folders[component], precision, hashes[component]), settings)
        for component in WEIGHTS
    ]
    if args.json:
        print(json.dumps([entry.as_json() for entry in prepared], indent=2))
        return 0
    if all(entry.is_own for entry in prepared):
        print(f"{checkpoint.title} ({checkpoint.name}) needs no converting for {precision}.")
        return 0
    for entry in prepared:
        print(entry.sentence())
    return 0


def run_prune(settings: Settings, args: argparse.Namespace) -> int:
    hub = Hub(settings.checkpoints_dir)
    keep: set[str] = set()
    if not args.all:
        for checkpoint in catalog():
            if hub.is_available(checkpoint):
                keep |= set(hub.hashes(hub.locate(checkpoint)).values())
    store = WeightStore(settings.weights_dir)
    freed = store.prune(keep, everything=args.all)
    left = sum(file.nbytes for file in store.files())
    if args.json:
        print(json.dumps({"freed_bytes": freed, "left_bytes": left}))
    else:
        print(_pruned(freed, left))
    return 0


def _pruned(freed: int, left: int) -> str:
    if freed:
        return f"{human(freed)} of converted weights removed, {human(left) if left else 'none'} left."
    if left:
        return f"Nothing to remove: {human(left)} of converted weights are of checkpoints on this disk."
    return "Nothing to remove: there are no converted weights."


def print_list(stored: Iterable[StoredFile]) -> None:
    """The part of `models list` that is about converted weights."""
    files = list(stored)
    if not files:
        return
    print(f"\nConverted weights in {files[0].path.parent}, {human(sum(file.nbytes for file in files))}:")
    for file in files:
        print(f"{file.component:<16}{file.form:<24}{human(file.nbytes):<12}{file.state}")


def as_json(stored: StoredFile) -> dict[str, Any]:
    return {
        "name": stored.path.name,
        "component": stored.component,
        "form": stored.form,
        "bytes": stored.nbytes,
        "state": stored.state,
    }


def verify(store: WeightStore) -> bool:
    """The part of `models verify` that is about converted weights: damaged ones are removed. Whether all was sound."""
    is_sound = True
    for stored, problem in store.verify():
        if problem is None:
            print(f"{stored.path.name}: sound, {human(stored.nbytes)} read.", flush=True)
            continue
        is_sound = False
        what = "It was removed and will be made again" if store.remove(stored.path) else "It will be made again"
        print(f"{stored.path.name}: {problem.message} {what} when it is needed.", flush=True)
    return is_sound


def _precision(name: str) -> Precision:
    if name not in {precision.value for precision in Precision}:
        raise unknown_name("precision", name, [precision.value for precision in Precision], "precision")
    return Precision(name)


def _prepare(store: WeightStore, source: WeightSource, settings: Settings) -> Prepared:
    """Convert one component where that is needed, telling how far it is."""
    from pixart_ui.engine.conversion import ensure_component  # imports torch
    from pixart_ui.engine.device import open_device

    _quiet_libraries()
    device = open_device(settings.device)
    device_type = device.torch_device.type
    was_there = store.find(source.key(device_type)) is not None
    meter = Meter(source.component, sys.stderr)
    try:
        entries = ensure_component(store, source, device, meter.show_bytes)
    finally:
        meter.end()
    form = form_of(source.component, source.precision, device_type)
    return Prepared.of(source, form, entries, was_written=not was_there)


def _quiet_libraries() -> None:
    """They advise on what is installed for computing, which is not what happens here."""
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
