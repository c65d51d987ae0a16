"""Modules whose weights come through a pager: the library's own module, its parameters views of the pager's memory.

The forward pass stays the library's, so that its numbers do. A hook before the first module of each unit asks the pager
for the unit. Several calls can be run side by side, unit by unit, so that every prompt is its own sequence and the
weights still pass only once: each call is a greenlet that pauses at each unit until the others have come there too.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import greenlet
import torch
from diffusers import AutoencoderKL, PixArtTransformer2DModel
from diffusers.models.embeddings import PatchEmbed
from transformers import T5Config, T5EncoderModel

from pixart_ui.catalog import Component
from pixart_ui.engine.layout import WIDENED, Layout, lay_out
from pixart_ui.engine.pager import DTYPES, ROOT, Pager
from pixart_ui.engine.reading import cut_short, read_errors
from pixart_ui.engine.tensorfile import TensorEntry
from pixart_ui.engine.units import first_module
from pixart_ui.errors import CheckpointError

# LLM.int8()'s threshold in transformers' BitsAndBytesConfig, which the stock pipelines load with.
INT8_THRESHOLD = 6.0
T = TypeVar("T")
ByUnit = Generator[Callable[[], bool], None, T]


def to_the_end(running: ByUnit[T]) -> T:
    """What the generator returns, without asking what has arrived."""
    while True:
        try:
            next(running)
        except StopIteration as end:
            found: T = end.value
            return found


class Paged:
    """A component's module, with or without its weights. Belongs to the thread that computes."""

    def __init__(
        self, component: Component, folder: Path, entries: Mapping[str, TensorEntry], device: torch.device
    ) -> None:
        """Make the module without memory for its weights; `entries` are those weights. Raises CheckpointError."""
        self._component: Component = component
        self._folder = folder
        self._device = device
        self._pager: Pager | None = None
        self._restore: dict[int, list[Callable[[], None]]] = {}
        self._calls: dict[greenlet.greenlet, None] = {}
        self._hooks: list[Any] = []
        self._files = {entry.path: _identity(entry.path) for entry in entries.values()}
        self.module: Any = _empty_module(component, folder)
        self.layout = lay_out(component, _known(self.module, entries), is_widened=device.type == "cpu")
        _place_tables(self.module, self.layout, device)
        self._buffers = [
            (owner, name, buffer) for owner in self.module.modules() for name, buffer in _buffers_of(owner)
        ]
        self._shapes = {name: parameter.shape for name, parameter in self.module.named_parameters()}

    @property
    def is_current(self) -> bool:
        """Whether the files are still those whose headers were read."""
        return all(_identity(path) == identity for path, identity in self._files.items())

    @property
    def buffer_bytes(self) -> int:
        """What the module computes from its configuration and has on the device beside its weights."""
        return sum(buffer.nbytes for _, _, buffer in self._buffers)

    def attach(self, pager: Pager) -> None:
        """Take the pager's memory for weights; it may be reading already. Raises CheckpointError."""
        self._pager = pager
        with _disagreement(self._folder):
            for index in (ROOT, *range(len(self.layout.units))):
                views = pager.views(index)
                self._restore[index] = list(_bind(self.module, self._shapes, views, self.layout.descriptions))
            missing = [name for name, parameter in self.module.named_parameters() if parameter.is_meta]
            if missing:
                raise KeyError(f"{len(missing)} weights are missing, the first is {missing[0]}")
        for owner, name, buffer in self._buffers:
            owner._buffers[name] = buffer.to(self._device)
        self._hooks = list(self._add_hooks())

    def detach(self) -> None:
        """Let go of the pager's memory."""
        self._remove_hooks()
        self._restore.clear()
        self._pager = None
        for owner, name, buffer in self._buffers:
            owner._buffers[name] = buffer
        for name, shape in self._shapes.items():
            layer_name, _, kind = name.rpartition(".")
            layer = self.module.get_submodule(layer_name)
            if isinstance(layer, torch.nn.Linear) and type(layer) is not torch.nn.Linear:  # one of bitsandbytes'
                vars(layer).clear()  # it and its weight name each other: neither would leave before a collection
                _replace(self.module, layer_name, torch.nn.Linear(shape[1], shape[0], bias=False, device="meta"))
            else:
                layer._parameters[kind] = torch.nn.Parameter(torch.empty(shape, device="meta"), requires_grad=False)

    def run(self, calls: Sequence[Callable[[], T]]) -> list[T]:
        """Run forward passes of the module side by side; their results in order. An error in one ends all."""
        return to_the_end(self.run_by_unit(calls))

    def run_by_unit(self, calls: Sequence[Callable[[], T]]) -> ByUnit[list[T]]:
        """The same, as a generator that pauses before the root and before each unit.

        What it yields says whether the unit has arrived, so that going on will not wait for it.
        """
        results: list[T | None] = [None] * len(calls)

        def make(index: int, call: Callable[[], T]) -> greenlet.greenlet:
            def body() -> None:
                results[index] = call()

            return greenlet.greenlet(body)

        yield self._question(ROOT)
        self._calls = {make(index, call): None for index, call in enumerate(calls)}
        try:
            while self._calls:
                units = [call.switch() for call in self._calls]
                self._calls = {call: None for call in self._calls if not call.dead}
                if self._calls:
                    yield self._question(units[0])
                    self._enter(units[0])
        finally:
            unfinished, self._calls = [call for call in self._calls if not call.dead], {}
            for call in unfinished:
                call.throw()
        self._end_pass()
        return results  # type: ignore[return-value]

    def _question(self, unit: int) -> Callable[[], bool]:
        pager = self._pager
        assert pager is not None
        return lambda: pager.is_there(unit)

    def _enter(self, unit: int) -> None:
        assert self._pager is not None
        self._pager.enter(unit)
        if self._pager.is_streamed(unit):
            for restore in self._restore.get(unit, ()):
                restore()

    def _add_hooks(self) -> Iterator[Any]:
        """Hooks for as long as weights are on their way; a module that is all there runs without."""
        modules = dict(self.module.named_modules())
        yield from (module.register_forward_pre_hook(self._before_all) for module in self._entrances())
        for unit in range(len(self.layout.units)):
            module = modules[first_module(self._component, unit)]
            yield module.register_forward_pre_hook(self._before_unit(unit))
        yield from (module.register_forward_hook(self._after_forward) for module in self._entrances())

    def _entrances(self) -> list[Any]:
        """The modules that are called from outside; of the VAE only its second half is used."""
        if self._component != "vae":
            return [self.module]
        return [module for module in (self.module.post_quant_conv, self.module.decoder) if module is not None]

    def _before_all(self, *_: Any) -> None:
        assert self._pager is not None
        self._pager.enter(ROOT)

    def _before_unit(self, unit: int) -> Callable[..., None]:
        def hook(*_: Any) -> None:
            current = greenlet.getcurrent()
            if current in self._calls:
                assert current.parent is not None
                current.parent.switch(unit)
            else:
                self._enter(unit)

        return hook

    def _after_forward(self, *_: Any) -> None:
        if greenlet.getcurrent() not in self._calls:
            self._end_pass()

    def _end_pass(self) -> None:
        assert self._pager is not None
        self._pager.end_pass()
        if not self._pager.is_streaming:
            self._remove_hooks()

    def _remove_hooks(self) -> None:
        for hook in self._hooks:
            hook.remove()
        self._hooks = []


class HostEmbedding(torch.nn.Module):
    """An embedding table that stays in its file: only the rows of the prompt are read and brought to the device."""

    def __init__(self, entry: TensorEntry, device: torch.device, dtype: torch.dtype) -> None:
        super().__init__()
        self._entry = entry
        self._device = device
        self._dtype = dtype

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """`[batch, tokens]` of ids to `[batch, tokens, width]`."""
        width = self._entry.shape[1]
        row_bytes = self._entry.nbytes // self._entry.shape[0]
        wanted, places = torch.unique(ids.cpu(), return_inverse=True)
        rows = bytearray(row_bytes * len(wanted))
        path = self._entry.path
        with read_errors(path), path.open("rb") as file:
            for order, row in enumerate(wanted.tolist()):
                file.seek(self._entry.offset + row * row_bytes)
                if file.readinto(memoryview(rows)[order * row_bytes : (order + 1) * row_bytes]) != row_bytes:
                    raise cut_short(path, path.stat().st_size)
        table = torch.frombuffer(rows, dtype=DTYPES[self._entry.dtype]).view(len(wanted), width)
        return table[places].to(self._device, self._dtype)


def _identity(path: Path) -> tuple[int, int, int] | None:
    """What changes when a file is written or replaced; None where it is gone."""
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_ino, stat.st_size, stat.st_mtime_ns


def _empty_module(component: Component, folder: Path) -> Any:
    """The module without memory for its parameters; buffers are real. Raises CheckpointError.

    Only the thread that makes it is told to take no memory: others may load a module meanwhile.
    """
    with _disagreement(folder):
        with torch.device("meta"):
            if component == "text_encoder":
                module = T5EncoderModel(T5Config.from_pretrained(folder, local_files_only=True))
            elif component == "transformer":
                config = PixArtTransformer2DModel.load_config(folder, local_files_only=True)
                module = PixArtTransformer2DModel.from_config(config)
            else:
                module = AutoencoderKL.from_config(AutoencoderKL.load_config(folder, local_files_only=True))
                module.encoder = module.quant_conv = None  # pictures are only decoded
        if component == "transformer":
            _place_positions(module)
    return module.eval().requires_grad_(False)


def _place_positions(transformer: Any) -> None:
    """The table of positions is in no file: it is computed from the configuration, as the module itself does."""
    config, empty = transformer.config, transformer.pos_embed
    made = PatchEmbed(
        height=config.sample_size,
        width=config.sample_size,
        patch_size=config.patch_size,
        in_channels=config.in_channels,
        embed_dim=transformer.inner_dim,
        interpolation_scale=empty.interpolation_scale,
    )
    empty.register_buffer("pos_embed", made.pos_embed, persistent=False)


def _known(module: Any, entries: Mapping[str, TensorEntry]) -> dict[str, TensorEntry]:
    """The weights that the module has a place for, with what describes quantized ones; older files hold more."""
    names = {name for name, _ in module.named_parameters(remove_duplicate=False)}
    layers = {name.rpartition(".")[0] for name in names}

    def belongs(name: str) -> bool:
        return name in names or name.removesuffix(".SCB") in layers or name.partition(".weight.")[0] in layers

    return {name: entry for name, entry in entries.items() if belongs(name)}


def _place_tables(module: Any, layout: Layout, device: torch.device) -> None:
    """The embedding table stays in its file."""
    for entry in layout.tables.values():
        dtype = DTYPES[WIDENED.get(entry.dtype, entry.dtype) if device.type == "cpu" else entry.dtype]
        module.set_input_embeddings(HostEmbedding(entry, device, dtype))


def _buffers_of(owner: Any) -> list[tuple[str, torch.Tensor]]:
    return [(name, buffer) for name, buffer in owner._buffers.items() if buffer is not None]


def _bind(
    module: Any,
    shapes: Mapping[str, torch.Size],
    views: Mapping[str, torch.Tensor],
    descriptions: Mapping[str, TensorEntry],
) -> Iterator[Callable[[], None]]:
    """Make each view the parameter of that name; quantized ones come with a layer of bitsandbytes around them.

    Yields what must be done again before a unit that was streamed anew is used.
    """
    for name, view in views.items():
        layer_name, _, kind = name.rpartition(".")
        if kind == "SCB" or name.endswith(".absmax"):
            continue  # belongs to the weight beside it
        if f"{layer_name}.SCB" in views:
            _replace(module, layer_name, _int8_layer(view, views[f"{layer_name}.SCB"]))
        elif f"{name}.absmax" in views:
            layer, restore = _four_bit_layer(name, view, views[f"{name}.absmax"], descriptions)
            _replace(module, layer_name, layer)
            if view.device.type == "cpu":
                yield restore
        else:
            if shapes[name] != view.shape:
                raise ValueError(f"{name} has the shape {tuple(view.shape)}")
            module.get_submodule(layer_name)._parameters[kind] = torch.nn.Parameter(view, requires_grad=False)


def _replace(module: Any, name: str, layer: Any) -> None:
    parent, _, leaf = name.rpartition(".")
    setattr(module.get_submodule(parent), leaf, layer.eval())


def _int8_layer(weight: torch.Tensor, scales: torch.Tensor) -> Any:
    import bitsandbytes

    layer = bitsandbytes.nn.Linear8bitLt(
        weight.shape[1], weight.shape[0], bias=False, has_fp16_weights=False, threshold=INT8_THRESHOLD, device="meta"
    )
    layer.weight = bitsandbytes.nn.Int8Params(
        weight, requires_grad=False, has_fp16_weights=False, CB=weight, SCB=scales
    )
    return layer


def _four_bit_layer(
    name: str, weight: torch.Tensor, absmax: torch.Tensor, descriptions: Mapping[str, TensorEntry]
) -> tuple[Any, Callable[[], None]]:
    """`weight` is packed `[numel / 2, 1]`; shape, type and code table are in the descriptions.

    Some processors repack the weight into memory of their own at the first pass; the second value undoes that.
    """
    import bitsandbytes

    (state,) = [entry for key, entry in descriptions.items() if key.startswith(f"{name}.quant_state.")]
    facts = json.loads(_read(state))
    code = torch.frombuffer(bytearray(_read(descriptions[f"{name}.quant_map"])), dtype=torch.float32)
    shape, dtype = torch.Size(facts["shape"]), getattr(torch, facts["dtype"])
    layer = bitsandbytes.nn.Linear4bit(shape[1], shape[0], bias=False, compute_dtype=dtype, device="meta")
    code = code.to(weight.device)

    def bind() -> None:
        quant_state = bitsandbytes.functional.QuantState(
            absmax=absmax,
            shape=shape,
            code=code,
            blocksize=facts["blocksize"],
            quant_type=facts["quant_type"],
            dtype=dtype,
        )
        layer.quant_state = quant_state
        layer.weight = bitsandbytes.nn.Params4bit(
            weight,
            requires_grad=False,
            quant_state=quant_state,
            blocksize=facts["blocksize"],
            compress_statistics=False,
            quant_type=facts["quant_type"],
            module=layer,
            bnb_quantized=True,
        )

    bind()
    return layer, bind


def _read(entry: TensorEntry) -> bytes:
    with entry.path.open("rb") as file:
        file.seek(entry.offset)
        return file.read(entry.nbytes)


@contextmanager
def _disagreement(folder: Path) -> Iterator[None]:
    """A configuration that does not fit its weights, as one sentence."""
    try:
        yield
    except (AttributeError, KeyError, ValueError, TypeError, OSError) as error:
        reason = " ".join(str(error).split())[:200]
        raise CheckpointError(
            f"The weights and the configuration in {folder} do not agree ({reason}): fetch or copy the checkpoint "
            "again."
        ) from error
