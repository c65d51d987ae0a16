"""What the strategies share: loading a pipeline, drawing with it, making room. All by the libraries' public calls."""

from __future__ import annotations

import gc
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers import DiffusionPipeline

from bench.job import NEGATIVE_PROMPT, CellJob
from bench.recorder import Recorder

Function = Callable[[CellJob, Recorder], None]
Embeddings = tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]


@dataclass(frozen=True)
class Strategy:
    """A named way to make pictures with stock diffusers.

    `function` makes the job's pictures and reports to the recorder. `needs` are packages, imported before the clock
    starts. `prepare` writes another form of the checkpoint into the folder it gets, before the clock as well.
    """

    name: str
    function: Function
    needs: tuple[str, ...] = ()
    prepare: Callable[[CellJob, Path], Path] | None = None


def dtype(job: CellJob) -> torch.dtype:
    """fp16, as the guides have it; few processors have fast 16-bit arithmetic."""
    return torch.float32 if job.device == "cpu" else torch.float16


def load(job: CellJob, **components: Any) -> Any:
    """The pipeline as the checkpoint has it, on the CPU; `components` replace its own, None leaves one out."""
    pipeline = DiffusionPipeline.from_pretrained(job.checkpoint, dtype=dtype(job), **components)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def settings(job: CellJob, index: int) -> dict[str, Any]:
    """What every call of a pipeline gets for one picture."""
    return {
        "num_inference_steps": job.steps,
        "guidance_scale": job.guidance_scale,
        "width": job.size,
        "height": job.size,
        "generator": torch.Generator("cpu").manual_seed(job.seed(index)),
    }


def draw(pipeline: Any, job: CellJob, recorder: Recorder) -> None:
    """Picture by picture from the prompts."""
    for index, prompt in enumerate(job.prompts()):
        callback = recorder.on_step("encode and denoise")
        image = pipeline(prompt, negative_prompt=NEGATIVE_PROMPT, callback=callback, **settings(job, index)).images[0]
        recorder.save(image)


def draw_at_once(pipeline: Any, job: CellJob, recorder: Recorder) -> None:
    """All pictures in one call."""
    shared = settings(job, 0)
    shared["generator"] = [settings(job, index)["generator"] for index in range(job.num_images)]
    callback = recorder.on_step("encode and denoise")
    images = pipeline(list(job.prompts()), negative_prompt=NEGATIVE_PROMPT, callback=callback, **shared).images
    for image in images:
        recorder.save(image)


def encode(pipeline: Any, job: CellJob) -> list[Embeddings]:
    """The embeddings of every prompt, cleaned as a plain call of the pipeline cleans it."""
    with torch.no_grad():
        return [
            pipeline.encode_prompt(prompt, negative_prompt=NEGATIVE_PROMPT, device=job.device, clean_caption=True)
            for prompt in job.prompts()
        ]


def embedded(embeddings: Embeddings) -> dict[str, Any]:
    """Embeddings as a pipeline takes them; a negative prompt beside them would be refused."""
    states, mask, negative_states, negative_mask = embeddings
    return {
        "negative_prompt": None,
        "prompt_embeds": states,
        "prompt_attention_mask": mask,
        "negative_prompt_embeds": negative_states,
        "negative_prompt_attention_mask": negative_mask,
    }


def whole(
    place: Callable[[Any, CellJob], None],
    *,
    draw: Callable[[Any, CellJob, Recorder], None] = draw,
    context: Callable[[], AbstractContextManager[Any]] = nullcontext,
) -> Function:
    """A strategy with one pipeline: load it, let `place` put it where it works, draw inside `context`."""

    def function(job: CellJob, recorder: Recorder) -> None:
        with recorder.phase("load"):
            pipeline = load(job)
            place(pipeline, job)
        with context():
            draw(pipeline, job, recorder)

    return function


def on_device(pipeline: Any, job: CellJob) -> None:
    pipeline.to(job.device)


def release() -> None:
    """Give back what nobody holds any more, as the guides do between their stages."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
