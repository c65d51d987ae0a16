"""Strategies with everything on the GPU that differ in how it is computed: VAE, attention, compiled, traced."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from bench.job import CellJob
from bench.peers.parts import Function, Strategy, draw_at_once, dtype, on_device, whole

MAX_TOKENS = 300


def _then(change: Callable[[Any, CellJob], None]) -> Callable[[Any, CellJob], None]:
    """On the device first, then the change."""

    def place(pipeline: Any, job: CellJob) -> None:
        on_device(pipeline, job)
        change(pipeline, job)

    return place


def _slice_vae(pipeline: Any, _job: CellJob) -> None:
    pipeline.vae.enable_slicing()


def _tile_vae(pipeline: Any, job: CellJob) -> None:
    pipeline.vae.enable_tiling()
    if job.tile is not None:
        pipeline.vae.tile_sample_min_size = job.tile
        pipeline.vae.tile_latent_min_size = job.tile // 2 ** (len(pipeline.vae.config.block_out_channels) - 1)


def _channels_last(pipeline: Any, _job: CellJob) -> None:
    pipeline.vae.to(memory_format=torch.channels_last)


def _kernel(backend: SDPBackend) -> Function:
    """Everything inside torch's `sdpa_kernel`, which allows that kernel and no other."""
    return whole(on_device, context=lambda: sdpa_kernel(backend))


def _attention_backend(pipeline: Any, _job: CellJob) -> None:
    pipeline.transformer.set_attention_backend("_native_cudnn")


def _slice_attention(pipeline: Any, _job: CellJob) -> None:
    pipeline.enable_attention_slicing()


def _xformers(pipeline: Any, _job: CellJob) -> None:
    pipeline.enable_xformers_memory_efficient_attention()


def _fuse_qkv(pipeline: Any, _job: CellJob) -> None:
    pipeline.transformer.fuse_qkv_projections()


def _compile_blocks(pipeline: Any, _job: CellJob) -> None:
    """PixArt's transformer does not say which of its blocks repeat; without that the call is refused."""
    pipeline.transformer._repeated_blocks = ["BasicTransformerBlock"]
    pipeline.transformer.compile_repeated_blocks(fullgraph=True)


def _compile(pipeline: Any, _job: CellJob) -> None:
    pipeline.transformer = torch.compile(pipeline.transformer)


class _Plain(torch.nn.Module):
    """The transformer with tensors alone going in and out, as tracing wants it."""

    def __init__(self, transformer: Any) -> None:
        super().__init__()
        self.transformer = transformer

    def forward(
        self, latents: torch.Tensor, states: torch.Tensor, mask: torch.Tensor, timestep: torch.Tensor
    ) -> torch.Tensor:
        sample: torch.Tensor = self.transformer(
            latents,
            encoder_hidden_states=states,
            encoder_attention_mask=mask,
            timestep=timestep,
            added_cond_kwargs={"resolution": None, "aspect_ratio": None},
            return_dict=False,
        )[0]
        return sample


class _Traced(torch.nn.Module):
    """The traced transformer in the place of the pipeline's own."""

    def __init__(self, transformer: Any, traced: Any) -> None:
        super().__init__()
        self.config = transformer.config
        self.dtype, self.device = transformer.dtype, transformer.device
        self.traced = traced

    def forward(self, latents: torch.Tensor, **arguments: Any) -> tuple[torch.Tensor]:
        mask = arguments["encoder_attention_mask"]
        return (self.traced(latents, arguments["encoder_hidden_states"], mask, arguments["timestep"]),)


@torch.no_grad()
def _trace(pipeline: Any, job: CellJob) -> None:
    transformer = pipeline.transformer
    side = transformer.config.sample_size
    latents = torch.randn(2, transformer.config.in_channels, side, side).to(job.device, dtype(job))
    states = torch.randn(2, MAX_TOKENS, transformer.config.caption_channels).to(job.device, dtype(job))
    mask = torch.ones(2, MAX_TOKENS, device=job.device, dtype=torch.int64)
    timestep = torch.full((2,), 500, device=job.device)
    traced = torch.jit.trace(  # type: ignore[no-untyped-call]
        _Plain(transformer), (latents, states, mask, timestep)
    )
    pipeline.transformer = _Traced(transformer, traced)


STRATEGIES = (
    Strategy("at-once", whole(on_device, draw=draw_at_once)),
    Strategy("at-once-slicing", whole(_then(_slice_vae), draw=draw_at_once)),
    Strategy("vae-tiling", whole(_then(_tile_vae))),
    Strategy("vae-channels-last", whole(_then(_channels_last))),
    Strategy("attention-math", _kernel(SDPBackend.MATH)),
    Strategy("attention-flash", _kernel(SDPBackend.FLASH_ATTENTION)),
    Strategy("attention-efficient", _kernel(SDPBackend.EFFICIENT_ATTENTION)),
    Strategy("attention-cudnn", _kernel(SDPBackend.CUDNN_ATTENTION)),
    Strategy("attention-backend", whole(_then(_attention_backend))),
    Strategy("attention-slicing", whole(_then(_slice_attention))),
    Strategy("attention-xformers", whole(_then(_xformers))),
    Strategy("fuse-qkv", whole(_then(_fuse_qkv))),
    Strategy("compile-blocks", whole(_then(_compile_blocks))),
    Strategy("compile", whole(_then(_compile))),
    Strategy("traced", whole(_then(_trace))),
)
