"""Requests, and an engine that draws a plain picture: a real one for the worker's loop, which knows no pixels."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from PIL import Image

from pixart_ui.events import (
    Event,
    ImageFailed,
    ImageReady,
    LatentArray,
    LatentsReady,
    Phase,
    PhaseFinished,
    PhaseMeasurement,
    PhaseStarted,
    StepDone,
)
from pixart_ui.request import ResolvedRequest

NUM_STEPS = 4

IsCancelled = Callable[[int], bool]


def request(seed: int = 0, **changes: Any) -> ResolvedRequest:
    return ResolvedRequest.parse(
        {
            "prompt": "a red circle",
            "negative_prompt": "",
            "style": None,
            "full_prompt": "a red circle",
            "full_negative_prompt": "",
            "checkpoint": "tiny",
            "family": "sigma",
            "precision": "fp16",
            "numerics": "fast",
            "width": 256,
            "height": 256,
            "bin_width": 256,
            "bin_height": 256,
            "steps": NUM_STEPS,
            "guidance_scale": 4.5,
            "scheduler": "dpm++",
            "seed": seed,
            "timesteps": None,
            "max_tokens": 300,
            "clean_caption": True,
        }
        | changes
    )


@dataclass
class PlainEngine:
    """Draws a grey square whose shade is the seed; `groups` records.

    `on_encode()` runs inside the encoding, `on_step(index, step)` inside each step, `on_decode(index)` inside the
    decoding.
    """

    on_step: Callable[[int, int], None] = lambda index, step: None
    on_decode: Callable[[int], None] = lambda index: None
    on_encode: Callable[[], None] = lambda: None
    device_id: str = "cpu"
    groups: list[list[int]] = field(default_factory=list)

    def info(self) -> dict[str, Any]:
        return {"name": "Plain", "memory_free_bytes": 1 << 30, "memory_total_bytes": 2 << 30}

    def latents_keys(self, requests: Sequence[ResolvedRequest]) -> list[str]:
        return [request.model_dump_json() for request in requests]

    def run(
        self,
        requests: Sequence[ResolvedRequest],
        is_cancelled: IsCancelled,
        latents: Mapping[int, LatentArray] | None = None,
        scopes: Sequence[str] = (),
    ) -> Iterator[Event]:
        self.groups.append([request.seed for request in requests])
        yield PhaseStarted(Phase.ENCODE)
        self.on_encode()
        yield PhaseFinished(PhaseMeasurement(Phase.ENCODE, 0.0, bytes_moved=1))
        for index, asked in enumerate(requests):
            if is_cancelled(index):
                yield ImageFailed(index, "Cancelled.", is_cancelled=True)
            else:
                yield from self._draw(index, asked, is_cancelled, None if latents is None else latents.get(index))

    def _draw(
        self, index: int, asked: ResolvedRequest, is_cancelled: IsCancelled, latents: LatentArray | None
    ) -> Iterator[Event]:
        yield PhaseStarted(Phase.DENOISE, index)
        if latents is None:
            for step in range(1, asked.steps + 1):
                self.on_step(index, step)
                if is_cancelled(index):
                    yield ImageFailed(index, "Cancelled.", is_cancelled=True)
                    return
                yield StepDone(index, step, asked.steps, Image.new("RGB", (8, 8), (asked.seed % 256,) * 3))
            latents = np.full((1, 4, 1, 1), asked.seed % 256, dtype=np.float32)
            yield LatentsReady(index, latents, {"self_attention": "plain"})
        yield PhaseStarted(Phase.DECODE, index)
        self.on_decode(index)
        shade = Image.new("RGB", (8, 8), (int(latents[0, 0, 0, 0]),) * 3)
        yield ImageReady(index, shade.resize((asked.width, asked.height)), {"versions": {"plain": "1"}})
