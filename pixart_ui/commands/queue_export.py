"""`queue export`: jobs with their settings and results as CSV or JSON that `queue add` reads again, and their pictures.

Files are written aside and renamed: nobody sees half of one.
"""

from __future__ import annotations

import argparse
import errno
import os
import sys
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from pixart_ui.batches import write_csv, write_json, zip_stream
from pixart_ui.commands.queue_output import jobs_in_words, print_json, say, states_named
from pixart_ui.errors import DiskFullError, InputError, unknown_name
from pixart_ui.jobs.job import Job, JobState
from pixart_ui.services import Services

FORMATS = {"csv": write_csv, "json": write_json}


def add_export_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--state", metavar="STATE", help=f"only one of {', '.join(JobState)}")
    parser.add_argument("--format", metavar="NAME", help="csv or json (default: as the ending of --out, else csv)")
    parser.add_argument("--out", metavar="FILE", help="write there rather than to stdout")
    parser.add_argument("--zip", metavar="FILE", help="pack the pictures of these jobs into this ZIP")


def run_export(services: Services, args: argparse.Namespace) -> int:
    states, name = states_named(args.state), _format(args)
    jobs = services.journal.jobs(states=states, newest_first=False)
    if args.out is None and args.zip is None:
        for text in FORMATS[name](jobs):
            sys.stdout.buffer.write(text.encode())
        sys.stdout.buffer.flush()
        return 0
    files = _files(services, jobs) if args.zip is not None else []
    written = []
    if args.out is not None:
        _write(Path(args.out), (text.encode() for text in FORMATS[name](jobs)))
        written.append((Path(args.out), jobs_in_words(len(jobs))))
    if args.zip is not None:
        num_pictures = _write_zip(files, Path(args.zip))
        written.append((Path(args.zip), _pictures(num_pictures)))
    if args.json:
        print_json({"jobs": len(jobs), "files": [str(path) for path, _ in written]})
        return 0
    for path, content in written:
        print(f"{path}: {content}")
    return 0


def _format(args: argparse.Namespace) -> str:
    """Raises InputError."""
    if args.format is None:
        is_json = args.json if args.out is None else Path(args.out).suffix.lower() == ".json"
        return "json" if is_json else "csv"
    name = str(args.format)
    if name not in FORMATS:
        raise unknown_name("format", name, FORMATS)
    if args.json and args.out is None and args.zip is None and name != "json":
        raise InputError("--json and --format csv both say what to print: leave one of them out.")
    return name


def _files(services: Services, jobs: Sequence[Job]) -> list[tuple[str, Path]]:
    """Their pictures, whether they are still there or not. Raises InputError where none is."""
    places = [(job.image, services.image_place(job)) for job in jobs]
    files = [(name, place) for name, place in places if name is not None and place is not None]
    if not any(file.is_file() for _, file in files):
        raise InputError("There is no picture to pack, as none of these jobs has one: leave out --zip.")
    return files


def _write_zip(files: Sequence[tuple[str, Path]], path: Path) -> int:
    """Pack the pictures; returns how many there are."""
    _write(path, zip_stream(files))
    num_there = sum(file.is_file() for _, file in files)
    if num_there < len(files):
        say(f"Not on the disk any more: {_pictures(len(files) - num_there)}, named by MISSING.txt in {path}.")
    return num_there


def _pictures(number: int) -> str:
    return "1 picture" if number == 1 else f"{number:,} pictures"


def _write(path: Path, chunks: Iterable[bytes]) -> None:
    """Write a file that is whole or not there. Raises InputError, DiskFullError."""
    if path.is_dir():
        raise InputError(f"{str(path)!r} is a folder: name a file in it.")
    aside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with aside.open("wb") as file:
            file.writelines(chunks)
        aside.replace(path)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFullError(f"{path} does not fit on its disk: free some space or choose another.") from None
        raise InputError(f"{path} cannot be written ({error.strerror}): choose another file.") from None
    finally:
        with suppress(OSError):
            aside.unlink(missing_ok=True)
