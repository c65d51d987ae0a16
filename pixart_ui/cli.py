"""The command line: `python -m pixart_ui COMMAND`. A table of contents and the edge where errors become sentences.

Exit codes: 0 done, 2 wrong input, 1 failed. No traceback is ever shown. Brings in no torch.
"""

from __future__ import annotations

import argparse
import os
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import NoReturn

from pixart_ui import __version__
from pixart_ui.commands import compare, doctor, driver, generate, models, plan, queue, users, worker, workers
from pixart_ui.errors import InputError, PixArtError
from pixart_ui.settings import Settings


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    return at_the_edge(lambda: _run(sys.argv[1:] if argv is None else argv))


class Parser(argparse.ArgumentParser):
    """argparse, with its complaints as one sentence and without abbreviations."""

    def __init__(self, *args: object, **kwargs: object) -> None:
        kwargs.setdefault("allow_abbrev", False)
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]

    def error(self, message: str) -> NoReturn:
        sentence = message[:1].upper() + message[1:]
        raise InputError(f"{sentence}: see `{self.prog} --help`.")


def data_dir_parser() -> argparse.ArgumentParser:
    """The flag that every command takes. Without a default, so that it may stand before or after the command."""
    parser = Parser(add_help=False)
    parser.add_argument(
        "--data-dir",
        default=argparse.SUPPRESS,
        metavar="DIR",
        help="where pictures, queue and logs are (default: PIXART_UI_DATA_DIR, else the user's data folder)",
    )
    return parser


def at_the_edge(function: Callable[[], int]) -> int:
    """Call `function`; whatever it raises becomes one sentence on stderr and an exit code."""
    try:
        return function()
    except PixArtError as error:
        say(error.message)
        return error.exit_code
    except KeyboardInterrupt:
        say("Stopped.")
        return 1
    except BrokenPipeError:
        # Whoever read our output has enough; Python would complain once more when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


@contextmanager
def unexpected_kept(settings: Settings) -> Iterator[None]:
    """Whatever nobody foresaw becomes a PixArtError; its traceback goes to a log."""
    try:
        yield
    except (PixArtError, BrokenPipeError):
        raise
    except Exception as error:
        where = _keep_traceback(settings.logs_dir / "errors.log")
        raise PixArtError(f"Something unexpected happened ({type(error).__name__}): {where}.") from error


def say(sentence: str) -> None:
    print(sentence, file=sys.stderr, flush=True)


def _run(argv: Sequence[str]) -> int:
    args = _parser().parse_args(argv)
    names = ("data_dir", "device", "vram_budget", "group_size", "keep_images", "keep_days", "cluster")
    settings = Settings.read(os.environ, **{name: getattr(args, name, None) for name in names})
    with unexpected_kept(settings):
        code: int = args.run(settings, args)
    return code


def _parser() -> argparse.ArgumentParser:
    parents = [data_dir_parser()]
    parser = Parser(prog="python -m pixart_ui", description="PixArt pictures from the command line.", parents=parents)
    parser.add_argument("--version", action="version", version=f"PixArt UI {__version__}")
    subparsers = parser.add_subparsers(title="commands", metavar="COMMAND", required=True, parser_class=Parser)
    for command in (generate, queue, compare, models, plan, users, worker, workers, doctor, driver):
        command.add_parser(subparsers, parents)
    return parser


def _keep_traceback(log: Path) -> str:
    """Write the traceback where it can be found; returns where that is, in words."""
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("a", encoding="utf-8") as file:
            file.write(f"{datetime.now().astimezone().isoformat()}\n{traceback.format_exc()}\n")
    except OSError:
        return "no log of it could be written"
    return f"the details are in {log}"
