"""Ray, and the only place that imports it: finds the slots of a cluster, starts a worker on each, carries calls.

Ray holds nothing that lasts: queue, attempts and results are the journal's. So its own retries are off (they run a
method again from its start and swallow what was seen already), each worker is pinned to its node, and nothing waits in
Ray behind something else.
"""

from __future__ import annotations

import json
import logging
import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import ray
from ray._raylet import GcsClient  # type: ignore[attr-defined]
from ray.exceptions import GetTimeoutError, RayActorError, RayError, RayTaskError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from pixart_ui.cluster.address import AUTO
from pixart_ui.cluster.manifest import Manifest
from pixart_ui.cluster.node import CPU_RESOURCE, OBJECT_STORE_BYTES
from pixart_ui.cluster.wire import CPU, END, GPU, Actor, Description, HostConfig, Pulse, Slot, Stream, Wanted
from pixart_ui.errors import EngineLost, PixArtError, WorkerError

NAMESPACE = "pixart_ui"
MANIFEST_KEY = b"manifest"
# A frozen machine is noticed by us; Ray, which has to see it too before it lets go of its GPUs, soon after.
HEALTH = {"health_check_period_ms": 1000, "health_check_timeout_ms": 2000, "health_check_failure_threshold": 3}
CONTROL = "control"
ACTOR: Mapping[str, Any] = {
    "max_restarts": 0,
    "max_task_retries": 0,
    "num_cpus": 0,
    "concurrency_groups": {CONTROL: 2},
}
# What is answered while a run goes on.
CONTROL_METHODS = frozenset({"pulse", "cancel"})

log = logging.getLogger(__name__)


class GpuWorker:
    """`host.Host` as an actor; `CONTROL_METHODS` have threads of their own."""

    def __init__(self, config: HostConfig) -> None:
        self._config = config
        self._host: Any = None

    def describe(self) -> Description:
        """Opens the device. Raises WorkerError with the reason, which Ray carries as it is."""
        from pixart_ui.cluster.host import Host

        try:
            self._host = Host(self._config)
        except PixArtError as error:
            raise WorkerError(error.message) from None
        described: Description = self._host.describe()
        return described

    def pulse(self) -> Pulse:
        beat: Pulse = self._host.pulse()
        return beat

    def cancel(self, run: int, indices: Sequence[int]) -> None:
        self._host.cancel(run, indices)

    def latents_keys(self, requests: Sequence[Any]) -> list[str]:
        keys: list[str] = self._host.latents_keys(requests)
        return keys

    def wanted(self, requests: Sequence[Any], scopes: Sequence[str]) -> Wanted:
        found: Wanted = self._host.wanted(requests, scopes)
        return found

    def run(self, *arguments: Any) -> Iterator[Any]:
        yield from self._host.run(*arguments)


class RayCluster:
    """A connection of this process to a cluster; there is one at a time."""

    def __init__(self, address: str, temp_dir: Path | None = None) -> None:
        """For `auto` start one on this machine, which ends with this process. Raises WorkerError."""
        own = {
            "address": "local",
            "num_cpus": 0,
            "include_dashboard": False,
            "object_store_memory": OBJECT_STORE_BYTES,
            "_system_config": HEALTH,
            "_temp_dir": None if temp_dir is None else str(temp_dir),
        }
        handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            ray.init(
                **(own if address == AUTO else {"address": address}),
                namespace=NAMESPACE,
                log_to_driver=False,
                configure_logging=False,
            )
            for number, handler in handlers.items():
                signal.signal(number, handler)  # Ray's own would leave at once, in the middle of a write
        except (RayError, ConnectionError, RuntimeError, ValueError, AssertionError) as error:
            raise WorkerError(f"The Ray cluster {address} cannot be used ({_first_line(error)}).") from error
        # A processor draws only where there is no GPU in a cluster of one's own.
        self._has_processor = address == AUTO and not any(_count(node, "GPU") for node in ray.nodes())

    def publish(self, manifest: Manifest) -> None:
        """Let machines that want to join see what they must have."""
        address = ray.get_runtime_context().gcs_address
        content = json.dumps(manifest.as_json()).encode()
        GcsClient(address=address).internal_kv_put(MANIFEST_KEY, content, True, NAMESPACE.encode())

    def slots(self) -> frozenset[Slot]:
        try:
            nodes = ray.nodes()
        except RayError as error:
            raise WorkerError(f"The cluster's head does not answer ({_first_line(error)}).") from error
        return frozenset(slot for node in nodes if node["Alive"] for slot in self._slots_of(node))

    def _slots_of(self, node: Mapping[str, Any]) -> Iterator[Slot]:
        name, host = node["NodeID"], node["NodeManagerHostname"]
        num_cpu = _count(node, CPU_RESOURCE) + self._has_processor
        for kind, count in ((GPU, _count(node, "GPU")), (CPU, num_cpu)):
            yield from (Slot(name, host, kind, index) for index in range(count))

    def start(self, config: HostConfig) -> Actor:
        needs: dict[str, Any] = {}
        if config.slot.kind == GPU:
            needs["num_gpus"] = 1
        elif not self._has_processor:
            needs["resources"] = {CPU_RESOURCE: 1}
        strategy = NodeAffinitySchedulingStrategy(config.slot.node, soft=False)
        remote = ray.remote(**ACTOR)(GpuWorker)
        return RayActor(remote.options(scheduling_strategy=strategy, **needs).remote(config))

    def close(self) -> None:
        ray.shutdown()


class RayActor:
    """A worker on some node, by Ray's handle of it."""

    def __init__(self, handle: Any) -> None:
        self._handle = handle

    def ask(self, method: str, *arguments: Any, timeout_seconds: float) -> Any:
        return _get(self._call(method).remote(*arguments), timeout_seconds)

    def tell(self, method: str, *arguments: Any) -> None:
        with suppress(RayError):  # who is gone need not be told
            self._call(method).remote(*arguments)

    def _call(self, method: str) -> Any:
        called = getattr(self._handle, method)
        return called.options(concurrency_group=CONTROL) if method in CONTROL_METHODS else called

    def stream(self, method: str, *arguments: Any) -> Stream:
        return RayStream(getattr(self._handle, method).options(num_returns="streaming").remote(*arguments))

    def kill(self) -> None:
        if ray.is_initialized():  # else it ended with the connection
            with suppress(RayError):
                ray.kill(self._handle)


class RayStream:
    """The items of a streaming call. Nothing of it outlives a worker that is lost."""

    def __init__(self, references: Any) -> None:
        self._references = references

    def next(self, timeout_seconds: float) -> Any:
        try:
            ready, _ = ray.wait([self._references], timeout=timeout_seconds)
            return _get(next(self._references), timeout_seconds=None) if ready else None
        except StopIteration:
            return END
        except RayActorError as error:
            raise EngineLost(f"The worker's process is gone ({_first_line(error)}).") from None


def read_manifest(address: str, timeout_seconds: float) -> Manifest | None:
    """What an app that uses the cluster wants of who joins; None where no app does. Raises WorkerError."""
    try:
        client = GcsClient(address=address)
        content = client.internal_kv_get(MANIFEST_KEY, NAMESPACE.encode(), timeout=timeout_seconds)
    except (RayError, RuntimeError, ConnectionError) as error:
        raise WorkerError(f"No Ray cluster answers at {address} ({_first_line(error)}).") from error
    return Manifest.parse(json.loads(content)) if content else None


def _get(reference: Any, timeout_seconds: float | None) -> Any:
    try:
        return ray.get(reference, timeout=timeout_seconds)
    except GetTimeoutError:
        raise EngineLost(f"The worker did not answer within {timeout_seconds:g} seconds.") from None
    except RayActorError as error:
        raise EngineLost(f"The worker's process is gone ({_first_line(error)}).") from None
    except RayTaskError as error:
        if isinstance(error.cause, PixArtError):
            raise WorkerError(error.cause.message) from None
        raise EngineLost(f"The worker failed ({_first_line(error.cause)}).") from error
    except RayError as error:
        raise EngineLost(f"The worker's machine is gone ({_first_line(error)}).") from None


def _count(node: Mapping[str, Any], resource: str) -> int:
    return int(node["Resources"].get(resource, 0))


def _first_line(error: BaseException) -> str:
    return f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"[:300].rstrip(".: ")
