"""Phase two: embeddings to latents, one picture at a time, as a generator of steps.

The loop is that of diffusers' PixArt pipelines (`pipeline_pixart_sigma.py`, `pipeline_pixart_alpha.py`), without their
callbacks, so that a step can be watched and the loop left between steps. Guidance is one batch of two, negative first;
without guidance the batch is one. Tests hold the latents equal to the stock pipelines' bit for bit.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch

from pixart_ui.engine.embeddings import Embedding
from pixart_ui.engine.encode import pad_to
from pixart_ui.request import ResolvedRequest

LATENT_PIXELS = 8
# A GPU's libraries prepare themselves for every new length of a prompt, for a twentieth of a second each.
TOKENS_A_STEP = 64


@dataclass(frozen=True)
class Step:
    """`number` of `total` steps is done; `latents` is `[1, 4, height / 8, width / 8]`.

    `clean_latents` is the scheduler's own estimate of the finished picture, where it keeps one.
    """

    number: int
    total: int
    latents: torch.Tensor
    clean_latents: torch.Tensor | None


@torch.no_grad()
def denoise(
    transformer: Any,
    scheduler: Any,
    request: ResolvedRequest,
    prompt: Embedding,
    negative: Embedding | None,
    device: torch.device,
) -> Iterator[Step]:
    """Yield each step; the last one's latents are the picture's. `negative` is None where guidance is off."""
    states, mask = _batch(prompt, negative, request, device, transformer.dtype)
    generator = torch.Generator("cpu").manual_seed(request.seed)
    timesteps = _timesteps(scheduler, request, device)  # before the noise: some schedulers' first sigma depends on it
    latents = _noise(transformer, request, states, generator) * scheduler.init_noise_sigma
    conditions = _micro_conditions(transformer, request, states)
    extra = _step_arguments(scheduler, generator)
    if request.family == "alpha" and hasattr(scheduler, "set_begin_index"):
        scheduler.set_begin_index(0)
    for index, timestep in enumerate(timesteps):
        model_input = torch.cat([latents] * states.shape[0]) if states.shape[0] > 1 else latents
        model_input = scheduler.scale_model_input(model_input, timestep)
        predicted = transformer(
            model_input,
            encoder_hidden_states=states,
            encoder_attention_mask=mask,
            timestep=timestep[None].to(device).expand(model_input.shape[0]),
            added_cond_kwargs=conditions,
            return_dict=False,
        )[0]
        predicted = _guided(predicted, request)
        if transformer.config.out_channels // 2 == transformer.config.in_channels:
            predicted = predicted.chunk(2, dim=1)[0]  # the other half is the learned variance
        result = scheduler.step(predicted, timestep, latents, **extra, return_dict=False)
        # A one-step α checkpoint wants the prediction of the clean latents, as the stock pipeline takes it.
        latents = result[1] if request.family == "alpha" and len(timesteps) == 1 else result[0]
        yield Step(index + 1, len(timesteps), latents, _clean_latents(scheduler))


def as_array(latents: torch.Tensor) -> Any:
    """To NumPy, which has no bf16; fp32 holds every bf16 value exactly."""
    latents = latents.detach().cpu()
    return (latents.float() if latents.dtype is torch.bfloat16 else latents).numpy()


def _batch(
    prompt: Embedding, negative: Embedding | None, request: ResolvedRequest, device: torch.device, dtype: torch.dtype
) -> tuple[torch.Tensor, torch.Tensor]:
    """States `[1 or 2, tokens, width]` and mask `[1 or 2, tokens]` on the device, negative first."""
    rows = [prompt] if negative is None else [negative, prompt]
    num_tokens = max(embedding.mask.shape[1] for embedding in rows)
    if device.type == "cuda":
        num_tokens = min(-(-num_tokens // TOKENS_A_STEP) * TOKENS_A_STEP, request.max_tokens)
    padded = [pad_to(embedding, num_tokens) for embedding in rows]
    states = torch.cat([embedding.states for embedding in padded]).to(device, dtype)
    return states, torch.cat([embedding.mask for embedding in padded]).to(device)


def _noise(
    transformer: Any, request: ResolvedRequest, states: torch.Tensor, generator: torch.Generator
) -> torch.Tensor:
    """The first latents, drawn on the CPU so that a seed means the same on every device."""
    shape = (
        1,
        transformer.config.in_channels,
        request.bin_height // LATENT_PIXELS,
        request.bin_width // LATENT_PIXELS,
    )
    return torch.randn(shape, generator=generator, dtype=states.dtype).to(states.device)


def _timesteps(scheduler: Any, request: ResolvedRequest, device: torch.device) -> torch.Tensor:
    if request.timesteps is not None:
        scheduler.set_timesteps(timesteps=list(request.timesteps), device=device)
    else:
        scheduler.set_timesteps(request.steps, device=device)
    timesteps: torch.Tensor = scheduler.timesteps
    return timesteps


def _micro_conditions(transformer: Any, request: ResolvedRequest, states: torch.Tensor) -> dict[str, Any]:
    """Resolution and aspect ratio, which α was trained with at 1024; nothing for the others."""
    if request.family != "alpha" or transformer.config.sample_size != 128:
        return {"resolution": None, "aspect_ratio": None}
    batch = states.shape[0]
    resolution = torch.tensor([request.bin_height, request.bin_width]).repeat(batch, 1)
    aspect_ratio = torch.tensor([float(request.bin_height / request.bin_width)]).repeat(batch, 1)
    return {"resolution": resolution.to(states), "aspect_ratio": aspect_ratio.to(states)}


def _step_arguments(scheduler: Any, generator: torch.Generator) -> dict[str, Any]:
    """Schedulers differ in what their `step` takes; eta 0 is DDIM without added noise."""
    accepted = inspect.signature(scheduler.step).parameters
    available: dict[str, Any] = {"eta": 0.0, "generator": generator}
    return {name: value for name, value in available.items() if name in accepted}


def _guided(predicted: torch.Tensor, request: ResolvedRequest) -> torch.Tensor:
    if not request.is_guided:
        return predicted
    negative, positive = predicted.chunk(2)
    return negative + request.guidance_scale * (positive - negative)


def _clean_latents(scheduler: Any) -> torch.Tensor | None:
    """What a multistep solver that predicts clean latents noted for its next step; for previews only."""
    outputs = getattr(scheduler, "model_outputs", None)
    is_data_prediction = getattr(scheduler.config, "algorithm_type", "data_prediction") in (
        "dpmsolver++",
        "data_prediction",
    )
    return outputs[-1] if outputs and is_data_prediction else None
