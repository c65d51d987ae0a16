"""Components on the device: loaded for the phase that needs them, kept or dropped as the plan says.

A component that leaves is deleted, never copied back: its weights are read-only and come from the file again. (An int8
module that is moved to the CPU keeps its memory on the GPU.) Casting happens while loading and nowhere else.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, PixArtTransformer2DModel
from safetensors import SafetensorError
from transformers import AutoTokenizer, T5EncoderModel, T5Tokenizer

from pixart_ui.catalog import Component
from pixart_ui.engine import memory
from pixart_ui.engine.device import Device
from pixart_ui.engine.precision import QUANTIZED, text_encoder_arguments
from pixart_ui.errors import CheckpointError
from pixart_ui.events import Residency
from pixart_ui.request import Precision


@dataclass(frozen=True)
class Source:
    """Which weights: equal sources share one module on the device. `variant` is a word in the files' names."""

    component: Component
    folder: Path
    precision: Precision
    is_pickled: bool = False
    variant: str | None = None


@dataclass
class Loaded:
    """A module on the device. `load_seconds` and `bytes_moved` are 0 where it was there already.

    `module` is emptied when a staged component leaves, so that no variable of the phase keeps it on the device.
    """

    module: Any
    weight_bytes: int
    load_seconds: float
    bytes_moved: int


class Components:
    """What is on one device now. Used by the one thread that owns it."""

    def __init__(self, device: Device) -> None:
        self._device = device
        self._kept: dict[Source, Loaded] = {}

    @contextmanager
    def on_device(self, source: Source, residency: Residency) -> Iterator[Loaded]:
        """The component, for the length of the block; afterwards it stays if `residency` is resident.

        Raises CheckpointError where its files cannot be loaded.
        """
        kept = self._kept.get(source)
        loaded = Loaded(kept.module, kept.weight_bytes, 0.0, 0) if kept is not None else self._load(source)
        if residency is Residency.RESIDENT:
            self._kept[source] = loaded
        try:
            yield loaded
        finally:
            if residency is not Residency.RESIDENT:
                self._kept.pop(source, None)
                loaded.module = None
                if kept is not None:
                    kept.module = None
                memory.release(self._device)

    def keep_only(self, sources: Iterable[Source]) -> None:
        """Drop everything else."""
        wanted = set(sources)
        dropped = [source for source in self._kept if source not in wanted]
        for source in dropped:
            del self._kept[source]
        if dropped:
            memory.release(self._device)

    def make_room(self, source: Source, needed_bytes: int) -> None:
        """Drop everything else where `source` is still to come and the device has less than `needed_bytes` free."""
        if source not in self._kept and self._device.memory()[0] < needed_bytes:
            self.keep_only(())

    def kept_bytes(self) -> int:
        return sum(loaded.weight_bytes for loaded in self._kept.values())

    def _load(self, source: Source) -> Loaded:
        started = time.perf_counter()
        module = _load_module(source, self._device)
        module.eval().requires_grad_(False)
        size = memory.weight_bytes(module)
        if self._device.is_cuda:
            torch.cuda.synchronize(self._device.torch_device)
        return Loaded(module, size, time.perf_counter() - started, 0 if self._device.id == "cpu" else size)


def load_tokenizer(folder: Path) -> Any:
    """T5's tokenizer, also from a folder with a bare `spiece.model` as the Hub has it. Raises CheckpointError."""
    has_config = (folder / "tokenizer_config.json").exists() or (folder / "tokenizer.json").exists()
    with as_checkpoint_error(folder):
        return (AutoTokenizer if has_config else T5Tokenizer).from_pretrained(folder, local_files_only=True)


def _load_module(source: Source, device: Device) -> Any:
    with as_checkpoint_error(source.folder):
        if source.component == "text_encoder":
            return _load_text_encoder(source, device)
        cls = PixArtTransformer2DModel if source.component == "transformer" else AutoencoderKL
        module, report = cls.from_pretrained(
            source.folder,
            torch_dtype=device.storage_dtype(source.precision),
            use_safetensors=not source.is_pickled,
            variant=source.variant,
            local_files_only=True,
            output_loading_info=True,
        )
        _refuse_incomplete(source, report)
        # Widening on a CPU is exact; a GPU keeps the stored type.
        return module.float() if device.torch_device.type == "cpu" else module.to(device.torch_device)


def _load_text_encoder(source: Source, device: Device) -> Any:
    arguments = text_encoder_arguments(source.precision, device)
    module, report = T5EncoderModel.from_pretrained(
        source.folder,
        device_map={"": device.torch_device},
        variant=source.variant,
        local_files_only=True,
        output_loading_info=True,
        **arguments,
    )
    _refuse_incomplete(source, report)
    if source.precision not in QUANTIZED and device.torch_device.type == "cpu":
        return module.float()
    return module


def _refuse_incomplete(source: Source, report: dict[str, Any]) -> None:
    """The libraries fill what a file lacks with random numbers and a warning; here it is an error."""
    missing = sorted(str(key) for key in report.get("missing_keys", ()))
    mismatched = sorted(str(key) for key in report.get("mismatched_keys", ()))
    if missing or mismatched:
        raise CheckpointError(
            f"The {source.component} in {source.folder} lacks {len(missing)} weights and has {len(mismatched)} of a "
            f"wrong shape (first: {(missing + mismatched)[0]}): fetch or copy the checkpoint again."
        )


@contextmanager
def as_checkpoint_error(folder: Path) -> Iterator[None]:
    """What the libraries raise for unreadable files, as one sentence. Out of memory passes through."""
    try:
        yield
    except (torch.cuda.OutOfMemoryError, torch.AcceleratorError, MemoryError):
        raise
    except RuntimeError as error:
        # transformers reports whatever went wrong while bitsandbytes quantized in one general error
        if "out of memory" in str(error).lower() or ("conversion" in str(error) and torch.cuda.is_available()):
            raise MemoryError from error
        raise _unreadable(folder, error) from error
    except (OSError, ValueError, KeyError, SafetensorError, TypeError, NotImplementedError) as error:
        raise _unreadable(folder, error) from error


def _unreadable(folder: Path, error: Exception) -> CheckpointError:
    reason = " ".join(str(error).split())[:200] or type(error).__name__
    return CheckpointError(
        f"{folder} cannot be loaded ({reason}): run `python -m pixart_ui models verify`, then fetch or copy the "
        "checkpoint again."
    )
