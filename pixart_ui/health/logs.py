"""The ends of the logs, and everything that a bug report should hold as one text, with secrets taken out.

Nothing is sent anywhere: a person reads the text and copies it.
"""

from __future__ import annotations

import getpass
from collections.abc import Iterator
from pathlib import Path

from pixart_ui.commands import doctor
from pixart_ui.health.redact import redact
from pixart_ui.jobs.job import Job, JobState
from pixart_ui.jobs.journal import Journal
from pixart_ui.settings import Settings

TAIL_BYTES = 24_000
MAX_FAILURES = 10
# Logs may quote prompts of any job that was ever made; this many of the newest are looked for.
MAX_PROMPTS = 5_000


def bug_report(settings: Settings, journal: Journal, *, with_prompts: bool = False) -> str:
    """What `doctor` says, what failed last, and the ends of the logs."""
    parts = [
        ("What `python -m pixart_ui doctor` says", doctor.text(settings)),
        *((f"The end of {name}", text) for name, text in tails(settings.logs_dir)),
        ("What failed last", "\n".join(_failures(journal)) or "Nothing that is still on the list."),
    ]
    text = "\n\n".join(f"## {title}\n\n```\n{body.rstrip()}\n```" for title, body in parts)
    jobs = journal.jobs(limit=MAX_PROMPTS)
    return redact(
        text.replace(str(settings.data_dir), "[data folder]"),
        home=_home(),
        names=[*_login_name(), *{job.owner for job in jobs}],
        prompts=() if with_prompts else [words for job in jobs for words in _words_of(job)],
    )


def tails(folder: Path) -> list[tuple[str, str]]:
    """The end of each log, by name, in whole lines."""
    found = []
    for path in sorted(folder.glob("*.log")) if folder.is_dir() else []:
        try:
            with path.open("rb") as file:
                size = file.seek(0, 2)
                file.seek(max(0, size - TAIL_BYTES))
                text = file.read().decode("utf-8", errors="replace")
        except OSError as error:
            text = f"cannot be read ({error.strerror})"
        if size_is_cut := len(text.encode()) >= TAIL_BYTES:
            text = text.partition("\n")[2]
        found.append((path.name, ("…\n" if size_is_cut else "") + (text or "empty")))
    return found


def _failures(journal: Journal) -> Iterator[str]:
    for job in journal.jobs(states=[JobState.FAILED], limit=MAX_FAILURES):
        request = job.request
        yield f"job {job.id}, {request.checkpoint}, {request.precision}, {request.bin}: {job.error}"


def _words_of(job: Job) -> tuple[str, ...]:
    request = job.request
    return request.prompt, request.negative_prompt, request.full_prompt, request.full_negative_prompt


def _home() -> Path | None:
    try:
        return Path.home()
    except RuntimeError:  # a container's user may have none
        return None


def _login_name() -> list[str]:
    try:
        return [getpass.getuser()]
    except (OSError, KeyError):  # the same
        return []
