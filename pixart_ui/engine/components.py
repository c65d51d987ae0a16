"""Components on the device: brought for the phase that needs them, kept or let go as the plan says.

A component that leaves is dropped, never copied back: its weights are read-only and come from the file again. The
library's module itself stays, without memory, so that bringing it back costs no more than the transfer.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

import torch
from safetensors import SafetensorError
from transformers import AutoTokenizer, T5Tokenizer

from pixart_ui.catalog import Component
from pixart_ui.engine import memory
from pixart_ui.engine.calibration import Reads
from pixart_ui.engine.conversion import ensure_component
from pixart_ui.engine.device import Device
from pixart_ui.engine.forms import WeightSource
from pixart_ui.engine.paged import ByUnit, Paged
from pixart_ui.engine.pager import Pager, Ring
from pixart_ui.engine.precision import require
from pixart_ui.engine.reading import Reader
from pixart_ui.engine.warmup import WarmUp
from pixart_ui.engine.weights import WeightStore
from pixart_ui.engine.whole import Whole
from pixart_ui.errors import Cancelled, CheckpointError
from pixart_ui.events import PhasePlan, Residency

Progress = Callable[[Component, int, int], None]
Result = TypeVar("Result")


class Kept(Protocol):
    """A module with its weights on the device; counts from when it came there."""

    @property
    def module(self) -> Any: ...

    @property
    def weight_bytes(self) -> int: ...

    @property
    def bytes_moved(self) -> int: ...

    @property
    def wait_seconds(self) -> float: ...

    def run(self, calls: Sequence[Callable[[], Result]]) -> list[Result]: ...

    def run_by_unit(self, calls: Sequence[Callable[[], Result]]) -> ByUnit[list[Result]]: ...

    def close(self) -> None:
        """Take the weights off the device."""


@dataclass(frozen=True)
class _PagedIn:
    """A module whose weights come through a pager."""

    paged: Paged
    pager: Pager

    @property
    def module(self) -> Any:
        return self.paged.module

    @property
    def weight_bytes(self) -> int:
        return self.pager.arena_bytes + self.paged.buffer_bytes

    @property
    def bytes_moved(self) -> int:
        return self.pager.bytes_moved

    @property
    def wait_seconds(self) -> float:
        return self.pager.wait_seconds

    def run(self, calls: Sequence[Callable[[], Result]]) -> list[Result]:
        return self.paged.run(calls)

    def run_by_unit(self, calls: Sequence[Callable[[], Result]]) -> ByUnit[list[Result]]:
        return self.paged.run_by_unit(calls)

    def close(self) -> None:
        self.paged.detach()
        self.pager.close()


class Loaded:
    """A component on the device, for one phase; what it waited and moved is counted from the phase's beginning."""

    def __init__(self, kept: Kept, setup_seconds: float) -> None:
        self._kept: Kept | None = kept
        self._setup_seconds = setup_seconds
        self._moved_before = 0 if setup_seconds else kept.bytes_moved
        self._waited_before = 0.0 if setup_seconds else kept.wait_seconds

    @property
    def module(self) -> Any:
        return self._there.module

    @property
    def weight_bytes(self) -> int:
        """What its weights take on the device, slots included."""
        return self._there.weight_bytes

    @property
    def load_seconds(self) -> float:
        """How long computing stood still for weights; 0 where they were there."""
        return self._setup_seconds + self._there.wait_seconds - self._waited_before

    @property
    def bytes_moved(self) -> int:
        return self._there.bytes_moved - self._moved_before

    def run(self, calls: Sequence[Callable[[], Result]]) -> list[Result]:
        """Forward passes side by side, each its own sequence, while the weights pass once."""
        return self._there.run(calls)

    def run_by_unit(self, calls: Sequence[Callable[[], Result]]) -> ByUnit[list[Result]]:
        """The same, with a pause before each unit; what is yielded says whether the unit has arrived."""
        return self._there.run_by_unit(calls)

    def let_go(self) -> None:
        """So that no variable of the phase keeps the component on the device."""
        self._kept = None

    @property
    def _there(self) -> Kept:
        assert self._kept is not None
        return self._kept


class Components:
    """What is on one device now. Used by the one thread that owns it; only `prepare` may run in another."""

    def __init__(self, device: Device, store: WeightStore) -> None:
        self._device = device
        self._store = store
        self._reader = Reader()
        self._ring = Ring.of(device.torch_device)
        self._modules: dict[WeightSource, Paged] = {}
        self._kept: dict[WeightSource, Kept] = {}
        self.warm_up = WarmUp(device, self._ring)

    def prepare(self, source: WeightSource, progress: Progress) -> None:
        """Have the component's weights in the wanted form, converting them where nobody has. Raises CheckpointError."""
        if not self.is_prepared(source):
            if source.component == "text_encoder":
                require(source.precision)
            with as_checkpoint_error(source.folder):
                entries = ensure_component(
                    self._store, source, self._device, lambda done, total: progress(source.component, done, total)
                )
                self._modules[source] = Paged(source.component, source.folder, entries, self._device.torch_device)

    @contextmanager
    def on_device(self, source: WeightSource, plan: PhasePlan) -> Iterator[Loaded]:
        """The component that was prepared, for the length of the block; it stays if the plan says resident.

        Raises CheckpointError where its files cannot be read.
        """
        if plan.residency is Residency.STREAMED:
            self._drop(source)  # what lies there whole from an earlier plan
        kept = self._kept.get(source)
        loaded = self._bring(source, plan) if kept is None else Loaded(kept, 0.0)
        is_whole = False
        try:
            yield loaded
            is_whole = True
        except (Cancelled, GeneratorExit):
            is_whole = True  # both come between steps: by then all of it has arrived
            raise
        finally:
            loaded.let_go()
            if not is_whole or plan.residency is not Residency.RESIDENT:
                self._drop(source)

    def keep_only(self, sources: Iterable[WeightSource]) -> None:
        """Drop everything else."""
        wanted = set(sources)
        for source in [source for source in self._kept if source not in wanted]:
            self._drop(source)
        for source in [source for source in self._modules if source not in wanted]:
            del self._modules[source]

    def leave_only(self, components: Iterable[Component]) -> None:
        """Take the others off the device; they come again when they are needed."""
        wanted = set(components)
        for source in [source for source in self._kept if source.component not in wanted]:
            self._drop(source)

    def sources_now(self) -> tuple[WeightSource, ...]:
        """What lies on the device; safe to ask from another thread."""
        return tuple(self._kept)

    def on_device_now(self) -> frozenset[Component]:
        return frozenset(source.component for source in self.sources_now())

    def reads(self) -> Reads:
        """What was read from files since this was asked last."""
        return self._reader.meter.take()

    def kept_bytes(self) -> int:
        """What all weights on the device take now."""
        return sum(kept.weight_bytes for kept in self._kept.values())

    def bytes_now(self) -> dict[str, int]:
        """What each component on the device takes now; safe to ask from another thread."""
        return {source.component: kept.weight_bytes for source, kept in tuple(self._kept.items())}

    def is_prepared(self, source: WeightSource) -> bool:
        """What comes whole is made anew at each load; anything else while its files are as they were."""
        if source.whole is not None or source in self._kept:
            return True
        return source in self._modules and self._modules[source].is_current

    def close(self) -> None:
        """Take everything off the device and end the reading threads."""
        self.keep_only(())
        self.warm_up.wait()
        self._reader.close()
        self._ring.close()

    def _bring(self, source: WeightSource, plan: PhasePlan) -> Loaded:
        started = time.perf_counter()
        if source.whole is not None:
            with as_checkpoint_error(source.folder):
                self._kept[source] = Whole(source, self._device)
        else:
            self._page_in(source, plan)
        return Loaded(self._kept[source], time.perf_counter() - started)

    def _page_in(self, source: WeightSource, plan: PhasePlan) -> None:
        """Begin to load; the computing waits for each part when it comes to it."""
        paged = self._modules[source]
        layout = paged.layout
        kept = plan.kept_units if plan.residency is Residency.STREAMED else len(layout.units)
        pager = Pager(
            layout,
            self._device.torch_device,
            self._ring,
            self._reader,
            kept_units=kept,
            slots=plan.slots,
            is_repeated=source.component == "transformer",
        )
        self._kept[source] = _PagedIn(paged, pager)
        try:
            pager.start()
            paged.attach(pager)
        except BaseException:
            self._drop(source)
            raise

    def _drop(self, source: WeightSource) -> None:
        kept = self._kept.pop(source, None)
        if kept is not None:
            kept.close()
            memory.release(self._device)


def load_tokenizer(folder: Path) -> Any:
    """T5's tokenizer, also from a folder with a bare `spiece.model` as the Hub has it. Raises CheckpointError.

    Code that a folder brings is refused: unless told so, the library would ask about it on stdin.
    """
    has_config = (folder / "tokenizer_config.json").exists() or (folder / "tokenizer.json").exists()
    with as_checkpoint_error(folder):
        tokenizers = AutoTokenizer if has_config else T5Tokenizer
        return tokenizers.from_pretrained(folder, local_files_only=True, trust_remote_code=False)


@contextmanager
def as_checkpoint_error(folder: Path) -> Iterator[None]:
    """What the libraries raise for unreadable files, as one sentence. Out of memory passes through."""
    try:
        yield
    except (torch.cuda.OutOfMemoryError, torch.AcceleratorError, MemoryError):
        raise
    except (OSError, ValueError, KeyError, SafetensorError, TypeError, NotImplementedError) as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise CheckpointError(
            f"{folder} cannot be loaded ({reason}): run `python -m pixart_ui models verify`, then fetch or copy the "
            "checkpoint again."
        ) from error
