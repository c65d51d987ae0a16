"""A machine as part of a cluster: Ray's own processes beside ours, for as long as ours runs. Ray is not imported.

`head` starts a cluster at an address of this machine, `member` joins one. Both wait for Ray's command, which ends all
that it started when it is told to.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import pixart_ui
from pixart_ui.errors import WorkerError
from pixart_ui.settings import DATA_DIR_VARIABLE, Settings

# Events and small pictures pass through it.
OBJECT_STORE_BYTES = 200 * 2**20
# What a node has of it is how many workers run on its processor.
CPU_RESOURCE = "pixart_cpu"
CONNECT_SECONDS = 3.0
START_SECONDS = 60.0
POLITE_SECONDS = 20.0


class Node:
    """Ray's command on this machine. `stop` ends what it started."""

    def __init__(self, arguments: list[str], settings: Settings, environ: Mapping[str, str]) -> None:
        root = Path(pixart_ui.__file__).resolve().parent.parent
        paths = [str(root), *filter(None, [environ.get("PYTHONPATH")])]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "ray.scripts.scripts", "start", "--block", "--disable-usage-stats", *arguments],
            env={**environ, "PYTHONPATH": os.pathsep.join(paths), DATA_DIR_VARIABLE: str(settings.data_dir)},
            stdin=subprocess.DEVNULL,
            stdout=sys.stderr,
            stderr=sys.stderr,
            start_new_session=True,  # Ctrl+C is for us, who then end it in order
        )

    def is_running(self) -> bool:
        return self._process.poll() is None

    def stop(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(POLITE_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def head(address: str, settings: Settings, environ: Mapping[str, str]) -> Node:
    """Start a cluster here, and wait until it answers. Raises WorkerError."""
    host, _, port = address.rpartition(":")
    own = ["--head", f"--node-ip-address={_ip(host)}", f"--port={port}", "--include-dashboard=false"]
    health = {"health_check_period_ms": 1000, "health_check_timeout_ms": 2000, "health_check_failure_threshold": 3}
    node = Node([*own, *_size(0), f"--system-config={json.dumps(health)}"], settings, environ)
    deadline = time.monotonic() + START_SECONDS
    while not is_listening(address):
        if not node.is_running() or time.monotonic() > deadline:
            node.stop()
            raise WorkerError(f"No Ray cluster could be started at {address}: see the worker's log.")
        time.sleep(0.1)
    return node


def member(address: str, settings: Settings, environ: Mapping[str, str], *, num_cpu_workers: int) -> Node:
    """Make this machine a part of the cluster; its GPUs are Ray's to find."""
    return Node([f"--address={address}", *_size(num_cpu_workers)], settings, environ)


def is_listening(address: str) -> bool:
    """Whether anything takes connections there."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), CONNECT_SECONDS).close()
    except OSError:
        return False
    return True


def is_own(address: str) -> bool:
    """Whether the address is one of this machine's, so that a head could be started at it."""
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as found:
            found.bind((address.rpartition(":")[0], 0))
    except OSError:
        return False
    return True


def _ip(host: str) -> str:
    return socket.gethostbyname(host)


def _size(num_cpu_workers: int) -> list[str]:
    resources = [f"--resources={json.dumps({CPU_RESOURCE: num_cpu_workers})}"] if num_cpu_workers else []
    return ["--num-cpus=0", f"--object-store-memory={OBJECT_STORE_BYTES}", *resources]
