"""What the three trainings share: averaged weights, a learning rate that ends on time, and a log."""

from __future__ import annotations

import copy
import time
from typing import Any

import torch

LOG_SECONDS = 20


class Average:
    """An exponential moving average of a module's parameters."""

    def __init__(self, module: torch.nn.Module, decay: float) -> None:
        self.module = copy.deepcopy(module).eval().requires_grad_(False)
        self._decay = decay
        self._live: list[torch.Tensor] = list(module.parameters())
        self._mean: list[torch.Tensor] = list(self.module.parameters())
        self.updates = 0

    @torch.no_grad()
    def update(self) -> None:
        self.updates += 1
        decay = min(self._decay, (1 + self.updates) / (10 + self.updates))
        torch._foreach_lerp_(self._mean, self._live, 1 - decay)


class Budget:
    """A wall-clock budget in seconds, as a share from 0 to 1, and the learning rate's factor for it."""

    def __init__(self, seconds: float, *, warm_up: float = 0.02, start: float = 0.0, end: float = 1.0) -> None:
        self._seconds = seconds
        self._started = time.monotonic()
        self._warm_up = warm_up
        self._start, self._end = start, end
        self._logged = 0.0

    @property
    def elapsed(self) -> float:
        return time.monotonic() - self._started

    @property
    def is_over(self) -> bool:
        return self.elapsed >= self._seconds

    @property
    def share(self) -> float:
        """Progress of the whole training, of which this budget may be one part (`start` to `end`)."""
        return self._start + (self._end - self._start) * min(1.0, self.elapsed / self._seconds)

    def factor(self) -> float:
        """Rises over the warm-up of each part, falls to 0 at the end of the whole."""
        rise = min(1.0, self.elapsed / (self._warm_up * self._seconds + 1e-9))
        return rise * min(1.0, (1.0 - self.share) / 0.7)

    def log(self, text: str) -> None:
        if self.elapsed - self._logged > LOG_SECONDS:
            self._logged = self.elapsed
            print(f"[{self.elapsed:6.1f} s] {text}", flush=True)


def set_rate(optimizer: Any, factor: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = group["base"] * factor


def adamw(groups: list[tuple[Any, float]], betas: tuple[float, float] = (0.9, 0.98), decay: float = 0.01) -> Any:
    """AdamW over (parameters, learning rate) pairs; fused where there is a GPU."""
    values = [{"params": list(parameters), "lr": rate, "base": rate} for parameters, rate in groups]
    is_cuda = values[0]["params"][0].is_cuda  # type: ignore[index]
    return torch.optim.AdamW(values, betas=betas, weight_decay=decay, fused=is_cuda)
