"""How many bytes a component takes on the device, from the names and shapes of its tensors alone: no torch.

`shape_of` turns names and shapes into a `ComponentShape` for a precision, whatever the files hold at present. They come
from the headers of files (`tensorfile.py`), or from the functions below, which list the tensors of the published
checkpoints, so that a plan can be made before anything is fetched. Tests hold them equal to the libraries' modules.

What must stay true: the bytes are those that `layout.py` gives the converted file.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from pixart_ui.catalog import Checkpoint, Component
from pixart_ui.engine.layout import spread
from pixart_ui.engine.tensorfile import VARIANTS, TensorEntry, read_folder
from pixart_ui.engine.units import Place, aligned, unit_of
from pixart_ui.request import Precision, TransformerPrecision

WEIGHTS: tuple[Component, ...] = ("text_encoder", "transformer", "vae")
QUANTIZED = frozenset({Precision.INT8, Precision.NF4, Precision.FP4})
# Four-bit weights have one fp32 scale for each block of so many.
SCALE_BLOCK = 64
# Layers of the transformer that diffusers leaves in 16 bits beside fp8: its default patterns and the model's own.
NOT_FP8 = re.compile(r"pos_embed|patch_embed|norm|^proj_in\.|^proj_out\.|adaln_single|scale_shift_table")

TensorShape = tuple[int, ...]
Tensors = Mapping[str, TensorShape]


@dataclass(frozen=True)
class ComponentShape:
    """A component on the device, in bytes: its root, and its units in the order of use.

    The other facts scale what work on it takes: `num_parameters` on the device, `width` (of the hidden states; of the
    VAE's last level), and the number of weights in the `largest_matrix`. A transformer below 16 bits comes whole: it
    has no units but `whole_layers`. `largest_segment` is what the root or a unit takes at most as it is in the file.
    """

    root_bytes: int
    unit_bytes: tuple[int, ...] = ()
    num_parameters: int = 0
    width: int = 0
    largest_matrix: int = 0
    whole_layers: int = 0
    largest_segment: int = 0

    @property
    def num_units(self) -> int:
        return len(self.unit_bytes)

    @property
    def is_whole(self) -> bool:
        return self.whole_layers > 0

    @property
    def depth(self) -> int:
        """How many parts compute one after the other, whether they can be streamed or not."""
        return self.whole_layers if self.is_whole else self.num_units

    @cached_property
    def _streamed(self) -> dict[int, tuple[int, ...]]:
        """What was worked out already: a planner asks for the same again and again."""
        return {}

    @cached_property
    def total_bytes(self) -> int:
        return self.root_bytes + sum(self.unit_bytes)

    def streamed(self, kept_units: int) -> tuple[int, ...]:
        """The bytes of the units that do not stay."""
        if kept_units not in self._streamed:
            kept = spread(kept_units, self.num_units)
            self._streamed[kept_units] = tuple(size for index, size in enumerate(self.unit_bytes) if index not in kept)
        return self._streamed[kept_units]

    def device_bytes(self, kept_units: int, slots: int) -> int:
        """What it takes with so many units kept and the others passing through slots."""
        streamed = self.streamed(kept_units)
        return self.total_bytes - sum(streamed) + min(slots, len(streamed)) * max(streamed, default=0)


Shapes = dict[Component, ComponentShape]


def tensors_of(entries: Mapping[str, TensorEntry]) -> dict[str, TensorShape]:
    """Names and shapes from the headers of files."""
    return {name: entry.shape for name, entry in entries.items()}


def shape_of(
    component: Component,
    tensors: Tensors,
    precision: Precision,
    *,
    is_cpu: bool,
    sample_size: int | None = None,
    transformer_precision: TransformerPrecision | None = None,
) -> ComponentShape:
    """Bytes on the device at that precision. A transformer's `sample_size` adds its table of positions.

    It is in 16 bits where `transformer_precision` is None.
    """
    if component == "transformer" and transformer_precision is not None and not transformer_precision.is_16_bit:
        return _whole_shape(tensors, transformer_precision, is_cpu=is_cpu, sample_size=sample_size)
    root, parameters, largest = _positions_bytes(component, tensors, sample_size), 0, 0
    units: dict[int, int] = {}
    in_file: dict[int | Place, int] = {}
    for name, shape in tensors.items():
        place = unit_of(component, name)
        if isinstance(place, int):
            units[place] = units.get(place, 0) + _tensor_bytes(component, name, shape, precision, is_cpu)
        elif place is Place.ROOT:
            root += _tensor_bytes(component, name, shape, precision, is_cpu)
        if isinstance(place, int) or place is Place.ROOT:
            in_file[place] = in_file.get(place, 0) + _tensor_bytes(component, name, shape, precision, is_cpu=False)
            parameters += math.prod(shape)
            largest = max(largest, math.prod(shape) if len(shape) == 2 else 0)
    sizes = tuple(units[index] for index in sorted(units))
    largest_segment = max(in_file.values(), default=0)
    return ComponentShape(root, sizes, parameters, _width(component, tensors), largest, largest_segment=largest_segment)


def published_shapes(
    checkpoint: Checkpoint,
    precision: Precision,
    *,
    is_cpu: bool,
    transformer_precision: TransformerPrecision | None = None,
) -> Shapes:
    """The three components of a published checkpoint, by its family and sample size, without its files."""
    has_conditions = checkpoint.family == "alpha" and checkpoint.sample_size == 128
    tensors: dict[Component, Tensors] = {
        "text_encoder": dict(t5_xxl_tensors()),
        "transformer": dict(transformer_tensors(has_conditions)),
        "vae": dict(vae_decoder_tensors()),
    }
    return {
        component: shape_of(
            component,
            tensors[component],
            precision,
            is_cpu=is_cpu,
            sample_size=checkpoint.sample_size,
            transformer_precision=transformer_precision,
        )
        for component in WEIGHTS
    }


def folder_shapes(
    folder: Path,
    checkpoint: Checkpoint,
    precision: Precision,
    *,
    is_cpu: bool,
    transformer_precision: TransformerPrecision | None = None,
) -> Shapes:
    """The three components of a local folder, from its headers. Raises CheckpointError.

    What is pickled has no headers to read: the published component stands for it.
    """
    shapes = published_shapes(checkpoint, precision, is_cpu=is_cpu, transformer_precision=transformer_precision)
    for component in WEIGHTS:
        entries = next(filter(None, (read_folder(folder / component, variant) for variant in (None, *VARIANTS))), None)
        if entries is not None:
            shapes[component] = shape_of(
                component,
                tensors_of(entries),
                precision,
                is_cpu=is_cpu,
                sample_size=checkpoint.sample_size,
                transformer_precision=transformer_precision,
            )
    return shapes


def is_quantized(name: str, shape: TensorShape) -> bool:
    """Whether the quantized precisions quantize this tensor of T5: the linear layers of its blocks, but for `wo`."""
    return (
        len(shape) == 2
        and name.startswith("encoder.block.")
        and ".wo." not in name
        and "relative_attention_bias" not in name
    )


def _tensor_bytes(component: Component, name: str, shape: TensorShape, precision: Precision, is_cpu: bool) -> int:
    count = math.prod(shape)
    if component == "text_encoder" and precision in QUANTIZED and is_quantized(name, shape):
        return _eight_bit_bytes(shape) if precision is Precision.INT8 else _four_bit_bytes(shape)
    is_wide = component == "text_encoder" and ".wo." in name and precision is not Precision.BF16
    return aligned(count * (4 if is_cpu or is_wide else 2))


def _whole_shape(
    tensors: Tensors, precision: TransformerPrecision, *, is_cpu: bool, sample_size: int | None
) -> ComponentShape:
    """A transformer below 16 bits: everything is root, as nothing of it can be streamed."""
    return ComponentShape(
        _positions_bytes("transformer", tensors, sample_size)
        + sum(_whole_tensor_bytes(name, shape, precision, is_cpu) for name, shape in tensors.items()),
        num_parameters=sum(math.prod(shape) for shape in tensors.values()),
        width=_width("transformer", tensors),
        largest_matrix=max((math.prod(shape) for shape in tensors.values() if len(shape) == 2), default=0),
        whole_layers=len({place for name in tensors if isinstance(place := unit_of("transformer", name), int)}),
    )


def _whole_tensor_bytes(name: str, shape: TensorShape, precision: TransformerPrecision, is_cpu: bool) -> int:
    """fp8 takes weights and biases alike, bitsandbytes the weights of every linear layer."""
    if precision is TransformerPrecision.FP8 and not NOT_FP8.search(name):
        return aligned(math.prod(shape))
    is_linear = len(shape) == 2 and name.endswith(".weight")
    if precision is TransformerPrecision.INT8 and is_linear:
        return _eight_bit_bytes(shape)
    if precision is TransformerPrecision.NF4 and is_linear:
        return _four_bit_bytes(shape)
    return aligned(math.prod(shape) * (4 if is_cpu else 2))


def _eight_bit_bytes(shape: TensorShape) -> int:
    """One scale a row."""
    return aligned(math.prod(shape)) + aligned(4 * shape[0])


def _four_bit_bytes(shape: TensorShape) -> int:
    count = math.prod(shape)
    return aligned(-(-count // 2)) + aligned(4 * -(-count // SCALE_BLOCK))


def _positions_bytes(component: Component, tensors: Tensors, sample_size: int | None) -> int:
    """The transformer's table of positions: fp32, in no file, made for the square of its sample size."""
    projection = tensors.get("pos_embed.proj.weight")
    if component != "transformer" or projection is None or sample_size is None:
        return 0
    width, patch = projection[0], projection[-1]
    return aligned(4 * width * (sample_size // patch) ** 2)


def _width(component: Component, tensors: Tensors) -> int:
    name, axis = {
        "text_encoder": ("encoder.final_layer_norm.weight", 0),
        "transformer": ("pos_embed.proj.weight", 0),
        "vae": ("decoder.conv_out.weight", 1),
    }[component]
    return tensors[name][axis] if name in tensors else 0


# The published checkpoints. Configurations: `*/config.json` of PixArt-alpha/PixArt-XL-2-1024-MS and PixArt-Sigma-…


def t5_xxl_tensors() -> Iterator[tuple[str, TensorShape]]:
    """T5 v1.1 XXL's encoder: 24 blocks, states of 4096, a gated feed-forward of 10240."""
    width, inner, heads, layers = 4096, 10240, 64, 24
    yield "shared.weight", (32128, width)
    for index in range(layers):
        attention, forward = (f"encoder.block.{index}.layer.{layer}" for layer in (0, 1))
        for letter in "qkvo":
            yield f"{attention}.SelfAttention.{letter}.weight", (width, width)
        if index == 0:
            yield f"{attention}.SelfAttention.relative_attention_bias.weight", (32, heads)
        yield f"{attention}.layer_norm.weight", (width,)
        yield f"{forward}.DenseReluDense.wi_0.weight", (inner, width)
        yield f"{forward}.DenseReluDense.wi_1.weight", (inner, width)
        yield f"{forward}.DenseReluDense.wo.weight", (width, inner)
        yield f"{forward}.layer_norm.weight", (width,)
    yield "encoder.final_layer_norm.weight", (width,)


def transformer_tensors(has_conditions: bool) -> Iterator[tuple[str, TensorShape]]:
    """PixArt-XL/2: 28 blocks, states of 1152. α at 1024 has micro-conditions (resolution and aspect ratio)."""
    width, captions, frequencies, layers = 1152, 4096, 256, 28
    yield "pos_embed.proj.weight", (width, 4, 2, 2)
    yield "pos_embed.proj.bias", (width,)
    yield from _embedder("adaln_single.emb.timestep_embedder", frequencies, width)
    for condition in ("resolution", "aspect_ratio") if has_conditions else ():
        yield from _embedder(f"adaln_single.emb.{condition}_embedder", frequencies, width // 3)
    yield from _linear("adaln_single.linear", width, 6 * width)
    yield from _embedder("caption_projection", captions, width)
    for index in range(layers):
        block = f"transformer_blocks.{index}"
        yield f"{block}.scale_shift_table", (6, width)
        for attention in ("attn1", "attn2"):
            for name in ("to_q", "to_k", "to_v", "to_out.0"):
                yield from _linear(f"{block}.{attention}.{name}", width, width)
        yield from _linear(f"{block}.ff.net.0.proj", width, 4 * width)
        yield from _linear(f"{block}.ff.net.2", 4 * width, width)
    yield "scale_shift_table", (2, width)
    yield from _linear("proj_out", width, 32)


def vae_decoder_tensors() -> Iterator[tuple[str, TensorShape]]:
    """Stable Diffusion's decoder: levels of 512, 512, 256 and 128 channels, three residual blocks each."""
    latent, top, levels = 4, 512, (512, 512, 256, 128)
    yield from _convolution("post_quant_conv", latent, latent, 1)
    yield from _convolution("decoder.conv_in", latent, top)
    yield from _norm("decoder.mid_block.attentions.0.group_norm", top)
    for name in ("to_q", "to_k", "to_v", "to_out.0"):
        yield from _linear(f"decoder.mid_block.attentions.0.{name}", top, top)
    for index in range(2):
        yield from _residual(f"decoder.mid_block.resnets.{index}", top, top)
    before = top
    for level, channels in enumerate(levels):
        for index in range(3):
            yield from _residual(f"decoder.up_blocks.{level}.resnets.{index}", before, channels)
            before = channels
        if level < len(levels) - 1:
            yield from _convolution(f"decoder.up_blocks.{level}.upsamplers.0.conv", channels, channels)
    yield from _norm("decoder.conv_norm_out", before)
    yield from _convolution("decoder.conv_out", before, 3)


def _linear(name: str, inputs: int, outputs: int) -> Iterable[tuple[str, TensorShape]]:
    return (f"{name}.weight", (outputs, inputs)), (f"{name}.bias", (outputs,))


def _embedder(name: str, inputs: int, outputs: int) -> Iterator[tuple[str, TensorShape]]:
    yield from _linear(f"{name}.linear_1", inputs, outputs)
    yield from _linear(f"{name}.linear_2", outputs, outputs)


def _norm(name: str, channels: int) -> Iterable[tuple[str, TensorShape]]:
    return (f"{name}.weight", (channels,)), (f"{name}.bias", (channels,))


def _convolution(name: str, inputs: int, outputs: int, side: int = 3) -> Iterable[tuple[str, TensorShape]]:
    return (f"{name}.weight", (outputs, inputs, side, side)), (f"{name}.bias", (outputs,))


def _residual(name: str, inputs: int, outputs: int) -> Iterator[tuple[str, TensorShape]]:
    yield from _norm(f"{name}.norm1", inputs)
    yield from _convolution(f"{name}.conv1", inputs, outputs)
    yield from _norm(f"{name}.norm2", outputs)
    yield from _convolution(f"{name}.conv2", outputs, outputs)
    if inputs != outputs:
        yield from _convolution(f"{name}.conv_shortcut", inputs, outputs, 1)
