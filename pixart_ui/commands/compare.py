"""`compare`: draw one request several ways, measure each, and write a report; or repeat a report.

Its runs go through the queue, as pictures do, and are measured by the app's worker or by one of its own. Before it
starts it says what it will do. Ctrl+C stops it, writes the report of what is measured and keeps it: `compare resume ID`
goes on. Progress goes to stderr, the report's path or JSON to stdout.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from pixart_ui.byte_size import show_bytes
from pixart_ui.commands.flags import add_device_flags, add_request_flags, asked, given_request_flags
from pixart_ui.commands.generate import POLL_SECONDS, OwnWorker, check_workers, log_aside
from pixart_ui.compare import changes, report, strategies, verdict
from pixart_ui.compare.axes import AxisName
from pixart_ui.compare.comparison import Comparison, State
from pixart_ui.compare.prompts import PromptSets, read_prompts
from pixart_ui.compare.sweep import DEFAULT_PRECISIONS, Sweep, parse_axis
from pixart_ui.errors import InputError
from pixart_ui.jobs.job import JobState
from pixart_ui.services import Services, presets_dir
from pixart_ui.settings import Settings

LIST, RESUME, DELETE = "list", "resume", "delete"
MAX_NAME_SHOWN = 60


def add_parser(
    subparsers: argparse._SubParsersAction[argparse.ArgumentParser], parents: Sequence[argparse.ArgumentParser]
) -> None:
    parser = subparsers.add_parser(
        "compare",
        parents=parents,
        help="measure what each precision or memory strategy costs",
        description=__doc__,
        epilog="compare list, compare resume ID --out DIR and compare delete ID are for comparisons that are kept.",
    )
    parser.add_argument("prompt", nargs="?", metavar="PROMPT", help="what the pictures should show")
    parser.add_argument("id", nargs="?", metavar="ID", help=argparse.SUPPRESS)
    parser.add_argument("--prompts", metavar="FILE", help="several prompts instead, one a line")
    parser.add_argument(
        "--prompt-set", nargs="?", const="", metavar="NAME", help="24 shipped prompts instead (default: the family's)"
    )
    parser.add_argument(
        "--axis",
        action="append",
        dest="axes",
        metavar="NAME=V,…",
        help=f"what varies, once or twice: {', '.join(AxisName)} (default: precision={','.join(DEFAULT_PRECISIONS)})",
    )
    parser.add_argument(
        "--strategy",
        metavar="NAME",
        help=f"how weights are held where no axis says it: {', '.join(strategies.OURS_DESCRIPTIONS)}, "
        f"ours@2GiB, or one of diffusers' (default: {strategies.DEFAULT})",
    )
    parser.add_argument("--no-noise-floor", action="store_true", help="leave out the reference repeated and reseeded")
    parser.add_argument("--from", dest="source", metavar="report.json", help="repeat a report, and say what changed")
    add_request_flags(parser)
    parser.add_argument("--name", help="what the comparison is called in the list")
    parser.add_argument("--out", metavar="DIR", help="where the report is written")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    add_device_flags(parser, whose="for a worker of its own: ")
    parser.set_defaults(run=run)


def run(settings: Settings, args: argparse.Namespace) -> int:
    if args.prompt in (LIST, RESUME, DELETE) and args.source is None:
        return _kept(settings, args)
    if args.id is not None:
        raise InputError(f"{args.id[:40]!r} is one argument too many: write the prompt in quotes.")
    old = report.read(Path(args.source)) if args.source is not None else None
    services = Services.open(settings)
    sweep = _again(old, args) if old is not None else _sweep(services, args)
    out = _out(args, is_needed=old is None)
    _ready(services, settings)
    _announce(services, sweep)
    name = args.name if args.name is not None or old is None else old.name
    comparison_id = services.start_comparison(sweep, name=name)
    return _finish(services, comparison_id, out, args, old)


def _kept(settings: Settings, args: argparse.Namespace) -> int:
    """list, resume, delete."""
    services = Services.open(settings)
    if args.prompt == LIST:
        return _list(services, is_json=args.json)
    if args.id is None:
        raise InputError(f"The comparison to {args.prompt} is missing: give its id, which `compare list` shows.")
    if args.prompt == DELETE:
        services.delete_comparison(args.id)
        return 0
    out = _out(args, is_needed=True)
    _ready(services, settings)
    services.resume_comparison(args.id)
    return _finish(services, args.id, out, args, None)


# What was asked


def _sweep(services: Services, args: argparse.Namespace) -> Sweep:
    prompts = _prompts(services, args)
    request = asked(args, prompts[0])
    axes = args.axes if args.axes is not None else [f"precision={','.join(DEFAULT_PRECISIONS)}"]
    return Sweep(
        request,
        tuple(parse_axis(axis) for axis in axes),
        prompts,
        strategy=args.strategy if args.strategy is not None else strategies.DEFAULT,
        has_noise_floor=not args.no_noise_floor,
    )


def _prompts(services: Services, args: argparse.Namespace) -> tuple[str, ...]:
    given = [
        name
        for name, value in (("PROMPT", args.prompt), ("--prompts", args.prompts), ("--prompt-set", args.prompt_set))
        if value is not None
    ]
    if not given:
        raise InputError("The prompt is missing, there must be one: write it in quotes, or use --prompts FILE.")
    if len(given) > 1:
        raise InputError(
            f"{given[0]} and {given[1]} cannot go together, each says what is drawn: leave one of them out."
        )
    if args.prompts is not None:
        return read_prompts(Path(args.prompts))
    if args.prompt_set is None:
        return (args.prompt,)
    sets = PromptSets.load(presets_dir() / "compare")
    if args.prompt_set:
        return sets.get(args.prompt_set).prompts
    name = args.checkpoint
    checkpoint = services.default_checkpoint() if name is None else services.catalog.get(name)
    return sets.for_checkpoint(checkpoint).prompts


def _again(old: Comparison, args: argparse.Namespace) -> Sweep:
    given = ["PROMPT"] if args.prompt is not None else []
    given += [f"--{name}" for name in ("prompts", "prompt_set", "axes", "strategy") if getattr(args, name) is not None]
    given += given_request_flags(args)
    if given:
        flag = given[0].replace("_", "-").replace("axes", "axis")
        raise InputError(f"{flag} cannot go with --from, which repeats the report as it was: leave one of them out.")
    return old.sweep


def _out(args: argparse.Namespace, *, is_needed: bool) -> Path | None:
    """The report's folder, which can be written; made before anything is drawn. Raises InputError."""
    if args.out is None:
        if is_needed:
            raise InputError("The report needs a folder: name one with --out DIR.")
        return None
    folder = Path(args.out).expanduser()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".pixart-ui-probe.part"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise InputError(
            f"Output folder {str(folder)!r} cannot be written ({error.strerror}): choose another."
        ) from None
    return folder


def _ready(services: Services, settings: Settings) -> None:
    log_aside(settings)
    check_workers(settings, services.journal.workers())


def _announce(services: Services, sweep: Sweep) -> None:
    """What will be run, and what that is predicted to take. Raises InputError, CheckpointError for a reference."""
    prediction = services.predict_sweep(sweep)
    rows = "1 prompt" if len(sweep.prompts) == 1 else f"{len(sweep.prompts)} prompts"
    columns = " × ".join(f"{axis.name} ({', '.join(axis.values)})" for axis in sweep.axes)
    floor = ", with the noise floor" if sweep.has_noise_floor else ""
    _say(f"{rows} × {columns}: {sweep.num_runs} runs{floor}")
    if prediction.seconds is None or prediction.peak_bytes is None:
        _say("predicted: nothing is known of the GPU until its worker runs")
    else:
        _say(f"predicted: about {_duration(prediction.seconds)}, peak {show_bytes(prediction.peak_bytes)}")


# Following the runs


def _finish(
    services: Services, comparison_id: str, out: Path | None, args: argparse.Namespace, old: Comparison | None
) -> int:
    try:
        _follow(services, comparison_id)
    except KeyboardInterrupt:
        _report_what_there_is(services, comparison_id, out)
        raise
    comparison = services.comparison(comparison_id)
    if out is not None:
        report.write(comparison, out, services.comparison_folder(comparison_id))
    if args.json:
        print(comparison.model_dump_json(indent=1))
    elif out is not None:
        print(out / report.HTML_NAME)
    _say(verdict.headline(comparison))
    if old is not None:
        _say_changes(old, comparison)
    return _conclude(comparison, comparison_id)


def _report_what_there_is(services: Services, comparison_id: str, out: Path | None) -> None:
    """Of a comparison that was stopped; none where nothing was measured."""
    comparison = services.comparison(comparison_id)
    if out is not None and any(result.is_done for result in comparison.results):
        report.write(comparison, out, services.comparison_folder(comparison_id))
        _say(f"What is measured is in {out / report.HTML_NAME}.")


def _follow(services: Services, comparison_id: str) -> None:
    """Wait until its runs have ended, being their worker where there is none. Ctrl+C cancels what is left."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    jobs = [job for job in services.comparison_jobs(comparison_id) if not job.state.is_end]
    labels = {cell.key: cell.label for cell in services.comparison(comparison_id).sweep.cells()}
    own, last = OwnWorker(services, [job.id for job in jobs]), ""
    try:
        while services.journal.has_open([job.id for job in jobs]):
            own.start_if_needed()
            time.sleep(POLL_SECONDS)
            line = _progress(services, comparison_id, labels)
            if line != last:
                _say(line)
                last = line
    except BaseException:
        services.cancel_comparison(comparison_id)
        _say(f"What is measured is kept: go on with `compare {RESUME} {comparison_id} --out DIR`.")
        raise
    finally:
        own.stop()


def _progress(services: Services, comparison_id: str, labels: Mapping[str, str]) -> str:
    """Which run is at work; steps are too many for lines."""
    jobs = services.comparison_jobs(comparison_id)
    done = sum(job.state.is_end for job in jobs)
    active = next((job for job in jobs if job.state is JobState.RUNNING), None)
    if active is None:
        reason = services.journal.pause_reason()
        return f"the queue is paused ({reason}): waiting for `queue resume`" if reason else f"{done}/{len(jobs)} done"
    return f"{done + 1}/{len(jobs)} {labels[active.trial.cell] if active.trial is not None else ''}"


# What is said at the end


def _say_changes(old: Comparison, new: Comparison) -> None:
    found = changes.differences(old, new)
    for sentence in found if found else ("Nothing changed: pictures, memory and time are as they were.",):
        _say(sentence)


def _conclude(comparison: Comparison, comparison_id: str) -> int:
    """Runs that cannot be made here are results; a failed one, or one that is missing, is a failure."""
    for result in comparison.results:
        if not result.is_done:
            _say(f"{result.label} {verdict.failure_in_words(result)}.")
    counts = Counter(result.state for result in comparison.results)
    if comparison.missing:
        _say(
            f"{len(comparison.missing)} of {comparison.sweep.num_runs} runs were not made: "
            f"go on with `compare {RESUME} {comparison_id} --out DIR`."
        )
    return 1 if comparison.missing or counts[State.FAILED] else 0


def _list(services: Services, *, is_json: bool) -> int:
    entries = services.comparisons()
    if is_json:
        fields = ("id", "name", "num_done", "num_runs", "problem")
        listed = [{field: getattr(entry, field) for field in fields} for entry in entries]
        print(json.dumps({"comparisons": listed}, indent=2))
        return 0
    for entry in entries:
        print(f"{entry.id}  {entry.num_done}/{entry.num_runs}  {entry.problem or entry.name[:MAX_NAME_SHOWN]}")
    return 0


def _duration(seconds: float) -> str:
    minutes = round(seconds / 60)
    return f"{seconds:.0f} s" if seconds < 90 else f"{minutes} min" if minutes < 90 else f"{minutes / 60:.1f} h"


def _say(sentence: str) -> None:
    print(sentence, file=sys.stderr, flush=True)
