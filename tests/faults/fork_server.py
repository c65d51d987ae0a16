"""Starts real workers quickly: a process that has imported everything, torch included, and forks one for each order.

It runs no thread and has touched no device, so a forked worker is what a started one is. An order is a line of JSON on
stdin; the answers on stdout are the worker's pid and, once it has ended, its exit code. A worker can be told to kill
itself at a moment: `Trap` watches its SQL statements and its file operations from beside, and changes nothing.
"""

from __future__ import annotations

import json
import os
import re
import signal
import sys
import threading
import time
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from pixart_ui.jobs import database
from pixart_ui.jobs.worker import new_name, open_worker
from pixart_ui.services import Services
from pixart_ui.settings import Settings

# SQL or `event path`, as a worker does them; where a moment needs two, the second after the first.
MOMENTS: dict[str, tuple[str, ...]] = {
    "claim": (r"UPDATE jobs SET state='running'",),
    "claim, commit": (r"UPDATE jobs SET state='running'", r"COMMIT"),
    "encode": (r"UPDATE jobs SET phase='encode'", r"COMMIT"),
    "embedding write": (r"os\.rename .*/embeddings/.*\.part",),
    "denoise step": (r"phase='denoise', step=1,", r"COMMIT"),
    "latent write": (r"open .*/latents/.*\.part",),
    "latent rename": (r"os\.rename .*/latents/.*\.part",),
    "decode": (r"phase='decode'", r"COMMIT"),
    "PNG write": (r"open .*/images/.*\.part",),
    "PNG rename": (r"os\.rename .*/images/.*\.part",),
    "commit": (r"UPDATE jobs SET state='done'", r"COMMIT"),
}


@dataclass
class Trap:
    """Kills this process `delay` seconds after the moment came for the `nth` time. Keeps the steps that were drawn."""

    moment: str | None
    nth: int
    delay: float
    steps_path: Path
    _met: int = 0

    def watch_sql(self, statement: str) -> None:
        text = " ".join(statement.split())
        if drawn := re.search(r"SET phase='denoise', step=[1-9].* WHERE id=(\d+)", text):
            with self.steps_path.open("a") as file:
                file.write(f"{drawn[1]}\n")
        self._see(text)

    def watch_events(self, event: str, args: tuple[Any, ...]) -> None:
        if event in ("open", "os.rename") and str(args[0]).endswith(".part"):
            self._see(f"{event} {args[0]}")

    def _see(self, what: str) -> None:
        if self.moment is None:
            return
        first, *then = MOMENTS[self.moment]
        wanted = then[0] if then and self._met == self.nth else first
        if re.search(wanted, what) is None:
            return
        if wanted is first:
            self._met += 1
        if self._met == self.nth and (wanted is not first or not then):
            self._spring()

    def _spring(self) -> None:
        if self.delay == 0.0:
            os.kill(os.getpid(), signal.SIGKILL)
        threading.Thread(target=self._kill_soon, daemon=True).start()
        self.moment = None

    def _kill_soon(self) -> None:
        time.sleep(self.delay)
        os.kill(os.getpid(), signal.SIGKILL)


def run_worker(order: dict[str, Any]) -> None:
    trap = Trap(order["moment"], order["nth"], order["delay"], Path(order["steps"]))
    watch(trap)
    services = Services.open(Settings(data_dir=Path(order["data_dir"]), device="cpu"))
    with open_worker(services, name=new_name()) as worker:
        worker.serve(threading.Event(), is_draining=order["is_draining"])
    services.journal.close()


def watch(trap: Trap) -> None:
    class Connection(database._Connection):
        def __init__(self, *args: Any, **values: Any) -> None:
            super().__init__(*args, **values)
            self.set_trace_callback(trap.watch_sql)

    database._Connection = Connection  # type: ignore[misc]
    sys.addaudithook(trap.watch_events)


def be_worker(order: dict[str, Any]) -> NoReturn:
    """The forked process: it ends here, whatever happens."""
    log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    try:
        run_worker(order)
    except BaseException:  # noqa: BLE001 - never back into the loop of its parent
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def main() -> None:
    import pixart_ui.engine.engine  # noqa: F401 - what takes seconds

    assert len([*Path("/proc/self/task").iterdir()]) == 1, "a fork takes one thread along"
    for line in sys.stdin:
        order = json.loads(line)
        pid = os.fork()
        if pid == 0:
            be_worker(order)
        print(json.dumps({"pid": pid}), flush=True)
        _, status = os.waitpid(pid, 0)
        print(json.dumps({"code": os.waitstatus_to_exitcode(status)}), flush=True)


if __name__ == "__main__":
    main()
