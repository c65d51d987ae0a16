"""The page on real services, a real journal and a checkpoint that is complete but says nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr
import pytest
from PIL import Image

from pixart_ui import tiny
from pixart_ui.events import Phase
from pixart_ui.gallery import images
from pixart_ui.jobs.job import Job
from pixart_ui.request import GenerationRequest
from pixart_ui.services import Services
from pixart_ui.settings import Settings
from pixart_ui.ui.form import Form
from pixart_ui.ui.form_layout import build_form
from pixart_ui.ui.offer import offer
from tests.hub.parts import write_folder


@pytest.fixture
def services(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Services]:
    folder = write_folder(tmp_path / "tiny")
    monkeypatch.setattr(tiny, "checkpoint_dir", lambda: folder)
    opened = Services.open(Settings(data_dir=tmp_path / "data"))
    yield opened
    opened.journal.close()


@pytest.fixture
def form(services: Services) -> Form:
    with gr.Blocks(analytics_enabled=False):
        return build_form(offer(services, services.default_checkpoint()), gr.Dropdown())


@pytest.fixture
def values(form: Form) -> dict[Any, Any]:
    """What the form sends when a person has typed a prompt and touched nothing else."""
    return {
        form.prompt: "a red circle",
        form.style: "",
        form.shape: "256x256",
        form.precision: "fp16",
        form.seed: "",
        form.is_seed_kept: False,
        form.drawn_seed: "",
        form.num_images: 1,
        form.negative_prompt: "",
        form.steps: 20,
        form.guidance_scale: 4.5,
        form.scheduler: "dpm++",
        form.size: "256x256",
        form.numerics: "fast",
        form.compile_blocks: False,
        form.transformer_precision: "",
        form.checkpoint: "tiny",
    }


def submit(services: Services, prompt: str = "a red circle", **settings: Any) -> tuple[Job, ...]:
    return services.submit(GenerationRequest.parse({"prompt": prompt, **settings}))


def start(services: Services, job: Job, phase: Phase | None = Phase.DENOISE, step: int = 3) -> Job:
    """A worker takes the job and has come to that step."""
    (claimed,) = services.journal.claim("worker", lease_seconds=60, limit=1, only=[job.id])
    services.journal.progress(claimed, phase=phase, step=step, preview=None)
    return services.journal.job(job.id)


def finish(services: Services, job: Job, colour: str = "red") -> Job:
    """The picture is on the disk and the journal says so."""
    name, facts = f"20260101-{job.id:06d}-{job.request.seed}.png", {"measurements": {"encode": {"seconds": 0.25}}}
    picture = Image.new("RGB", job.request.size, colour)
    images.save(picture, services.settings.images_dir / name, job.request, facts)
    services.journal.finish(job, image=name, facts=facts)
    return services.journal.job(job.id)
