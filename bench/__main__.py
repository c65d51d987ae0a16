"""Measures the app on this machine: how soon the page is served, the worker is ready, and a picture is there.

    make bench                       # or: python -m bench [--json FILE]
    python -m bench compare --help   # strategies for small cards, each in a process of its own
    python -m bench figure --help    # their frontier as a picture, and the table
    python -m bench list             # the strategies' names
    python -m bench adding           # many jobs from a CSV
    python -m bench agreement --help # a comparison beside what an independent script measured
    python -m bench queueing         # what the queue adds to the engine
    python -m bench workers --help   # several workers on one queue
    python -m bench placement --help # one picture over two GPUs

Everything is real: `python app.py` in a process of its own with an empty data folder, PixArt-Tiny, pictures of 256²
in 20 steps with guidance. The first picture is cold; the warm ones are new prompts afterwards.
"""

from __future__ import annotations

import argparse
import importlib
import json
import platform
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

from pixart_ui.jobs.job import Job, JobState
from pixart_ui.request import GenerationRequest
from pixart_ui.services import Services
from pixart_ui.settings import Settings

ROOT = Path(__file__).resolve().parent.parent
PROMPTS = (
    "a red circle above a blue square at sunset",
    "a green tree left of a small yellow house",
    "a purple boat below an orange sun",
    "a pink heart right of a blue star at night",
    "a yellow moon above a red mountain in the snow",
)
PATIENCE_SECONDS = 120
COMMANDS = {
    "adding": "bench.adding",
    "agreement": "bench.agreement",
    "compare": "bench.compare",
    "figure": "bench.figure",
    "list": "bench.names",
    "placement": "bench.placement",
    "queueing": "bench.queueing",
    "watching": "bench.watching",
    "workers": "bench.workers",
}


def main() -> None:
    if len(sys.argv) > 1 and sys.argv[1] in COMMANDS:
        importlib.import_module(COMMANDS[sys.argv[1]]).main(sys.argv[2:])
        return
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description="Measure the app on this machine.",
        epilog=f"Other things to measure: python -m bench {' | '.join(COMMANDS)} (each has --help).",
    )
    parser.add_argument("--json", type=Path, help="write the results to this file as well")
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="pixart-ui-bench-"))
    try:
        rows = measure(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    for name, value in rows.items():
        print(f"{name:45} {value:>8.2f} s" if isinstance(value, float) else f"{name:45} {value}")
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")


def measure(folder: Path) -> dict[str, Any]:
    """Start the app, wait for it, make pictures, stop it. Times in seconds from the start of its process."""
    port = free_port()
    started = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "app.py", "--port", str(port), "--data-dir", str(folder)],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_for(lambda: is_served(port))
        page = time.monotonic() - started
        services = Services.open(Settings(data_dir=folder))
        wait_for(lambda: any(worker.info.get("state") == "ready" for worker in services.journal.workers()))
        worker = time.monotonic() - started
        (status,) = services.journal.workers()
        pictures = [picture_seconds(services, prompt) for prompt in PROMPTS]
        again = picture_seconds(services, PROMPTS[0])
    finally:
        process.terminate()
        process.wait(timeout=30)
    return {
        "device": f"{status.info['name']}, {status.info['threads']} threads",
        "system": f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
        "page served": page,
        "worker ready": worker,
        "first picture (loads the weights)": pictures[0],
        "next picture, new prompt (median)": statistics.median(pictures[1:]),
        "next picture, prompt already encoded": again,
    }


def picture_seconds(services: Services, prompt: str) -> float:
    """From submitting to the file on disk."""
    started = time.monotonic()
    (job,) = services.submit(GenerationRequest.parse({"prompt": prompt, "checkpoint": "tiny", "seed": 1}))

    def current() -> Job:
        return services.journal.job(job.id)

    wait_for(lambda: current().state.is_end)
    if current().state is not JobState.DONE:
        raise SystemExit(f"The picture failed: {current().error}")
    return time.monotonic() - started


def is_served(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/", timeout=5).status_code == 200
    except httpx.TransportError:
        return False


def wait_for(is_done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not is_done():
        if time.monotonic() > deadline:
            raise SystemExit(f"Nothing happened for {PATIENCE_SECONDS} s: see `python -m pixart_ui doctor`.")
        time.sleep(0.01)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


if __name__ == "__main__":
    main()
