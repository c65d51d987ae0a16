"""Training the VAE: random 128-px crops, L1 + gradient L1 + squared error, a whisper of KL."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F

from pixart_ui.tiny.training import Average, Budget, adamw, set_rate

CROP = 128
KL_WEIGHT = 1e-6


def crops(pictures: torch.Tensor, batch: int) -> torch.Tensor:
    """[batch, 3, CROP, CROP] in -1 … 1 from uint8 [count, height, width, 3]; one crop place for the batch's groups."""
    device = pictures.device
    index = torch.randint(len(pictures), (batch,), device=device)
    height, width = pictures.shape[1:3]
    top = torch.randint(height - CROP + 1, (batch, 1, 1), device=device)
    left = torch.randint(width - CROP + 1, (batch, 1, 1), device=device)
    rows = top + torch.arange(CROP, device=device)[None, :, None]
    columns = left + torch.arange(CROP, device=device)[None, None, :]
    patch = pictures[index[:, None, None], rows, columns]
    return patch.permute(0, 3, 1, 2).float() / 127.5 - 1


def loss(vae: Any, pixels: torch.Tensor) -> torch.Tensor:
    posterior = vae.encode(pixels).latent_dist
    # not posterior.sample(): its generator argument breaks the compiled graph
    latents = posterior.mean + posterior.std * torch.randn_like(posterior.mean)
    decoded = vae.decode(latents).sample.float()
    kl: torch.Tensor = posterior.kl().mean() / 3  # a pixel's number of channels
    across = (decoded.diff(dim=3) - pixels.diff(dim=3)).abs().mean()
    down = (decoded.diff(dim=2) - pixels.diff(dim=2)).abs().mean()
    value: torch.Tensor = F.l1_loss(decoded, pixels) + 0.5 * (across + down) + F.mse_loss(decoded, pixels)
    return value + KL_WEIGHT * kl


def train(vae: Any, pictures: torch.Tensor, seconds: float, batch: int, rate: float = 2e-3) -> Any:
    """`pictures` are uint8 [count, height, width, 3] on the device. Returns the averaged VAE."""
    device = next(vae.parameters()).device
    vae.to(memory_format=torch.channels_last)
    average = Average(vae, 0.999)
    optimizer = adamw([(vae.parameters(), rate)], betas=(0.9, 0.99), decay=0.0)
    compiled = torch.compile(loss) if device.type == "cuda" else loss
    budget, step = Budget(seconds), 0
    while not budget.is_over:
        pixels = crops(pictures, batch).contiguous(memory_format=torch.channels_last)
        set_rate(optimizer, budget.factor())
        with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
            value = compiled(vae, pixels)
        optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(value)
        torch.nn.utils.clip_grad_norm_(vae.parameters(), 1.0)
        optimizer.step()
        average.update()
        step += 1
        if step % 50 == 0:
            budget.log(f"vae step {step} loss {value.item():.4f}")
    return average.module


@torch.no_grad()
def psnr(vae: Any, pictures: torch.Tensor) -> float:
    """Mean over pictures of the PSNR in dB of decode(encode(picture)), at 8 bits."""
    values = []
    for start in range(0, len(pictures), 16):
        pixels = pictures[start : start + 16].permute(0, 3, 1, 2).float() / 127.5 - 1
        decoded = vae.decode(vae.encode(pixels).latent_dist.mode()).sample.clamp(-1, 1)
        error = ((decoded - pixels) / 2).pow(2).mean(dim=(1, 2, 3))
        values.append(-10 * torch.log10(error))
    return float(torch.cat(values).mean())


@torch.no_grad()
def to_latents(vae: Any, pictures: Any, device: torch.device) -> torch.Tensor:
    """Means of the latents, fp16 [count, 4, height / 8, width / 8], unscaled."""
    parts = []
    for start in range(0, len(pictures), 256):
        chunk = torch.as_tensor(pictures[start : start + 256]).to(device)
        pixels = chunk.permute(0, 3, 1, 2).float() / 127.5 - 1
        with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
            parts.append(vae.encode(pixels).latent_dist.mode().half())
    return torch.cat(parts)
