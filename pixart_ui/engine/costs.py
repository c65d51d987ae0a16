"""What a group of pictures takes on a device, phase by phase: bytes beside weights, and seconds. No torch.

Formulas give both for a device that nothing is known of; a `Calibration` replaces them by what was measured. The
constants come from an H200 with full-size weights (1024² and 2048², fp16) and scale with the components' widths.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from pixart_ui.byte_size import GIB, MIB
from pixart_ui.catalog import Component
from pixart_ui.engine.calibration import Calibration, Estimate
from pixart_ui.engine.shapes import ComponentShape
from pixart_ui.events import Phase
from pixart_ui.request import Numerics, Precision, TransformerPrecision, usual_transformer_precision

COMPONENT_OF: Mapping[Phase, Component] = {
    Phase.ENCODE: "text_encoder",
    Phase.DENOISE: "transformer",
    Phase.DECODE: "vae",
}
# Sides of the pieces that a picture may be decoded in; None is the whole picture.
TILES = (None, 1024, 768, 512, 384, 256)

# Matrix arithmetic that really happens in a second: a middling card (an H200 reaches 346e12), and two cores of a
# processor in fp32 where it was not measured. Steps reach this part of what a feed-forward alone does there.
DEVICE_FLOPS, PROCESSOR_FLOPS, PROCESSOR_SHARE = 25e12, 0.1e12, 0.8
# Bytes a second where nothing was measured: PCIe 3 × 16, an ordinary NVMe disk, copying on one thread.
LINK_RATE, DISK_RATE, HOST_RATE = 12e9, 2e9, 10e9
# Pinned memory that units pass through again and again; what fits is read once a phase, anything larger once a pass.
RING_BYTES = GIB
# A processor's ring is not pinned, has two slots, and holds nothing from one pass to the next.
PROCESSOR_SLOTS = 2
# Memory that other programs need, so that files of this size less than all RAM are still cached.
RAM_RESERVE_BYTES = 2 * GIB

# Steps in which torch reserves memory of a GPU, and the part of it that lies in gaps where components come and go.
GPU_GRAIN_BYTES, GAPS = 20 * MIB, 0.01
# A picture that was decoded beside steps took so much more than both by themselves.
STREAM_BYTES = 64 * MIB
# Scratch memory of the matrix library, which it keeps (32 MiB on Hopper).
WORKSPACE_BYTES = 32 * MIB
# The widest moment of a block is inside its feed-forward. Reserved for two samples of 4096 tokens × 1152: 341 MiB, of
# 16384 tokens: 1103; a part does not grow with them.
DENOISE_STATES, DENOISE_BASE_BYTES = 14.5, 64 * MIB
# int8 products are 32-bit before they are scaled, and their inputs are there once more in 8 bits (an estimate).
INT8_DENOISE_STATES = 26.0
# Weights a second that are rounded or quantized while they are loaded: T5's 4.76 billion took 6.1 s.
MAKING_RATE = 0.75e9
# What T5 keeps of each token of a pass while other texts have their turn, and of each two of a text (position bias and
# scores). T5-XXL took 326 MiB for five texts of 300 tokens, 174 for two of them, 364 for 32 texts of 75 tokens.
ENCODE_STATES, ENCODE_SCORES, ENCODE_BASE_BYTES = 14.0, 0.029, 32 * MIB
# What a pass takes for each unit of T5 however short its texts are: PixArt-Tiny's dozen took 34 ms for 20 tokens.
PASS_UNIT_SECONDS, PROCESSOR_PASS_UNIT_SECONDS = 100e-6, 2e-3
# Texts run side by side while a block is on the device; more than this many tokens take another pass.
PASS_TOKENS = 2400
# Per pixel of the piece and channel of the last level: 2900 to 3100 bytes reserved for 128 channels, whatever the size
# of the piece. The picture itself is put together in 11 bytes a pixel.
DECODE_STATES = 12.0
PICTURE_BYTES_A_PIXEL = 11

PATCH_PIXELS = 16
# Decoding: measured 86 ms for 10.47 TFLOP while the transformer does 346 a second. Small pieces are slower by half.
# A processor's convolutions are as fast as its other products.
DECODE_FLOPS_A_PIXEL, DECODE_EFFICIENCY, TILE_SLOWDOWN, TILE_STEP = 1.0e7, 0.35, 1.5, 0.75
PROCESSOR_DECODE_EFFICIENCY = 1.0
# Each unit that moves costs the thread that computes a little, however fast it moves (an estimate).
UNIT_SECONDS = 50e-6
# What a pass loses to units of unequal size: this part with two slots, half of it with three, a third with four …
STALL = 0.05


@dataclass(frozen=True)
class Demand:
    """A group of pictures. `width` and `height` are the working size in pixels, `num_texts` those still to be encoded.

    `shapes` are the components as they will be on the device. `num_tokens` is the length of the longest text.
    """

    shapes: Mapping[Component, ComponentShape]
    width: int
    height: int
    steps: int = 20
    is_guided: bool = True
    num_images: int = 1
    num_texts: int = 2
    num_tokens: int = 300
    precision: Precision = Precision.FP16
    numerics: Numerics = Numerics.FAST
    transformer_precision: TransformerPrecision | None = None

    @property
    def transformer(self) -> TransformerPrecision:
        """The transformer's precision; the usual one where none is named."""
        named = self.transformer_precision
        return named if named is not None else usual_transformer_precision(self.precision)

    @property
    def pixels(self) -> int:
        return self.width * self.height

    @property
    def batch(self) -> int:
        """Guidance is one batch of two."""
        return 2 if self.is_guided else 1

    @property
    def num_passes(self) -> int:
        """How often T5's blocks pass for all texts."""
        return -(-self.num_texts // texts_a_pass(self.num_tokens))

    def shape(self, phase: Phase) -> ComponentShape:
        return self.shapes[COMPONENT_OF[phase]]

    def x(self, phase: Phase) -> int:
        """What a phase's bytes and seconds grow with: tokens of a pass, or pixels."""
        if phase is Phase.ENCODE:
            return min(max(1, self.num_texts), texts_a_pass(self.num_tokens)) * self.num_tokens
        return self.pixels

    def kind(self, phase: Phase, tile: int | None = None) -> str:
        """Under which name the calibration keeps what this phase took."""
        shape = self.shape(phase)
        stored = "bf16" if self.precision is Precision.BF16 else "fp16"
        if phase is Phase.ENCODE:
            return f"encode/{shape.width}x{shape.num_units}/{self.precision}/{self.numerics}"
        if phase is Phase.DENOISE:
            return f"denoise/{shape.width}x{shape.depth}/{self.transformer}/{self.numerics}/batch{self.batch}"
        return f"decode/{shape.width}/{stored}/{self.numerics}/{'whole' if tile is None else f'tile{tile}'}"


@dataclass(frozen=True)
class Limits:
    """The device. `budget_bytes` is what tensors may use; on a processor that is RAM.

    `ram_bytes` is the host's memory, None if it is known to hold all files. `on_device` names the components that lie
    there whole at present. What torch reserves grows in steps of `grain_bytes`.
    """

    budget_bytes: int
    is_cpu: bool = False
    ram_bytes: int | None = None
    ring_bytes: int = RING_BYTES
    grain_bytes: int = 1
    on_device: frozenset[Component] = frozenset()
    calibration: Calibration = field(default_factory=Calibration)

    def reserved(self, nbytes: int, *, num_streams: int = 1) -> int:
        """What torch reserves for so many bytes on a GPU: whole steps, with gaps between what came and went.

        Each further stream that work is queued on has small pools of its own.
        """
        if self.grain_bytes == 1:
            return nbytes
        with_gaps = round(nbytes * (1 + GAPS)) + (num_streams - 1) * STREAM_BYTES
        return -(-with_gaps // self.grain_bytes) * self.grain_bytes

    @property
    def link_rate(self) -> float:
        """Host to device, bytes a second; on a processor one part of memory to another."""
        rate = self.calibration.rates.link
        return rate if rate is not None else HOST_RATE if self.is_cpu else LINK_RATE

    @property
    def compute_rate(self) -> float:
        """Operations a second of the transformer's steps."""
        if not self.is_cpu:
            return DEVICE_FLOPS
        measured = self.calibration.rates.compute
        return PROCESSOR_SHARE * (measured if measured is not None else PROCESSOR_FLOPS)

    def is_cached(self, file_bytes: int) -> bool:
        """Whether RAM holds that many bytes of files once they were read."""
        return self.ram_bytes is None or file_bytes <= self.ram_bytes - RAM_RESERVE_BYTES

    def read_rate(self, file_bytes: int) -> float:
        """File to pinned memory, bytes a second: from the page cache, or from the disk."""
        rates = self.calibration.rates
        if self.is_cached(file_bytes):
            return rates.host if rates.host is not None else HOST_RATE
        return rates.disk if rates.disk is not None else DISK_RATE


_Way = tuple[Phase, int | None]


@dataclass(frozen=True)
class Costs:
    """Bytes and seconds of a demand on a device; each is worked out once."""

    demand: Demand
    limits: Limits
    _bytes: dict[_Way, Estimate] = field(default_factory=dict, init=False, repr=False, compare=False)
    _seconds: dict[_Way, Estimate] = field(default_factory=dict, init=False, repr=False, compare=False)

    def activation_bytes(self, phase: Phase, tile: int | None = None) -> Estimate:
        """What the phase takes beside weights."""
        if (phase, tile) not in self._bytes:
            kind, x = self.demand.kind(phase, tile), self.demand.x(phase)
            self._bytes[phase, tile] = self.limits.calibration.predict_bytes(
                kind, x, lambda x: self._bytes_formula(phase, tile, x)
            )
        return self._bytes[phase, tile]

    def unit_seconds(self, phase: Phase, tile: int | None = None) -> Estimate:
        """Computing one pass of texts, one step or one picture, weights being there."""
        if (phase, tile) not in self._seconds:
            kind, x = self.demand.kind(phase, tile), self.demand.x(phase)
            self._seconds[phase, tile] = self.limits.calibration.predict_seconds(
                kind, x, lambda x: self.seconds_formula(phase, tile, x)
            )
        return self._seconds[phase, tile]

    @cached_property
    def first_rate(self) -> float:
        """Bytes a second of a pass that reads."""
        return min(self.limits.link_rate, self.limits.read_rate(self._file_bytes))

    @property
    def disk_rate(self) -> float | None:
        """Bytes a second of the disk where weights wait for it; None where RAM holds them or the link is slower."""
        is_waited_for = not self.limits.is_cached(self._file_bytes) and self.first_rate < self.limits.link_rate
        return self.first_rate if is_waited_for else None

    def later_rate(self, streamed_bytes: int) -> float:
        """Bytes a second of the passes after it: the ring may still hold them all."""
        is_held = not self.limits.is_cpu and streamed_bytes <= self.limits.ring_bytes
        return self.limits.link_rate if is_held else self.first_rate

    def ring_bytes(self, phase: Phase) -> int:
        """What the ring takes of the memory that is planned with: a processor's is in RAM beside the weights."""
        return PROCESSOR_SLOTS * self.demand.shape(phase).largest_segment if self.limits.is_cpu else 0

    def load_seconds(self, phase: Phase) -> float:
        """Bringing all of the phase's component to the device, and making its precision on the way."""
        shape = self.demand.shape(phase)
        making = shape.num_parameters / MAKING_RATE if shape.is_whole else 0.0
        return shape.total_bytes / self.first_rate + making

    def overlapped_seconds(self, phase: Phase, compute_seconds: float, load_seconds: float) -> float:
        """Computing while the component arrives; nothing can begin before its root and its first unit are there."""
        if not load_seconds:
            return compute_seconds
        shape = self.demand.shape(phase)
        if shape.is_whole:
            return load_seconds + compute_seconds
        before = (shape.root_bytes + max(shape.unit_bytes, default=0)) / self.first_rate
        return before + max(compute_seconds, load_seconds) + shape.num_units * UNIT_SECONDS

    def pass_seconds(self, phase: Phase, kept_units: int, slots: int) -> float:
        """Moving the units that do not stay, once, after the first time."""
        streamed = self.demand.shape(phase).streamed(kept_units)
        if not streamed:
            return 0.0
        return sum(streamed) / self.later_rate(sum(streamed)) * stall(slots)

    def seconds_formula(self, phase: Phase, tile: int | None, x: int) -> float:
        """Seconds of one pass of texts, step or picture on a device that nothing is known of."""
        rate = self.limits.compute_rate
        if phase is Phase.ENCODE:
            shape = self.demand.shape(phase)
            unit_seconds = PROCESSOR_PASS_UNIT_SECONDS if self.limits.is_cpu else PASS_UNIT_SECONDS
            return shape.num_units * unit_seconds + 2.0 * shape.num_parameters * x / rate
        if phase is Phase.DENOISE:
            return self._step_flops(x) / rate
        efficiency = PROCESSOR_DECODE_EFFICIENCY if self.limits.is_cpu else DECODE_EFFICIENCY
        return self._decode_flops(x, tile) / (rate * efficiency)

    def _step_flops(self, pixels: int) -> float:
        """Projections and feed-forward, self-attention, cross-attention; two operations a multiplication."""
        shape, texts = self.demand.shape(Phase.DENOISE), self.demand.num_tokens
        width, tokens = shape.width, pixels / PATCH_PIXELS**2
        products = 14 * tokens * width**2 + 2 * tokens**2 * width + 2 * texts * width**2 + 2 * tokens * texts * width
        return 2.0 * products * shape.depth * self.demand.batch

    def _decode_flops(self, pixels: int, tile: int | None) -> float:
        channels = self.demand.shape(Phase.DECODE).width / 128
        if tile is None:
            return DECODE_FLOPS_A_PIXEL * pixels * channels**2
        grown = pixels / self.demand.pixels  # the formula is asked for other sizes too: same proportions
        across = sum(_pieces(self.demand.width, tile)) * sum(_pieces(self.demand.height, tile))
        return DECODE_FLOPS_A_PIXEL * across * grown * channels**2 * TILE_SLOWDOWN

    def _bytes_formula(self, phase: Phase, tile: int | None, x: int) -> float:
        item = 4 if self.limits.is_cpu else 2
        shape = self.demand.shape(phase)
        if phase is Phase.ENCODE:
            states = (ENCODE_STATES + ENCODE_SCORES * self.demand.num_tokens) * x * shape.width * item
            return WORKSPACE_BYTES + ENCODE_BASE_BYTES + states + self._widened_bytes(item)
        if phase is Phase.DENOISE:
            tokens = x / PATCH_PIXELS**2
            widest = INT8_DENOISE_STATES if self.demand.transformer is TransformerPrecision.INT8 else DENOISE_STATES
            states = widest * self.demand.batch * tokens * shape.width * item
            return WORKSPACE_BYTES + DENOISE_BASE_BYTES + states + self._remade_bytes(item)
        piece = x if tile is None else min(tile, self.demand.width) * min(tile, self.demand.height)
        pictures = PICTURE_BYTES_A_PIXEL * x if tile is not None else 0
        return WORKSPACE_BYTES + DECODE_STATES * piece * shape.width * item + pictures

    def _widened_bytes(self, item: int) -> int:
        """Four-bit weights are computed with one widened matrix at a time."""
        is_four_bit = self.demand.precision in (Precision.NF4, Precision.FP4)
        return self.demand.shape(Phase.ENCODE).largest_matrix * item if is_four_bit else 0

    def _remade_bytes(self, item: int) -> int:
        """A transformer below 16 bits is computed with one widened matrix at a time; fp8 narrows it again beside."""
        shape = self.demand.shape(Phase.DENOISE)
        return shape.largest_matrix * (item + 1) if shape.is_whole else 0

    @cached_property
    def _file_bytes(self) -> int:
        """All weights as they are on disk; a processor widens them."""
        on_device = sum(shape.total_bytes for shape in self.demand.shapes.values())
        return on_device // 2 if self.limits.is_cpu else on_device


def texts_a_pass(num_tokens: int) -> int:
    """How many texts of so many tokens run side by side."""
    return max(1, PASS_TOKENS // max(1, num_tokens))


def stall(slots: int) -> float:
    """By how much longer a pass takes than its bytes would."""
    return 1 + STALL / max(1, slots - 1)


def _pieces(side: int, tile: int) -> Iterator[int]:
    """The lengths of the overlapping pieces that diffusers cuts a side into."""
    for start in range(0, side, int(tile * TILE_STEP)):
        yield min(tile, side - start)
