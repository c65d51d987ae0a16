"""`driver`: speaks with a Ray cluster for the data folder's journal. The page starts it; nobody else need."""

from __future__ import annotations

import argparse
import importlib.util
import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from pixart_ui.cluster import node
from pixart_ui.cluster.address import AUTO
from pixart_ui.cluster.driver import drive
from pixart_ui.cluster.lane import Site
from pixart_ui.cluster.manifest import Manifest
from pixart_ui.cluster.shelf import Shelf
from pixart_ui.commands.flags import add_device_flags, add_worker_flags
from pixart_ui.commands.lifeline import say, start_log, stop_event
from pixart_ui.errors import DeviceError, PixArtError, WorkerError
from pixart_ui.jobs.lock import CLUSTER_ID, DeviceTaken, device_lock
from pixart_ui.jobs.worker import new_name
from pixart_ui.services import Services
from pixart_ui.settings import Settings

log = logging.getLogger(__name__)


def add_parser(
    subparsers: argparse._SubParsersAction[argparse.ArgumentParser], parents: Sequence[argparse.ArgumentParser]
) -> None:
    parser = subparsers.add_parser("driver", parents=parents, description=__doc__)  # without help: not listed
    add_device_flags(parser)
    add_worker_flags(parser)
    parser.add_argument("--cluster", required=True, metavar="ADDRESS")
    parser.add_argument("--lifeline", action="store_true")
    parser.add_argument("--name", default=None)
    parser.set_defaults(run=run)


def run(settings: Settings, args: argparse.Namespace) -> int:
    stop = stop_event(has_lifeline=args.lifeline)
    try:
        services = Services.open(settings)
        start_log(settings, has_supervisor=args.lifeline)
        with device_lock(CLUSTER_ID, settings.data_dir), _site(services, args) as site:
            say(args.lifeline, event="ready")
            drive(site, stop)
    except PixArtError as error:
        device = error.device_id if isinstance(error, DeviceTaken) else None
        say(args.lifeline, event="ended", kind=type(error).__name__, message=error.message, device=device)
        raise
    log.info("stopped as asked")
    return 0


@contextmanager
def _site(services: Services, args: argparse.Namespace) -> Iterator[Site]:
    """Connected, with what this driver starts on this machine for it."""
    require_ray()
    from pixart_ui.cluster.ray_port import RayCluster

    settings, address = services.settings, services.settings.cluster
    assert address is not None
    started = None
    if address != AUTO and not node.is_listening(address):
        if not node.is_own(address):
            raise WorkerError(
                f"No Ray cluster answers at {address}, and that is no address of this machine: start one there."
            )
        started = node.head(address, settings, os.environ)
    try:
        cluster = RayCluster(address)
        try:
            manifest = Manifest.of(services.catalog, services.hub)
            cluster.publish(manifest)
            _bury_predecessors(services)
            name = args.name if args.name is not None else new_name()
            yield Site(services, cluster, manifest, Shelf(settings.data_dir / "cluster-embeddings"), name)
        finally:
            cluster.close()
    finally:
        if started is not None:
            started.stop()


def _bury_predecessors(services: Services) -> None:
    """Whoever holds the cluster's lock knows that the workers of drivers before it are dead."""
    for worker in services.journal.workers(alive_within=float("inf")):
        if worker.info.get("lock") == CLUSTER_ID or "trouble" in worker.info:
            services.journal.give_back(worker.id)
            services.journal.forget_worker(worker.id)


def require_ray() -> None:
    """Raises DeviceError where it is not installed."""
    if importlib.util.find_spec("ray") is None:
        raise DeviceError(
            "--cluster needs the package ray, which is not installed: run `pip install -r requirements-cluster.txt`."
        )
