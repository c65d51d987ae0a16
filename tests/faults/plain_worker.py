"""A worker process whose engine draws plain pictures quickly: `python -m tests.faults.plain_worker DATA_DIR NAME`.

It runs until DATA_DIR/over is there and the queue is empty, then prints the seeds that it drew.
"""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pixart_ui.jobs.journal import Journal
from pixart_ui.jobs.worker import Worker
from pixart_ui.settings import Settings
from tests.jobs.parts import PlainEngine

ROOT = Path(__file__).resolve().parents[2]


def main() -> None:
    folder, name = Path(sys.argv[1]), sys.argv[2]
    settings, drawn = Settings(data_dir=folder, device="cpu"), list[int]()
    engine = PlainEngine(
        lambda index, step: drawn.append(engine.groups[-1][index]) if step == 1 else None, device_id=name
    )
    journal = Journal(settings.journal_path)
    worker, stop = Worker(settings, journal, engine, name=name), threading.Event()
    thread = threading.Thread(target=worker.serve, args=(stop,))
    thread.start()
    print("ready", flush=True)
    while not ((folder / "over").exists() and not journal.has_open()) and thread.is_alive():
        thread.join(0.05)
    stop.set()
    thread.join()
    journal.close()
    print(*drawn)


class PlainWorkers:
    """Several of them. `drawn` are the seeds that they drew, once they have ended."""

    def __init__(self, folder: Path, processes: list[subprocess.Popen[str]]) -> None:
        self._folder = folder
        self._processes = processes
        self.drawn: list[list[int]] = []

    def end(self) -> None:
        """Wait until all jobs have ended, and then for the workers."""
        (self._folder / "over").touch()
        outputs = [process.communicate(timeout=120) for process in self._processes]
        assert [process.returncode for process in self._processes] == [0] * len(outputs), outputs
        self.drawn = [[int(seed) for seed in out.split()] for out, _ in outputs]


@contextmanager
def plain_workers(settings: Settings, num_workers: int) -> Iterator[PlainWorkers]:
    command = [sys.executable, "-m", "tests.faults.plain_worker", str(settings.data_dir)]
    processes = [
        subprocess.Popen(
            [*command, f"worker-{number}"], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for number in range(num_workers)
    ]
    try:
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n", process.communicate()
        yield PlainWorkers(settings.data_dir, processes)
    finally:
        for process in processes:
            if process.poll() is None:
                process.kill()
                process.communicate()


if __name__ == "__main__":
    main()
