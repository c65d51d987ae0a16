"""The real `spaces` package where there is no ZeroGPU: its decorator does nothing, and pictures are drawn in place."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import spaces
import spaces.config

from pixart_ui.engine.calibration import Table
from pixart_ui.errors import InputError
from pixart_ui.gallery import images
from pixart_ui.jobs.job import Job, JobState
from pixart_ui.request import GenerationRequest
from pixart_ui.settings import Settings
from pixart_ui.spaces.direct import DirectServices
from pixart_ui.spaces.duration import LEAST_SECONDS, MOST_SECONDS, seconds_for
from pixart_ui.spaces.zerogpu import ZeroGpu


@pytest.fixture
def services(tmp_path: Path) -> Iterator[DirectServices]:
    services = DirectServices.open(Settings(data_dir=tmp_path / "data", device="cpu"))
    yield services
    services.journal.close()


@pytest.fixture
def zero(services: DirectServices) -> Iterator[ZeroGpu]:
    zero = ZeroGpu(services, spaces.GPU, device="cpu")
    zero.start()
    yield zero
    zero.stop()


def request(**values: Any) -> GenerationRequest:
    return GenerationRequest(**{"prompt": "a red circle", "checkpoint": "tiny", "steps": 4, "seed": 7, **values})


def only_job(services: DirectServices) -> Job:
    (job,) = services.journal.jobs()
    return job


def test_the_package_is_there_and_not_in_its_zero_gpu_mode() -> None:
    assert not spaces.config.Config.zero_gpu


def test_a_picture_is_drawn_event_by_event_and_recorded(services: DirectServices, zero: ZeroGpu) -> None:
    batch = services.submit(request(), "anna")[0].batch
    seen = [only_job(services).step for _ in zero.draw(batch)]

    job = only_job(services)
    assert job.state is JobState.DONE
    assert set(seen) >= {1, 2, 3, 4}
    path = services.image_path(job)
    assert path is not None
    assert images.read_request(path).seed == 7


def test_several_pictures_come_whoever_else_asks_meanwhile(services: DirectServices, zero: ZeroGpu) -> None:
    batch = services.submit(request(num_images=2), "anna")[0].batch
    drawing = zero.draw(batch)
    next(drawing)
    services.submit(request(), "boris")
    for _ in drawing:
        pass
    assert [job.state for job in services.journal.jobs(batch=batch)] == [JobState.DONE] * 2


def test_a_cancelled_picture_ends_at_its_next_step(services: DirectServices, zero: ZeroGpu) -> None:
    batch = services.submit(request(steps=100), "anna")[0].batch
    for _ in zero.draw(batch):
        if only_job(services).step == 2:
            services.journal.cancel([only_job(services).id])
    job = only_job(services)
    assert job.state is JobState.CANCELLED
    assert job.step < 10


def test_closing_the_generator_cancels_what_is_not_done(services: DirectServices, zero: ZeroGpu) -> None:
    batch = services.submit(request(steps=100), "anna")[0].batch
    drawing = zero.draw(batch)
    for _ in drawing:
        if only_job(services).step == 2:
            break
    drawing.close()  # type: ignore[attr-defined]
    assert only_job(services).state is JobState.CANCELLED


def test_an_unknown_request_draws_nothing(zero: ZeroGpu) -> None:
    assert list(zero.draw("no such batch")) == []


def test_nothing_can_be_queued_for_later(services: DirectServices) -> None:
    with pytest.raises(InputError, match="nothing can be queued here"):
        services.enqueue([request()])
    assert services.journal.jobs() == ()


def test_what_an_earlier_process_left_is_cancelled_at_the_start(services: DirectServices) -> None:
    services.submit(request(), "anna")
    zero = ZeroGpu(services, spaces.GPU, device="cpu")
    zero.start()
    zero.stop()
    assert only_job(services).state is JobState.CANCELLED


def test_compiled_blocks_are_refused(services: DirectServices) -> None:
    with pytest.raises(InputError, match="Compiled blocks do not work on ZeroGPU"):
        services.submit(request(compile_blocks=True), "anna")


def test_more_than_a_gpu_is_lent_for_is_refused_before_one_is_asked_for(
    services: DirectServices, zero: ZeroGpu
) -> None:
    with pytest.raises(InputError, match=rf"ZeroGPU lends one for {MOST_SECONDS} s at a time"):
        services.submit(request(steps=100, num_images=64), "anna")
    assert services.journal.jobs() == ()


def test_the_time_asked_for_grows_with_the_work(services: DirectServices, zero: ZeroGpu) -> None:
    info = services.journal.workers()[0].info
    tiny = services.catalog.get("tiny")
    one = seconds_for(services.resolve(request()), tiny, info, Table())
    many = seconds_for(services.resolve(request(steps=100, num_images=4)), tiny, info, Table())
    assert LEAST_SECONDS <= one < many <= MOST_SECONDS
