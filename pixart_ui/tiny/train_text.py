"""Pretraining the text encoder on parsing: each object's words are to say its shape, colour, size and place.

It stands for the pretraining that the large T5 brings: a caption's colours are bound to its objects before the
transformer starts to learn.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F

from pixart_ui.tiny.data import PARSING_CLASSES
from pixart_ui.tiny.models import WIDTH
from pixart_ui.tiny.training import Budget, adamw, set_rate


def train(text_encoder: Any, ids: torch.Tensor, targets: torch.Tensor, seconds: float, batch: int) -> float:
    """Trains in place; returns the last loss. Shapes as `data.parsing_rows` gives them."""
    device = next(text_encoder.parameters()).device
    head = torch.nn.Linear(WIDTH, sum(PARSING_CLASSES)).to(device)
    optimizer = adamw([(text_encoder.parameters(), 1e-3), (head.parameters(), 1e-3)])

    def loss(rows: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
        states = text_encoder(input_ids=rows, attention_mask=(rows != 0).long())[0]
        answers = head(states).float().split(PARSING_CLASSES, dim=-1)
        parts = [
            F.cross_entropy(answer.flatten(0, 1), wanted[..., column].flatten(), ignore_index=-1)
            for column, answer in enumerate(answers)
        ]
        return torch.stack(parts).sum()

    compiled = torch.compile(loss) if device.type == "cuda" else loss
    budget, step, value = Budget(seconds), 0, torch.zeros(())
    while not budget.is_over:
        index = torch.randint(len(ids), (batch,), device=device)
        set_rate(optimizer, budget.factor())
        with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
            value = compiled(ids[index].long(), targets[index].long())
        optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(value)
        torch.nn.utils.clip_grad_norm_(text_encoder.parameters(), 1.0)
        optimizer.step()
        step += 1
        if step % 50 == 0:
            budget.log(f"text step {step} loss {value.item():.4f}")
    print(f"text: {step} steps, loss {value.item():.4f}", flush=True)
    return value.item()
