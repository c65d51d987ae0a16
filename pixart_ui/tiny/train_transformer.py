"""Training the transformer, and the text encoder with it at a smaller rate: v-prediction, captions dropped 10 %."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from pixart_ui.tiny import models
from pixart_ui.tiny.data import Shelf
from pixart_ui.tiny.tokens import EOS, MAX_TOKENS
from pixart_ui.tiny.training import Average, Budget, adamw, set_rate

DROPPED = 0.1
TEXT_RATE = 0.2  # of the transformer's learning rate


@dataclass
class Latents:
    """One size of pictures on the device: scaled latents fp16 [count, 4, h, w], captions [count, 8, tokens]."""

    latents: torch.Tensor
    captions: torch.Tensor

    def batch(self, size: int) -> tuple[torch.Tensor, torch.Tensor]:
        device = self.latents.device
        index = torch.randint(len(self.latents), (size,), device=device)
        variant = torch.randint(self.captions.shape[1], (size,), device=device)
        rows = self.captions[index, variant].long()
        empty = torch.zeros(MAX_TOKENS, dtype=torch.long, device=device)
        empty[0] = EOS
        is_dropped = torch.rand(size, device=device) < DROPPED
        return self.latents[index].float(), torch.where(is_dropped[:, None], empty, rows)


def noise_levels(scheduler: Any, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Signal and noise factors by timestep."""
    cumulative = scheduler.alphas_cumprod.to(device)
    return cumulative.sqrt(), (1 - cumulative).sqrt()


def step_loss(
    transformer: Any, text_encoder: Any, clean: torch.Tensor, rows: torch.Tensor, levels: Any, timestep: torch.Tensor
) -> torch.Tensor:
    signal, noise_level = (level[timestep].view(-1, 1, 1, 1) for level in levels)
    noise = torch.randn_like(clean)
    mask = (rows != 0).long()
    states = text_encoder(input_ids=rows, attention_mask=mask)[0]
    predicted = transformer(
        signal * clean + noise_level * noise,
        encoder_hidden_states=states,
        encoder_attention_mask=mask,
        timestep=timestep,
        added_cond_kwargs={"resolution": None, "aspect_ratio": None},
        return_dict=False,
    )[0]
    target = signal * noise - noise_level * clean
    loss: torch.Tensor = (predicted.float() - target).pow(2).mean()
    return loss


@dataclass
class State:
    """What goes on from one part of the training to the next."""

    transformer: Any
    text_encoder: Any
    average: Any
    text_average: Any
    optimizer: Any
    pictures_seen: int = 0


def new_state(transformer: Any, text_encoder: Any, rate: float) -> State:
    return State(
        transformer,
        text_encoder,
        Average(transformer, 0.9995),
        Average(text_encoder, 0.9995),
        adamw([(transformer.parameters(), rate), (text_encoder.parameters(), rate * TEXT_RATE)], betas=(0.9, 0.97)),
    )


def train(state: State, shelves: list[tuple[Latents, float]], scheduler: Any, budget: Budget, batch: int) -> None:
    """`shelves` are sizes of pictures with their share of the batches. Goes on until the budget is over."""
    device = shelves[0][0].latents.device
    levels = noise_levels(scheduler, device)
    compiled = torch.compile(step_loss, dynamic=False) if device.type == "cuda" else step_loss
    parameters = [*state.transformer.parameters(), *state.text_encoder.parameters()]
    shares = torch.tensor([share for _, share in shelves])
    step, mean = 0, None
    while not budget.is_over:
        shelf = shelves[int(torch.multinomial(shares, 1))][0]
        clean, rows = shelf.batch(batch)
        timestep = torch.randint(len(levels[0]), (batch,), device=device)
        set_rate(state.optimizer, budget.factor())
        with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
            value = compiled(state.transformer, state.text_encoder, clean, rows, levels, timestep)
        state.optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(value)
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        state.optimizer.step()
        state.average.update()
        state.text_average.update()
        state.pictures_seen += batch
        step += 1
        mean = value.detach() if mean is None else 0.98 * mean + 0.02 * value.detach()
        if step % 50 == 0:
            budget.log(
                f"transformer step {step} loss {mean.item():.4f}, {state.pictures_seen / 1e6:.2f} M pictures, "
                f"{step * batch / budget.elapsed:.0f}/s"
            )


def compile_ahead(transformer: Any, text_encoder: Any, sizes: Sequence[Shelf], batch: int) -> None:
    """Compile for every size while the scenes are still being drawn: steps on noise at learning rate 0."""
    device = next(transformer.parameters()).device
    state = new_state(transformer, text_encoder, rate=0.0)
    for size in sizes:
        latents = torch.randn(8, 4, size.height // 8, size.width // 8, device=device).half()
        captions = torch.full((8, 8, MAX_TOKENS), EOS, dtype=torch.int16, device=device)
        train(state, [(Latents(latents, captions), 1.0)], models.scheduler(), Budget(0.5), batch)


def dump(state: State) -> dict[str, Any]:
    """Everything that the next part needs."""
    return {
        "transformer": state.transformer.state_dict(),
        "text_encoder": state.text_encoder.state_dict(),
        "average": state.average.module.state_dict(),
        "text_average": state.text_average.module.state_dict(),
        "optimizer": state.optimizer.state_dict(),
        "updates": state.average.updates,
        "pictures_seen": state.pictures_seen,
    }


def load(state: State, kept: dict[str, Any]) -> None:
    """Put back what `dump` gave."""
    state.transformer.load_state_dict(kept["transformer"])
    state.text_encoder.load_state_dict(kept["text_encoder"])
    state.average.module.load_state_dict(kept["average"])
    state.text_average.module.load_state_dict(kept["text_average"])
    state.optimizer.load_state_dict(kept["optimizer"])
    state.average.updates = state.text_average.updates = kept["updates"]
    state.pictures_seen = kept["pictures_seen"]
