"""The process of one chore: does what its file says and writes there how far it is. Started by `chores.py` alone.

    python -m pixart_ui.health.chore_process FILE DATA_DIR DEVICE

It ends when its stdin does, for then nobody waits for it any more.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import psutil

from pixart_ui.commands.meter import human
from pixart_ui.commands.weights import WEIGHTS
from pixart_ui.engine.forms import WeightSource
from pixart_ui.engine.weights import WeightStore
from pixart_ui.errors import CheckpointError, PixArtError
from pixart_ui.health.chores import STORE, Chore, ChoreKind, ChoreState, read, write
from pixart_ui.hub import DownloadProgress, Hub
from pixart_ui.request import Precision
from pixart_ui.services import catalog
from pixart_ui.settings import Settings

SECONDS_BETWEEN = 0.25


class Teller:
    """Writes progress, not more often than it can be seen."""

    def __init__(self, path: Path, chore: Chore) -> None:
        self._path = path
        self._chore = chore
        self._told_at = 0.0
        self._is_first = True

    def tell(self, done: int, total: int, what: str = "") -> None:
        if self._is_first and done:
            self._chore = replace(self._chore, first_bytes=done)
            self._is_first = False
        now = time.time()
        if now - self._told_at >= SECONDS_BETWEEN or done == total:
            self._told_at = now
            self._write(done_bytes=done, total_bytes=total, message=what, changed_at=now)

    def end(self, state: ChoreState, message: str) -> None:
        self._write(state=state, message=message, changed_at=time.time())

    def _write(self, **changes: object) -> None:
        self._chore = replace(self._chore, **changes)  # type: ignore[arg-type]
        write(self._path, self._chore)


def main(path: Path, settings: Settings) -> None:
    chore = read(path)
    if chore is None:
        return
    chore = replace(chore, pid=os.getpid())
    write(path, chore)
    teller = Teller(path, chore)
    try:
        message = WORK[chore.kind](chore, settings, teller)
    except PixArtError as error:
        teller.end(ChoreState.FAILED, error.message)
    except Exception as error:
        teller.end(ChoreState.FAILED, f"It ended with an unexpected {type(error).__name__}: see the logs below.")
        raise
    else:
        teller.end(ChoreState.DONE, message)


def _download(chore: Chore, settings: Settings, teller: Teller) -> str:
    checkpoint, hub = catalog().get(chore.subject), Hub(settings.checkpoints_dir)

    def tell(progress: DownloadProgress) -> None:
        teller.tell(progress.done_bytes, progress.total_bytes, progress.file)

    located = hub.download(checkpoint, tell)
    return f"{checkpoint.title} is on this disk: {human(hub.bytes_on_disk(located))}."


def _verify(chore: Chore, settings: Settings, teller: Teller) -> str:
    if chore.subject == STORE:
        return _verify_store(WeightStore(settings.weights_dir), teller)
    checkpoint, hub = catalog().get(chore.subject), Hub(settings.checkpoints_dir)
    total = hub.bytes_on_disk(hub.locate(checkpoint))
    with _reading(teller, total):
        problems = hub.verify(checkpoint)
    if problems:
        raise CheckpointError(" ".join(problem.message for problem in problems))
    return f"{checkpoint.title} is sound: {human(total)} were read."


def _verify_store(store: WeightStore, teller: Teller) -> str:
    total = sum(stored.nbytes for stored in store.files() if stored.state != "partial")
    problems = []
    with _reading(teller, total):
        for stored, problem in store.verify():
            if problem is not None:
                store.remove(stored.path)
                problems.append(f"{problem.message} It was removed and will be made again when it is needed.")
    if problems:
        raise CheckpointError(" ".join(problems))
    return f"All converted weights are sound: {human(total)} were read."


@contextmanager
def _reading(teller: Teller, total: int) -> Iterator[None]:
    """Tell how much this process has read, where the system counts that."""
    process, ended = psutil.Process(), threading.Event()

    def count() -> int:
        counters = process.io_counters() if hasattr(process, "io_counters") else None
        return int(getattr(counters, "read_chars", 0))

    before = count()

    def follow() -> None:
        while not ended.wait(SECONDS_BETWEEN):
            teller.tell(min(total, count() - before), total)

    thread = threading.Thread(target=follow, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _convert(chore: Chore, settings: Settings, teller: Teller) -> str:
    from pixart_ui.engine.conversion import ensure_component  # imports torch
    from pixart_ui.engine.device import open_device

    precision = Precision(chore.detail)
    checkpoint, hub, store = catalog().get(chore.subject), Hub(settings.checkpoints_dir), _store(settings)
    located = hub.locate(checkpoint)
    hashes, device = hub.hashes(located), open_device(settings.device)
    for component in WEIGHTS:
        source = WeightSource(component, located.folders[component], precision, hashes[component])
        ensure_component(store, source, device, lambda done, total, name=component: teller.tell(done, total, name))  # type: ignore[misc]
    return f"{checkpoint.title} is ready for {precision}."


def _prune(chore: Chore, settings: Settings, teller: Teller) -> str:
    hub, keep = Hub(settings.checkpoints_dir), set[str]()
    for checkpoint in catalog():
        if hub.is_available(checkpoint):
            keep |= set(hub.hashes(hub.locate(checkpoint)).values())
    freed = _store(settings).prune(keep)
    return f"{human(freed)} of converted weights were removed." if freed else "Nothing to remove: all are of use."


def _store(settings: Settings) -> WeightStore:
    return WeightStore(settings.weights_dir)


WORK: Mapping[ChoreKind, Callable[[Chore, Settings, Teller], str]] = {
    ChoreKind.DOWNLOAD: _download,
    ChoreKind.VERIFY: _verify,
    ChoreKind.CONVERT: _convert,
    ChoreKind.PRUNE: _prune,
}


def _leave_with_stdin() -> None:
    sys.stdin.buffer.read()
    os._exit(1)


if __name__ == "__main__":
    threading.Thread(target=_leave_with_stdin, daemon=True).start()
    main(Path(sys.argv[1]), Settings(data_dir=Path(sys.argv[2]), device=sys.argv[3]))
