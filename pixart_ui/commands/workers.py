"""`workers`: every worker of the data folder's queue, and which of them take jobs.

`drain` lets one end the picture that it is at and take no other, until `resume`; also after a restart. Its jobs that
wait go to the others.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import asdict

from pixart_ui.byte_size import show_bytes
from pixart_ui.commands.queue_output import print_json, say
from pixart_ui.errors import InputError
from pixart_ui.jobs.overview import WorkerRow
from pixart_ui.services import Services
from pixart_ui.settings import Settings

HEADS = ("DEVICE", "WHERE", "NAME", "STATE", "FREE", "JOB", "DONE", "SEEN")


def add_parser(
    subparsers: argparse._SubParsersAction[argparse.ArgumentParser], parents: Sequence[argparse.ArgumentParser]
) -> None:
    about = "see, drain and resume workers"
    parser = subparsers.add_parser("workers", parents=parents, help=about, description=__doc__)
    verbs = parser.add_subparsers(title="verbs", metavar="VERB", required=True)
    listing = verbs.add_parser("list", parents=parents, help="machine, device, memory, job, jobs done, last heartbeat")
    listing.add_argument("--json", action="store_true", help="print JSON")
    listing.set_defaults(run=run_list)
    for name, text in (("drain", "let a worker take no new jobs"), ("resume", "let it take jobs again")):
        verb = verbs.add_parser(name, parents=parents, help=text)
        verb.add_argument("name", metavar="DEVICE", help="see `workers list`; its first letters are enough")
        verb.set_defaults(run=run_drain if name == "drain" else run_resume)


def run_list(settings: Settings, args: argparse.Namespace) -> int:
    services = Services.open(settings)
    rows = services.workers()
    services.journal.close()
    if args.json:
        print_json({"workers": [asdict(row) for row in rows]})
        return 0
    if not rows:
        say("No worker runs.")
        return 0
    lines = [HEADS, *map(_line, rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEADS))]
    for line in lines:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
    for row in rows:
        if row.trouble is not None:
            say(f"{row.device}: {row.trouble}")
    return 0


def run_drain(settings: Settings, args: argparse.Namespace) -> int:
    services = Services.open(settings)
    device = _device(services, args.name)
    is_new = services.drain_worker(device)
    print(f"{device} takes no new jobs" if is_new else f"{device} took no new jobs already")
    services.journal.close()
    return 0


def run_resume(settings: Settings, args: argparse.Namespace) -> int:
    services = Services.open(settings)
    device = _device(services, args.name)
    is_new = services.resume_worker(device)
    print(f"{device} takes jobs again" if is_new else f"{device} takes jobs already")
    services.journal.close()
    return 0


def _device(services: Services, text: str) -> str:
    """The device of that id, or the only one that begins like that. Raises InputError for several."""
    known = sorted({row.device for row in services.workers()})
    found = [device for device in known if device.startswith(text)]
    if text in known or not found:
        return text
    if len(found) > 1:
        raise InputError(f"Device {text!r} could be {' or '.join(found)}: write more of it.")
    return found[0]


def _line(row: WorkerRow) -> tuple[str, ...]:
    where = row.place if not row.host else f"{row.place} on {row.host}"
    job = "" if row.job is None else f"{row.job} {row.phase if row.phase is not None else 'waits'}"
    free = "" if row.free_bytes is None else show_bytes(row.free_bytes)
    return (row.device, where, row.name, row.state, free, job, str(row.num_done), f"{row.silent_seconds:.0f} s ago")
