"""Where each tensor lies in safetensors files: headers only, checked against the files' sizes. No torch.

The format: eight bytes with the header's length, the header as JSON, then the tensors' bytes, to which its offsets are
relative (https://github.com/huggingface/safetensors#format).
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pixart_ui.errors import CheckpointError

ITEM_BYTES: Mapping[str, int] = {
    "F64": 8, "I64": 8, "F32": 4, "I32": 4, "F16": 2, "BF16": 2, "I16": 2, "I8": 1, "U8": 1, "BOOL": 1,
    "F8_E4M3": 1, "F8_E5M2": 1,
}  # fmt: skip
# Longer headers are refused by the library that writes these files.
MAX_HEADER_BYTES = 100_000_000
VARIANTS = ("fp16", "bf16")


@dataclass(frozen=True)
class TensorEntry:
    """One tensor in a file. `dtype` is the format's own word, such as `F16`; `offset` counts from the file's start."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    path: Path
    offset: int
    nbytes: int

    @property
    def numel(self) -> int:
        return math.prod(self.shape)


def read_entries(path: Path) -> dict[str, TensorEntry]:
    """The tensors of one file, by name, in the order of their bytes. Raises CheckpointError where it is not whole."""
    header, start = read_header(path)
    entries = {}
    for name, value in header.items():
        if name != "__metadata__":
            begin, end = value["data_offsets"]
            entries[name] = TensorEntry(name, value["dtype"], tuple(value["shape"]), path, start + begin, end - begin)
    expected = max((entry.offset + entry.nbytes for entry in entries.values()), default=start)
    size = path.stat().st_size
    if size != expected:
        raise _damaged(path, f"it has {size} bytes, its header says {expected}")
    return dict(sorted(entries.items(), key=lambda item: item[1].offset))


def read_folder(folder: Path, variant: str | None = None) -> dict[str, TensorEntry]:
    """The tensors of all safetensors files of a component's folder that are of that variant, shards joined.

    Empty where the folder has none. Raises CheckpointError.
    """
    entries: dict[str, TensorEntry] = {}
    for path in sorted(folder.glob("*.safetensors")):
        if variant_of(path) == variant:
            entries |= read_entries(path)
    return entries


def read_header(path: Path) -> tuple[dict[str, Any], int]:
    """The header as it is, `__metadata__` included, and where the tensors' bytes begin. Raises CheckpointError."""
    try:
        with path.open("rb") as file:
            prefix = file.read(8)
            (length,) = struct.unpack("<Q", prefix) if len(prefix) == 8 else (0,)
            if not 0 < length <= MAX_HEADER_BYTES:
                raise _damaged(path, "it does not begin with a header")
            header = json.loads(file.read(length))
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read ({error.strerror}): get the checkpoint again.") from None
    except ValueError:
        raise _damaged(path, "its header is not JSON") from None
    if not isinstance(header, dict):
        raise _damaged(path, "its header is not a table")
    return header, 8 + length


def variant_of(path: Path) -> str | None:
    """The word in the file's name that says how it is stored, such as `fp16`."""
    return next((part for part in path.name.split(".") if part in VARIANTS), None)


def _damaged(path: Path, reason: str) -> CheckpointError:
    return CheckpointError(f"{path} is damaged ({reason}): run `python -m pixart_ui models verify`, then get it again.")
