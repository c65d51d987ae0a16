"""Reading a checkpoint's tensors one at a time, from safetensors or pickled files, under the names they have now."""

from __future__ import annotations

import pickle
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch

from pixart_ui.engine.forms import WeightSource, current_name
from pixart_ui.engine.tensorfile import TensorEntry
from pixart_ui.engine.units import Place, unit_of
from pixart_ui.errors import CheckpointError

DTYPES: Mapping[str, torch.dtype] = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I8": torch.int8,
    "U8": torch.uint8,
}
WORDS = {dtype: word for word, dtype in DTYPES.items()}


class Reader(Protocol):
    """One tensor as the checkpoint has it."""

    @property
    def dtype(self) -> str: ...

    @property
    def shape(self) -> tuple[int, ...]: ...

    def read(self) -> torch.Tensor: ...


@dataclass(frozen=True)
class _FromFile:
    """Read straight: a file that is cut short under a memory map would end the process."""

    entry: TensorEntry

    @property
    def dtype(self) -> str:
        return self.entry.dtype

    @property
    def shape(self) -> tuple[int, ...]:
        return self.entry.shape

    def read(self) -> torch.Tensor:
        """Raises CheckpointError where the bytes are not there."""
        tensor = torch.empty(self.entry.shape, dtype=DTYPES[self.entry.dtype])
        target = bytes_of(tensor)
        with _as_checkpoint_error(self.entry.path), self.entry.path.open("rb", buffering=0) as file:
            file.seek(self.entry.offset)
            done = 0
            while done < len(target):
                count = file.readinto(target[done:])
                if not count:
                    raise EOFError("it was cut short while it was read")
                done += count
        return tensor


@dataclass(frozen=True)
class _FromPickle:
    """A tensor of a pickled file, which torch maps."""

    tensor: torch.Tensor

    @property
    def dtype(self) -> str:
        return WORDS.get(self.tensor.dtype, str(self.tensor.dtype))

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.tensor.shape)

    def read(self) -> torch.Tensor:
        return self.tensor


def readers(source: WeightSource) -> dict[str, Reader]:
    """The tensors that are of use, under the names they have now."""
    found: dict[str, Reader] = {}
    for path in source.files():
        if path.suffix != ".safetensors":
            found |= {name: _FromPickle(tensor) for name, tensor in _unpickle(path).items()}
    found |= {name: _FromFile(entry) for name, entry in source.entries().items()}
    return {
        current_name(source.component, name): reader
        for name, reader in found.items()
        if unit_of(source.component, name) is not Place.UNUSED
    }


def _unpickle(path: Path) -> dict[str, torch.Tensor]:
    """The tensors of a pickled file; nothing in it is executed."""
    with _as_checkpoint_error(path):
        try:
            values = torch.load(path, map_location="cpu", mmap=True, weights_only=True)
        except RuntimeError:  # written before 2020: such files cannot be mapped
            values = torch.load(path, map_location="cpu", weights_only=True)
    if not isinstance(values, Mapping):
        raise CheckpointError(f"{path} holds no table of tensors: get the checkpoint again.")
    return {str(name): value for name, value in values.items() if isinstance(value, torch.Tensor)}


def bytes_of(tensor: torch.Tensor) -> memoryview:
    """The numbers as they lie in memory, which must be the processor's."""
    array: Any = tensor.detach().contiguous().reshape(-1).view(torch.uint8).numpy()
    return memoryview(array)


@contextmanager
def _as_checkpoint_error(path: Path) -> Iterator[None]:
    """What reading raises for files that are not what they should be, as one sentence."""
    try:
        yield
    except (OSError, EOFError, RuntimeError, ValueError, pickle.UnpicklingError) as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise CheckpointError(
            f"{path} cannot be read ({reason}): run `python -m pixart_ui models verify`, then get the checkpoint again."
        ) from error
