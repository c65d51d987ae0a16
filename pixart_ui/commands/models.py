"""`models`: which checkpoints there are, fetching and converting them ahead, and checking that their bytes are right.

Nothing but `models download` goes to the network. Progress goes to stderr, results to stdout.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from pixart_ui.catalog import Checkpoint
from pixart_ui.commands import weights
from pixart_ui.commands.meter import Meter, human
from pixart_ui.engine.weights import WeightStore
from pixart_ui.errors import CheckpointError
from pixart_ui.hub import Hub
from pixart_ui.hub.places import command
from pixart_ui.services import catalog
from pixart_ui.settings import Settings


def add_parser(
    subparsers: argparse._SubParsersAction[argparse.ArgumentParser], parents: Sequence[argparse.ArgumentParser]
) -> None:
    parser = subparsers.add_parser(
        "models", parents=parents, help="list, download and verify checkpoints", description=__doc__
    )
    verbs = parser.add_subparsers(title="verbs", metavar="VERB", required=True)

    listing = verbs.add_parser("list", parents=parents, help="which checkpoints there are, and which are on this disk")
    listing.add_argument("--json", action="store_true", help="print JSON")
    listing.set_defaults(run=run_list)

    download = verbs.add_parser("download", parents=parents, help="fetch a checkpoint, or what it lacks")
    download.add_argument("name", metavar="NAME", help="see `models list`")
    download.add_argument(
        "--allow-pickle",
        action="store_true",
        help="fetch pickled .bin weights too, where there are no others; they are read with weights_only=True",
    )
    download.add_argument("--json", action="store_true", help="print where it is as JSON")
    download.set_defaults(run=run_download)

    verify = verbs.add_parser("verify", parents=parents, help="read every byte and compare it with what was fetched")
    verify.add_argument(
        "name",
        nargs="?",
        metavar="NAME",
        help="only this one (default: all on this disk, and converted weights)",
    )
    verify.set_defaults(run=run_verify)

    weights.add_verbs(verbs, parents)


@dataclass(frozen=True)
class Standing:
    """One checkpoint as a person would want it told. `problem` is set if it was fetched once and does not work now."""

    name: str
    title: str
    is_on_disk: bool
    bytes_on_disk: int
    needs: str
    note: str
    command: str | None
    problem: str | None

    @classmethod
    def of(cls, checkpoint: Checkpoint, hub: Hub) -> Standing:
        size, problem = 0, None
        is_on_disk = True
        try:
            size = hub.bytes_on_disk(hub.locate(checkpoint))
        except CheckpointError as error:
            is_on_disk = False
            problem = error.message if hub.was_fetched(checkpoint) else None
        return cls(
            name=checkpoint.name,
            title=checkpoint.title,
            is_on_disk=is_on_disk,
            bytes_on_disk=size,
            needs=checkpoint.needs,
            note=checkpoint.note,
            command=None if checkpoint.is_local else command(checkpoint),
            problem=problem,
        )

    @property
    def place(self) -> str:
        """Where it stands, in three words."""
        if self.is_on_disk:
            return f"on disk, {human(self.bytes_on_disk)}"
        return "damaged" if self.problem is not None else "not on disk"


def run_list(settings: Settings, args: argparse.Namespace) -> int:
    hub = Hub(settings.checkpoints_dir)
    standings = [Standing.of(checkpoint, hub) for checkpoint in catalog()]
    stored = WeightStore(settings.weights_dir).files()
    if args.json:
        value = {
            "checkpoints": [asdict(standing) for standing in standings],
            "weights": [weights.as_json(file) for file in stored],
        }
        print(json.dumps(value, indent=2, ensure_ascii=False))
        return 0
    for standing in standings:
        print(f"{standing.name:<16}{standing.place:<20}{standing.title}. {standing.note}")
        if standing.problem is not None:
            print(f"{'':<16}{standing.problem}")
        elif not standing.is_on_disk:
            print(f"{'':<16}Needs {standing.needs}: `{standing.command}`")
    weights.print_list(stored)
    return 0


def run_download(settings: Settings, args: argparse.Namespace) -> int:
    checkpoint = catalog().get(args.name)
    hub = Hub(settings.checkpoints_dir)
    _quiet_library()
    meter = Meter(checkpoint.name, sys.stderr)
    try:
        located = hub.download(checkpoint, meter.show, allow_pickle=args.allow_pickle)
    finally:
        meter.end()
    size = hub.bytes_on_disk(located)
    if args.json:
        folders = {component: str(folder) for component, folder in located.folders.items()}
        value = {"name": checkpoint.name, "bytes": size, "folders": folders, "revisions": dict(located.revisions)}
        print(json.dumps(value, indent=2))
        return 0
    print(f"{checkpoint.title} ({checkpoint.name}) is on this disk: {human(size)}.")
    for repo, commit in located.revisions.items():
        print(f"  {repo} at {commit}")
    return 0


def run_verify(settings: Settings, args: argparse.Namespace) -> int:
    hub = Hub(settings.checkpoints_dir)
    chosen = (
        [catalog().get(args.name)]
        if args.name is not None
        else [entry for entry in catalog() if hub.was_fetched(entry)]
    )
    is_sound = True
    for checkpoint in chosen:
        problems = hub.verify(checkpoint)
        for problem in problems:
            print(f"{checkpoint.name}: {problem.message}", flush=True)
        if not problems:
            print(f"{checkpoint.name}: sound, {human(hub.bytes_on_disk(hub.locate(checkpoint)))} read.", flush=True)
        is_sound = is_sound and not problems
    if args.name is None:
        is_sound = weights.verify(WeightStore(settings.weights_dir)) and is_sound
    return 0 if is_sound else 1


def _quiet_library() -> None:
    """huggingface_hub logs every broken connection that it takes up again, with its address."""
    from huggingface_hub.utils import logging as library_logging

    library_logging.set_verbosity_error()  # type: ignore[no-untyped-call]
