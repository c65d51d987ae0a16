"""Where each weight of a component lies on its way to the device: plain arithmetic on file headers, no torch.

A *segment* is what travels in one go: the root, or one unit (see `units.py`). Inside a segment every tensor has its
place, the same for each pass, so that a module's parameters can be views that are made once. Query, key and value
matrices of an attention lie behind one another, and so do their biases: one product can take them all (`fused.py`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pixart_ui.catalog import Component
from pixart_ui.engine.tensorfile import ITEM_BYTES, TensorEntry
from pixart_ui.engine.units import Place, aligned, unit_of

# On a processor weights are stored in 16 bit and computed with in 32; the step between is exact.
WIDENED: Mapping[str, str] = {"F16": "F32", "BF16": "F32"}
# What describes quantized weights without being one: needed when the module is made, not when it runs.
_DESCRIPTIONS = (".quant_map", ".weight_format")
_ATTENTION_INPUT = re.compile(r"(?P<attention>transformer_blocks\..+)\.to_(?P<letter>[qkv])\.(?P<kind>weight|bias)")
_LAST = "~"


@dataclass(frozen=True)
class Piece:
    """One tensor of a segment: where it lies in host memory as stored, and on the device as computed with."""

    entry: TensorEntry
    host_offset: int
    device_offset: int
    device_dtype: str

    @property
    def device_bytes(self) -> int:
        return self.entry.numel * ITEM_BYTES[self.device_dtype]


@dataclass(frozen=True)
class Segment:
    """Tensors that travel together; offsets are relative to its start, each a multiple of the alignment."""

    pieces: tuple[Piece, ...]
    host_bytes: int
    device_bytes: int


@dataclass(frozen=True)
class Layout:
    """A component's weights in the order of their use. `tables` stay on the host, `descriptions` say how to read."""

    root: Segment
    units: tuple[Segment, ...]
    tables: Mapping[str, TensorEntry]
    descriptions: Mapping[str, TensorEntry]

    @property
    def device_bytes(self) -> int:
        return self.root.device_bytes + sum(unit.device_bytes for unit in self.units)

    @property
    def largest_host_bytes(self) -> int:
        return max(segment.host_bytes for segment in (self.root, *self.units))

    def arena_bytes(self, kept: frozenset[int], slots: int) -> int:
        """What the component takes on the device with those units kept and the others passing through slots."""
        streamed = [unit.device_bytes for index, unit in enumerate(self.units) if index not in kept]
        return (
            self.root.device_bytes
            + sum(self.units[index].device_bytes for index in kept)
            + min(slots, len(streamed)) * max(streamed, default=0)
        )


def lay_out(component: Component, entries: Mapping[str, TensorEntry], *, is_widened: bool) -> Layout:
    """Sort a component's tensors into root, units and tables; `is_widened` computes 16-bit weights in 32."""
    root: list[TensorEntry] = []
    units: dict[int, list[TensorEntry]] = {}
    tables: dict[str, TensorEntry] = {}
    descriptions: dict[str, TensorEntry] = {}
    for name, entry in entries.items():
        place = unit_of(component, name)
        if name.endswith(_DESCRIPTIONS) or ".quant_state." in name:
            descriptions[name] = entry
        elif isinstance(place, int):
            units.setdefault(place, []).append(entry)
        elif place is Place.ROOT:
            root.append(entry)
        elif place is Place.HOST:
            tables[name] = entry
    return Layout(
        _segment(root, is_widened),
        tuple(_segment(sorted(units[index], key=_order), is_widened) for index in sorted(units)),
        tables,
        descriptions,
    )


def spread(num_kept: int, num_units: int) -> frozenset[int]:
    """Which units stay on the device, spread evenly so that the others' copies are too."""
    return frozenset(
        index for index in range(num_units) if (index + 1) * num_kept // num_units > index * num_kept // num_units
    )


def _order(entry: TensorEntry) -> tuple[str, ...]:
    """Inside a unit: query, key, value of each attention, biases before weights; then everything else as it comes."""
    match = _ATTENTION_INPUT.fullmatch(entry.name)
    return (match["attention"], match["kind"], str("qkv".index(match["letter"]))) if match is not None else (_LAST,)


def _segment(entries: Iterable[TensorEntry], is_widened: bool) -> Segment:
    pieces = []
    host = device = 0
    for entry in entries:
        dtype = WIDENED.get(entry.dtype, entry.dtype) if is_widened else entry.dtype
        piece = Piece(entry, host, device, dtype)
        pieces.append(piece)
        host += aligned(entry.nbytes)
        device += aligned(piece.device_bytes)
    return Segment(tuple(pieces), host, device)
