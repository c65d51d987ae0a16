"""The memory strategies that a comparison can name: ours, and diffusers' own calls as the guides print them.

Ours are `resident`, `staged`, `streamed`, or a budget such as `ours@2GiB`, for which the planner chooses. Those of
diffusers have the names that `python -m bench list` shows, with `diffusers:` before them; two of them are called like
ours, so the prefix may be left out for the others only. Names and words alone: nothing here can run one.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass

from pixart_ui.byte_size import GIB, parse_bytes
from pixart_ui.errors import InputError
from pixart_ui.events import Residency

OURS = "ours"
THEIRS = "diffusers:"
DEFAULT = Residency.STAGED.value
MAX_SHOWN = 60

# What each of ours does, where one residency is asked for in every phase.
OURS_DESCRIPTIONS: Mapping[str, str] = {
    "resident": "all weights stay on the device",
    "staged": "each component is on the device for its own phase, whole",
    "streamed": "T5 and the transformer pass through the device block by block",
}

# Stock diffusers; `bench/peers` makes pictures with each of them.
DIFFUSERS_DESCRIPTIONS: Mapping[str, str] = {
    "resident": "everything on the GPU",
    "model-offload": "`enable_model_cpu_offload`",
    "sequential-offload": "`enable_sequential_cpu_offload`",
    "group-leaf": "group offload, leaf",
    "group-leaf-stream": "group offload, leaf, stream",
    "group-leaf-record": "group offload, leaf, stream, `record_stream`",
    "group-leaf-low-cpu": "group offload, leaf, stream, `low_cpu_mem_usage`",
    "group-leaf-disk": "group offload, leaf, to disk",
    "group-leaf-tiling": "group offload, leaf, stream, VAE tiling",
    "group-block": "group offload, block",
    "group-block-stream": "group offload, block, stream",
    "group-block-t5": 'group offload, block, stream, `block_modules=["encoder"]` for T5',
    "layerwise-fp8": "layerwise casting, transformer in fp8",
    "layerwise-fp8-t5": "layerwise casting, transformer and T5 in fp8",
    "sharded": "everything on the GPU, from shards of 500 MB",
    "balanced": '`device_map="balanced"` over several GPUs',
    "balanced-max-memory": '`device_map="balanced"` and `max_memory` over several GPUs',
    "pipeline-auto": 'the guides\' `device_map="auto"` on the pipeline',
    "staged": "staged, fp16",
    "staged-latents": "staged, fp16, the VAE apart",
    "staged-tiling": "staged, fp16, the VAE apart and tiled",
    "staged-max-memory": 'staged, fp16, `device_map="auto"` with `max_memory`',
    "staged-int8": "staged, 8-bit T5",
    "staged-nf4": "staged, nf4 T5",
    "staged-fp4": "staged, fp4 T5",
    "staged-load-in-8bit": "the guides' `load_in_8bit=True`",
    "quantized-int8": "everything on the GPU, T5 and transformer in 8 bit",
    "quantized-nf4": "everything on the GPU, T5 and transformer in nf4",
    "quantized-fp4": "everything on the GPU, T5 and transformer in fp4",
    "at-once": "everything on the GPU, all pictures in one call",
    "at-once-slicing": "everything on the GPU, all pictures in one call, VAE slicing",
    "vae-tiling": "everything on the GPU, VAE tiling",
    "vae-channels-last": "everything on the GPU, VAE channels-last",
    "attention-math": "attention: math kernel",
    "attention-flash": "attention: flash kernel",
    "attention-efficient": "attention: memory-efficient kernel",
    "attention-cudnn": "attention: cuDNN kernel",
    "attention-backend": "attention: `set_attention_backend`, cuDNN",
    "attention-slicing": "`enable_attention_slicing`",
    "attention-xformers": "`enable_xformers_memory_efficient_attention`",
    "fuse-qkv": "`fuse_qkv_projections`",
    "compile-blocks": "`compile_repeated_blocks`",
    "compile": "`torch.compile` of the transformer",
    "traced": "`torch.jit.trace` of the transformer",
}


@dataclass(frozen=True)
class Strategy:
    """One way to hold the weights. `name` is the only spelling of it: what a sweep, a key and a report say.

    `peer` is diffusers' name without the prefix, None for ours. Ours has either a residency or a budget in bytes.
    """

    name: str
    description: str
    peer: str | None = None
    residency: Residency | None = None
    budget_bytes: int | None = None

    @property
    def is_ours(self) -> bool:
        return self.peer is None


def parse(text: str) -> Strategy:
    """The strategy of that name. Raises InputError for an unknown name or a budget that is none."""
    name = text.strip()
    if name in OURS_DESCRIPTIONS:
        return Strategy(name, OURS_DESCRIPTIONS[name], residency=Residency(name))
    if name.partition("@")[0] == OURS:
        return _under_budget(name)
    peer = name.removeprefix(THEIRS)
    if peer in DIFFUSERS_DESCRIPTIONS:
        return Strategy(f"{THEIRS}{peer}", DIFFUSERS_DESCRIPTIONS[peer], peer=peer)
    raise _unknown(name)


def names() -> tuple[str, ...]:
    """Every name that can be chosen; a budget may be another one than the example's."""
    return *OURS_DESCRIPTIONS, f"{OURS}@2GiB", *(f"{THEIRS}{name}" for name in DIFFUSERS_DESCRIPTIONS)


def _under_budget(name: str) -> Strategy:
    budget = name.partition("@")[2]
    if not budget:
        raise InputError("Strategy 'ours' has no budget, it must say one: write it like ours@2GiB.", "strategy")
    count = parse_bytes(budget, "Budget")
    written = f"{count / GIB:g}GiB"
    description = f"planned for a budget of {written.replace('GiB', ' GiB')}"
    return Strategy(f"{OURS}@{written}", description, budget_bytes=count)


def _unknown(name: str) -> InputError:
    """Not a list of all fifty: the nearest one, ours, and where the others are named."""
    shown = name if len(name) <= MAX_SHOWN else name[: MAX_SHOWN - 1] + "…"
    near = difflib.get_close_matches(name[:MAX_SHOWN], [*names(), *DIFFUSERS_DESCRIPTIONS], n=1)
    guess = f", did you mean {near[0]!r}? Choose" if near else ": choose"
    return InputError(
        f"Unknown strategy {shown!r}{guess} {', '.join(OURS_DESCRIPTIONS)}, a budget such as {OURS}@2GiB, or one of "
        f"diffusers' {len(DIFFUSERS_DESCRIPTIONS)}, which `python -m bench list` names.",
        "strategy",
    )
