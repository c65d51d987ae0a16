"""Comparisons that run: through the queue, with the real worker, the real engine and PixArt-Tiny."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from PIL import Image

from pixart_ui.compare import metrics
from pixart_ui.compare.comparison import Comparison, Result, State
from pixart_ui.compare.kept import Kept
from pixart_ui.compare.recording import NO_REFERENCE, load_arrays, record
from pixart_ui.compare.sweep import Role, Sweep, default_sweep, parse_axis
from pixart_ui.engine.engine import Engine
from pixart_ui.errors import InputError
from pixart_ui.events import Phase
from pixart_ui.jobs import deadline, watchdog
from pixart_ui.jobs.job import JobState
from pixart_ui.jobs.supervisor import Supervisor
from pixart_ui.jobs.worker import open_worker
from pixart_ui.request import GenerationRequest
from pixart_ui.services import Services
from pixart_ui.settings import Settings
from tests.jobs.waiting import wait_until

# Small enough for a test, and large enough to be compared.
REQUEST = GenerationRequest.parse(
    {"prompt": "a red circle above a blue square", "checkpoint": "tiny", "steps": 2, "width": 64, "height": 64}
)


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    yield from opened(tmp_path_factory.mktemp("data"))


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Services]:
    """For what would be in the way of others."""
    yield from opened(tmp_path / "data")


@pytest.fixture(scope="module")
def precisions(services: Services) -> str:
    """The default comparison, run to its end."""
    return run(services, default_sweep(REQUEST))


def opened(folder: Path) -> Iterator[Services]:
    services = Services.open(Settings(data_dir=folder, device="cpu"))
    yield services
    services.journal.close()


def run(services: Services, sweep: Sweep) -> str:
    comparison_id = services.start_comparison(sweep)
    drain(services)
    return comparison_id


def drain(services: Services) -> None:
    with open_worker(services, name="one") as worker:
        worker.serve(threading.Event(), is_draining=True)


def strategies(*names: str) -> Sweep:
    return Sweep(REQUEST, (parse_axis(f"strategy={','.join(names)}"),), has_noise_floor=False)


def pixels(comparison: Comparison) -> list[str | None]:
    return [result.pixels_sha256 for result in comparison.results]


def test_starting_returns_at_once_and_puts_every_run_into_the_queue(own: Services) -> None:
    comparison_id = own.start_comparison(default_sweep(REQUEST), name="mine")
    jobs = own.comparison_jobs(comparison_id)
    comparison = own.comparison(comparison_id)
    assert comparison.name == "mine"
    assert [job.state for job in jobs] == [JobState.QUEUED] * 6
    assert [job.trial.cell for job in jobs if job.trial is not None] == [cell.key for cell in comparison.missing]
    assert len({job.batch for job in jobs}) == 1
    assert [entry.name for entry in own.comparisons()] == ["mine"]


def test_no_worker_claims_two_runs_together(own: Services) -> None:
    own.start_comparison(default_sweep(REQUEST))
    assert len(own.journal.claim("somebody", lease_seconds=60, limit=8)) == 1


def test_every_precision_has_its_picture_and_its_figures(services: Services, precisions: str) -> None:
    comparison = services.comparison(precisions)
    assert not comparison.missing
    assert [result.state for result in comparison.results] == [State.DONE] * 6
    for result in comparison.results:
        assert [phase.name for phase in result.phases] == ["encode", "denoise", "decode"]
        assert not any(phase.is_cached for phase in result.phases), "the embedding is measured, not looked up"
        assert set(result.component_bytes) == {"text_encoder", "transformer", "vae"}
        assert result.peak_rss_bytes is not None
        assert result.peak_rss_bytes > result.component_bytes["transformer"]
        assert result.image is not None
        with Image.open(services.comparison_folder(precisions) / result.image) as picture:
            assert metrics.pixels_sha256(picture) == result.pixels_sha256
    assert comparison.device.type == "cpu"
    assert "torch" in comparison.versions
    assert set(comparison.components["tiny"]) >= {"text_encoder", "transformer", "vae"}


def test_quantized_text_encoders_take_less_and_draw_something_else(services: Services, precisions: str) -> None:
    found = {result.label: result for result in services.comparison(precisions).results}
    weights = [found[name].component_bytes["text_encoder"] for name in ("fp16", "8-bit", "nf4")]
    assert weights == sorted(weights, reverse=True)
    assert len(set(weights)) == 3
    for name in ("8-bit", "nf4", "fp4"):
        quality = found[name].quality
        assert quality is not None
        assert quality.embedding is not None
        assert quality.embedding.worst_token in ("a", "red", "circle", "above", "blue", "square", "</s>")
        assert 0 < quality.embedding.relative_l2 < 0.5
        assert quality.latent_relative_l2 is not None


def test_the_noise_floor_is_the_reference_again_and_another_picture(services: Services, precisions: str) -> None:
    repeated, reseeded = (
        next(result for result in services.comparison(precisions).results if result.role is role)
        for role in (Role.REPEATED, Role.OTHER_SEED)
    )
    assert repeated.quality is not None
    assert repeated.quality.is_identical
    assert reseeded.quality is not None
    assert reseeded.quality.rms_levels > 1


def test_memory_through_a_run_has_its_phases(services: Services, precisions: str) -> None:
    for result in services.comparison(precisions).results:
        line = result.timeline
        assert line is not None
        assert line.kind == "rss"
        assert 1 < len(line.at_seconds) <= 400
        assert [band.name for band in line.bands] == ["encode", "denoise", "decode"]
        assert result.baseline is not None
        assert result.baseline.before_bytes > 0


def test_latents_and_embedding_are_kept_for_the_metrics(services: Services, precisions: str) -> None:
    folder = services.comparison_folder(precisions)
    for result in services.comparison(precisions).results:
        arrays = load_arrays(folder, result.key)
        assert arrays.latents is not None
        assert arrays.text is not None
        assert len(arrays.text.real) == len(arrays.text.tokens)


def test_heat_maps_share_a_scale_and_none_of_another_scale_is_left(services: Services, precisions: str) -> None:
    comparison, folder = services.comparison(precisions), services.comparison_folder(precisions)
    named = {result.heat_map for result in comparison.results} - {None}
    assert len(named) == 5
    assert {f"images/{path.name}" for path in (folder / "images").glob("*heat*")} == named
    assert all(f"heat{comparison.heat_scale_levels}.png" in str(name) for name in named)


def test_two_runs_give_the_same_pictures_and_metrics(services: Services, precisions: str) -> None:
    sweep = Sweep(REQUEST, (parse_axis("precision=fp16,nf4"),), has_noise_floor=False)
    again = {result.label: result for result in services.comparison(run(services, sweep)).results}
    before = {result.label: result for result in services.comparison(precisions).results}
    assert set(again) == {"fp16", "nf4"}
    for label, result in again.items():
        assert result.pixels_sha256 == before[label].pixels_sha256
        assert result.quality == before[label].quality


def test_pictures_of_a_comparison_are_not_in_the_gallery(services: Services, precisions: str) -> None:
    assert not list(services.settings.images_dir.iterdir())
    assert all(job.state is JobState.DONE for job in services.comparison_jobs(precisions))


def test_each_strategy_holds_weights_its_own_way_and_draws_the_same(services: Services) -> None:
    comparison = services.comparison(run(services, strategies("staged", "resident", "streamed", "ours@2GiB")))
    assert len(set(pixels(comparison))) == 1
    staged, _, streamed, _ = comparison.results
    assert streamed.component_bytes["transformer"] < staged.component_bytes["transformer"]
    assert streamed.bytes_moved > staged.bytes_moved


@pytest.mark.timeout(600)  # ways of stock diffusers, each with a pipeline of its own
def test_what_cannot_run_is_listed_with_its_reason_and_the_sweep_goes_on(services: Services) -> None:
    names = ("staged", "ours@1MiB", "diffusers:attention-xformers", "diffusers:staged")
    _, small, xformers, stock = services.comparison(run(services, strategies(*names))).results
    assert small.state is State.OUT_OF_MEMORY
    assert "at least" in (small.reason or "")
    assert xformers.state is State.UNAVAILABLE
    assert "xformers" in (xformers.reason or "")
    assert stock.is_done
    assert stock.quality is not None
    assert stock.quality.psnr_db > 40
    shows_its_phases_through_its_run(stock)


def shows_its_phases_through_its_run(stock: Result) -> None:
    """As a run of ours does, so that both can be on one chart."""
    assert stock.timeline is not None
    assert stock.timeline.kind == "rss"
    assert len(stock.timeline.at_seconds) > 10
    bands = stock.timeline.bands
    assert [band.name for band in bands] == ["load", "encode", "load", "denoise", "decode", "write"]
    assert all(band.start_seconds <= band.end_seconds for band in bands)
    assert all(earlier.end_seconds <= later.start_seconds for earlier, later in pairwise(bands))
    assert bands[-1].end_seconds <= stock.timeline.at_seconds[-1]
    spent = {name: sum(b.end_seconds - b.start_seconds for b in bands if b.name == name) for name in ("load", "decode")}
    seconds = {phase.name: phase.seconds for phase in stock.phases}
    assert seconds["load"] == pytest.approx(spent["load"])
    assert seconds["decode"] == pytest.approx(spent["decode"])
    assert {phase.bytes_moved for phase in stock.phases} == {None}, "nobody counts them, and none is not 0"
    assert stock.bytes_moved is None
    assert stock.baseline is not None
    assert stock.baseline.is_kept


def test_a_run_whose_engine_hangs_is_noticed(own: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its worker is to end itself then; here it is only told, and goes on."""
    told, goes_on = [], threading.Event()

    def on_hang(reason: str) -> None:
        told.append(reason)
        goes_on.set()

    draw = Engine._denoise_picture
    monkeypatch.setattr(Engine, "_denoise_picture", lambda *args: goes_on.wait(60) and draw(*args))
    monkeypatch.setattr(deadline, "SPARE_SECONDS", 1.0)
    monkeypatch.setattr(deadline, "FACTOR", 0.1)
    monkeypatch.setattr(watchdog, "bytes_read", int)  # what other tests of this process read
    own.start_comparison(strategies("staged"))
    with open_worker(own, name="one", on_hang=on_hang) as worker:
        worker.serve(threading.Event(), is_draining=True)
    assert "in the phase denoise, far longer than predicted" in told[0]


def test_a_transformer_that_only_a_gpu_can_have_is_listed(services: Services) -> None:
    sweep = Sweep(REQUEST, (parse_axis("transformer-precision=fp16,nf4"),), has_noise_floor=False)
    reference, other = services.comparison(run(services, sweep)).results
    assert reference.is_done
    assert other.state is State.UNAVAILABLE
    assert "GPU" in (other.reason or "")


def test_pictures_of_different_size_are_not_measured_and_say_why(services: Services) -> None:
    sweep = Sweep(REQUEST, (parse_axis("size=64x64,96x64"),), has_noise_floor=False)
    reference, other = services.comparison(run(services, sweep)).results
    assert reference.reason is None
    assert other.is_done
    assert other.quality is None
    assert "sizes must be the same" in (other.reason or "")


def test_a_reference_that_failed_leaves_the_others_unmeasured_until_it_is_made(own: Services) -> None:
    comparison_id = own.start_comparison(strategies("staged", "resident"))
    reference, other = own.comparison_jobs(comparison_id)
    cell = own.comparison(comparison_id).missing[0]
    own.journal.cancel([reference.id])
    record(Kept(own.settings.comparisons_dir), comparison_id, Result.of(cell, State.FAILED, reason="It broke."))
    drain(own)
    assert own.comparison(comparison_id).results[1].reason == NO_REFERENCE
    own.journal.retry([reference.id])
    drain(own)
    first, second = own.comparison(comparison_id).results
    assert first.is_done
    assert second.reason is None
    assert second.quality is not None
    assert second.quality.is_identical
    assert own.journal.job(other.id).attempt == 1


@pytest.mark.long  # seven runs and two workers that start
def test_a_killed_worker_costs_the_run_it_was_at_and_no_other(own: Services) -> None:
    comparison_id = own.start_comparison(default_sweep(REQUEST.model_copy(update={"steps": 20})))
    supervisor = Supervisor(own.settings, own.journal)
    supervisor.start()
    try:
        wait_until(lambda: in_mid_run(own, comparison_id), "the third run draws", 240)
        measured = {job.id: job.attempt for job in own.comparison_jobs(comparison_id) if job.state is JobState.DONE}
        before = own.comparison(comparison_id).by_key
        kill(supervisor)
        wait_until(lambda: not own.comparison(comparison_id).missing, "all are measured", 240)
        wait_until(lambda: not own.journal.has_open(), "no job is open", 60)
    finally:
        supervisor.stop()
    jobs = {job.id: job for job in own.comparison_jobs(comparison_id)}
    assert len(measured) == len(before) == 2
    assert {job_id: jobs[job_id].attempt for job_id in measured} == measured
    after = own.comparison(comparison_id)
    assert [result.state for result in after.results] == [State.DONE] * 6
    assert all(after.by_key[key].timeline == result.timeline for key, result in before.items())
    assert [job.attempt for job in jobs.values()] == [1, 1, 2, 1, 1, 1]


def test_cancelling_keeps_what_is_measured_and_resuming_makes_the_rest(own: Services) -> None:
    comparison_id = own.start_comparison(strategies("staged", "resident", "streamed"))
    stop = threading.Event()
    with open_worker(own, name="one") as worker:
        thread = threading.Thread(target=worker.serve, args=(stop,))
        thread.start()
        wait_until(lambda: len(own.comparison(comparison_id).results) == 1, "one run is measured", 120)
        own.cancel_comparison(comparison_id)
        wait_until(lambda: not own.journal.has_open(), "no job is open", 60)
        stop.set()
        thread.join()
    first = own.comparison(comparison_id)
    assert first.missing
    assert own.resume_comparison(comparison_id) == len(first.missing)
    assert own.resume_comparison(comparison_id) == 0, "they are in the queue already"
    drain(own)
    last = own.comparison(comparison_id)
    assert not last.missing
    assert last.results[0] == first.results[0]


def test_deleting_ends_its_runs_and_leaves_nothing(own: Services) -> None:
    comparison_id = own.start_comparison(default_sweep(REQUEST))
    own.delete_comparison(comparison_id)
    assert not own.journal.has_open()
    assert own.comparisons() == ()
    with pytest.raises(InputError, match="not kept here"):
        own.comparison(comparison_id)


def test_a_run_over_which_workers_died_is_a_failed_result(own: Services) -> None:
    comparison_id = own.start_comparison(strategies("staged", "resident"))
    first = own.comparison_jobs(comparison_id)[0]
    for _ in range(3):
        (job,) = own.journal.claim("dying", lease_seconds=60, limit=1, only=[first.id])
        own.journal.progress(job, phase=Phase.DENOISE, step=1, preview=None)
        own.journal.give_back("dying")
    (failed,) = own.comparison(comparison_id).results
    assert failed.state is State.FAILED
    assert "stopped 3 times" in (failed.reason or "")


def test_a_reference_that_cannot_be_asked_for_starts_nothing(own: Services) -> None:
    with pytest.raises(InputError, match="Unknown checkpoint"):
        own.start_comparison(default_sweep(REQUEST.model_copy(update={"checkpoint": "tinny"})))
    assert own.comparisons() == ()
    assert not own.journal.has_open()


def in_mid_run(services: Services, comparison_id: str) -> bool:
    """Whether the third run has drawn some steps."""
    job = services.comparison_jobs(comparison_id)[2]
    return job.state is JobState.RUNNING and job.step > 0


def kill(supervisor: Supervisor) -> None:
    pid = supervisor.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
