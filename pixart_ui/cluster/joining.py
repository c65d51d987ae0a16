"""Makes this machine a part of a cluster, once versions, code, checkpoints and device were checked."""

from __future__ import annotations

import importlib.util
import os
import sys
import threading
from collections.abc import Mapping
from dataclasses import replace

from pixart_ui.cluster import node
from pixart_ui.cluster.address import is_loopback, parse_cluster
from pixart_ui.cluster.environment import TOKEN_NAME, TOKEN_VARIABLES, ray_environment
from pixart_ui.cluster.manifest import Manifest, differences
from pixart_ui.devices import is_processor
from pixart_ui.errors import DeviceError, InputError, WorkerError
from pixart_ui.gpus import num_gpus
from pixart_ui.hub import Hub
from pixart_ui.services import catalog, make_folders
from pixart_ui.settings import Settings

POLL_SECONDS = 0.5
ANSWER_SECONDS = 10.0


def join(text: str, settings: Settings, environ: Mapping[str, str], stop: threading.Event) -> int:
    """Until `stop` is set. Raises InputError, DeviceError, WorkerError: why it may not, or cannot."""
    address = parse_cluster(text)
    if is_loopback(address):
        raise InputError(
            f"Cluster {address} is for its own machine alone: give an address of it that this one can reach, such as "
            "192.168.1.10:6379."
        )
    make_folders(settings)
    added = {**environ, **_environment(address, settings, environ)}
    os.environ.update(added)  # before Ray is imported, which looks there
    num_cpu_workers = _num_cpu_workers(settings, environ)
    _check(address, settings)
    return _stay(address, settings, added, num_cpu_workers, stop)


def _environment(address: str, settings: Settings, environ: Mapping[str, str]) -> Mapping[str, str]:
    if importlib.util.find_spec("ray") is None:
        raise DeviceError(
            "--cluster needs the package ray, which is not installed: run `pip install -r requirements-cluster.txt`."
        )
    path = settings.data_dir / TOKEN_NAME
    if not path.exists() and not any(name in environ for name in TOKEN_VARIABLES):
        raise InputError(
            f"The token of the cluster is not on this machine: copy {TOKEN_NAME} from the app's data folder to {path}."
        )
    return ray_environment(replace(settings, cluster=address), environ)


def _num_cpu_workers(settings: Settings, environ: Mapping[str, str]) -> int:
    """0 where GPUs draw. Raises DeviceError where neither was asked for nor found."""
    if is_processor(settings.device):
        return 1
    if num_gpus(environ) == 0:
        raise DeviceError(
            "This machine has no usable NVIDIA GPU to bring along: install its driver, or join with --device cpu."
        )
    return 0


def _check(address: str, settings: Settings) -> None:
    """Raises InputError for what is not as the app wants it, WorkerError where nobody answers."""
    from pixart_ui.cluster.ray_port import read_manifest

    wanted = read_manifest(address, ANSWER_SECONDS)
    if wanted is None:
        raise InputError(
            f"No app draws on the cluster at {address} yet: start it there with `python app.py --cluster {address}`."
        )
    own = Manifest.of(catalog(), Hub(settings.checkpoints_dir))
    if problems := differences(own, wanted):
        raise InputError(f"This machine may not join: {'; '.join(problems)}. Install here what is there.")
    missing = sorted(set(wanted.checkpoints) - set(own.checkpoints))
    print(f"Versions, code and checkpoints are those of the app at {address}.", file=sys.stderr)
    if missing:
        print(f"Not on this disk, so left to others: {', '.join(missing)}.", file=sys.stderr)


def _stay(
    address: str, settings: Settings, environ: Mapping[str, str], num_cpu_workers: int, stop: threading.Event
) -> int:
    """Ray's processes run beside this one. Raises WorkerError where they end by themselves."""
    member = node.member(address, settings, environ, num_cpu_workers=num_cpu_workers)
    try:
        while member.is_running():
            if stop.wait(POLL_SECONDS):
                return 0
    finally:
        member.stop()
    raise WorkerError(f"Ray on this machine ended: the app at {address} has gone, or gave this machine up. Join again.")
