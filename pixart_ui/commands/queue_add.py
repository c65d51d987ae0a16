"""`queue add`: prompts and files of prompts, mixed, into jobs at the end of the queue: all of them, or none.

What is on the disk under that name is a file, `-` is what comes on stdin, and everything else is a prompt. Every row of
every file is checked before any is added.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from pixart_ui.batches import ENDINGS, Draft, draft_of_prompts, read_file, read_stream
from pixart_ui.commands.flags import add_request_flags, asked, given_request_flags
from pixart_ui.commands.queue_output import MAX_LINES, jobs_in_words, print_jobs, print_json, print_rest, say, shortened
from pixart_ui.errors import BudgetTooSmall, InputError
from pixart_ui.request import GenerationRequest
from pixart_ui.services import Services

STDIN = "-"
# Alternatives often differ at the end of a prompt.
DRY_RUN_CHARS = 200


@dataclass(frozen=True)
class Source:
    """What one file, or prompts in a row, ask for; `name` is the file's."""

    name: str | None
    draft: Draft


def add_adding_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "sources",
        nargs="+",
        metavar="FILE|PROMPT",
        help="a file of prompts (.txt, .csv, .json, .jsonl; - is stdin), or what a picture should show; "
        "{red|blue} and __season__ stand for several",
    )
    parser.add_argument("--dry-run", action="store_true", help="show what would be added, and add nothing")
    add_request_flags(parser)


def run_add(services: Services, args: argparse.Namespace) -> int:
    base = asked(args, "any") if given_request_flags(args) else None
    sources = list(_read(services, args.sources, base))
    _refuse_problems(sources)
    draft = _joined([source.draft for source in sources])
    for note in draft.notes:
        say(note)
    if args.dry_run:
        _print_draft(services, draft, args)
        return 0
    jobs = services.enqueue(draft.requests)
    print_jobs(services, jobs, args, did="added")
    if not args.json and len(jobs) > 1:
        print(_sum(draft, _predicted(services, draft)))
    return 0


def _read(services: Services, arguments: Sequence[str], base: GenerationRequest | None) -> Iterator[Source]:
    """Raises InputError where a file cannot be read as a whole, or a prompt is wrong."""
    for is_file, group in groupby(arguments, key=_is_file):
        if is_file:
            yield from (_source(services, argument, base) for argument in group)
        else:
            draft = services.check_draft(draft_of_prompts(group, base=base, wildcards=services.wildcards))
            if draft.problems:
                raise InputError(draft.problems[0].message, draft.problems[0].field)
            yield Source(None, draft)


def _source(services: Services, argument: str, base: GenerationRequest | None) -> Source:
    if argument == STDIN:
        return Source("stdin", services.draft(read_stream(sys.stdin.buffer), base=base))
    path = Path(argument)
    return Source(path.name, services.draft(read_file(path), name=path.name, base=base))


def _is_file(argument: str) -> bool:
    """Whether a file is meant. Raises InputError for a folder, and for a file that is not there."""
    if argument == STDIN:
        return True
    try:
        path = Path(argument)
        if path.is_dir():
            raise InputError(f"{argument!r} is a folder: name the files in it.")
        if path.exists():
            return True
    except (OSError, ValueError):
        return False  # no name that a file could have
    if argument.lower().endswith(ENDINGS) and len(argument.split()) == 1:
        raise InputError(f"File {argument!r} does not exist: check the path.")
    return False


def _refuse_problems(sources: Sequence[Source]) -> None:
    """Say what is wrong with which row. Raises InputError if anything is."""
    problems = [(source.name, problem) for source in sources for problem in source.draft.problems]
    if not problems:
        return
    for name, problem in problems[:MAX_LINES]:
        say(f"{name}, row {problem.row}: {problem.message}")
    if len(problems) > MAX_LINES:
        say(f"… and {len(problems) - MAX_LINES:,} more.")
    rows = "1 row is" if len(problems) == 1 else f"{len(problems):,} rows are"
    raise InputError(f"Nothing was added, as {rows} wrong: correct what is said above and add the file again.")


def _joined(drafts: Sequence[Draft]) -> Draft:
    """All of them as one; its rows are numbered on from one to the next."""
    rows: list[int] = []
    for draft in drafts:
        before = rows[-1] if rows else 0
        rows += [before + row for row in draft.rows]
    return Draft(
        kind=drafts[0].kind,
        requests=tuple(request for draft in drafts for request in draft.requests),
        problems=(),
        notes=tuple(dict.fromkeys(note for draft in drafts for note in draft.notes)),
        rows=tuple(rows),
    )


def _predicted(services: Services, draft: Draft) -> float | None:
    """Seconds, None where nothing can be said. A device that is too small for it is worth a word, no more."""
    try:
        return services.predict_draft(draft)
    except BudgetTooSmall as error:
        say(error.message)
        return None


# What is printed


def _print_draft(services: Services, draft: Draft, args: argparse.Namespace) -> None:
    seconds = _predicted(services, draft)
    if args.json:
        print_json(_as_json(draft, seconds))
        return
    for request in draft.requests[:MAX_LINES]:
        print(f"would add: {_line(request)}")
    print_rest(len(draft.requests))
    print(_sum(draft, seconds))


def _as_json(draft: Draft, seconds: float | None) -> dict[str, Any]:
    return {
        "num_rows": len(set(draft.rows)),
        "num_jobs": draft.num_jobs,
        "predicted_seconds": seconds,
        "notes": draft.notes,
        "requests": [request.model_dump(mode="json", exclude_none=True) for request in draft.requests],
    }


def _line(request: GenerationRequest) -> str:
    """The prompt, and what else was asked for."""
    asked_for = request.model_dump(mode="json", exclude={"prompt", "num_images"}, exclude_none=True)
    settings = ", ".join(f"{name} {value}" for name, value in asked_for.items() if value != "")
    times = f" × {request.num_images}" if request.num_images > 1 else ""
    return f"{shortened(request.prompt, DRY_RUN_CHARS)}{times}{f'  ({settings})' if settings else ''}"


def _sum(draft: Draft, seconds: float | None) -> str:
    """How many jobs come of how many rows, and how long they will take."""
    num_rows = len(set(draft.rows))
    rows = f" of {num_rows:,} {'prompt' if num_rows == 1 else 'prompts'}" if num_rows != draft.num_jobs else ""
    time = f", {_duration(seconds)} of work" if seconds is not None else ""
    return f"{jobs_in_words(draft.num_jobs)}{rows}{time}"


def _duration(seconds: float) -> str:
    """As precise as a prediction is worth."""
    if seconds < 100:
        return f"about {max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    return f"about {minutes} min" if minutes < 100 else f"about {minutes // 60} h {minutes % 60} min"
