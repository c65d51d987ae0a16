"""Latents that are kept: whole or not there, of use to the very job that they are of, and gone when it has ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pixart_ui.gallery import images
from pixart_ui.jobs.group_run import image_name
from pixart_ui.jobs.job import Job, JobState
from pixart_ui.jobs.journal import Journal
from pixart_ui.jobs.latents import KeptLatents, LatentFiles
from pixart_ui.jobs.worker import Worker
from pixart_ui.settings import Settings
from tests.cli.commands import ROOT
from tests.jobs.parts import PlainEngine, request

KEPT = KeptLatents(np.arange(16, dtype=np.float32).reshape(1, 4, 2, 2), {"self_attention": "plain"})


def test_what_is_kept_comes_back_as_it_was(tmp_path: Path) -> None:
    files = LatentFiles(tmp_path / "latents")
    files.put(7, "key", KEPT)
    found = files.get(7, "key")
    assert found is not None
    assert found.latents.dtype == np.float32
    np.testing.assert_array_equal(found.latents, KEPT.latents)
    assert found.kernels == KEPT.kernels
    assert [path.suffix for path in (tmp_path / "latents").iterdir()] == [".safetensors"]


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_every_bit_comes_back(tmp_path: Path, dtype: type[np.floating[Any]]) -> None:
    files = LatentFiles(tmp_path)
    latents = np.random.default_rng(1).standard_normal((1, 4, 8, 8)).astype(dtype)
    files.put(1, "key", KeptLatents(latents, {}))
    found = files.get(1, "key")
    assert found is not None
    assert found.latents.tobytes() == latents.tobytes()
    assert found.latents.dtype == dtype


def test_another_job_or_another_request_finds_nothing(tmp_path: Path) -> None:
    files = LatentFiles(tmp_path)
    files.put(1, "key", KEPT)
    assert files.get(2, "key") is None
    assert files.get(11, "key") is None
    assert files.get(1, "edited") is None
    assert list(tmp_path.iterdir()) == [], "what the job had under its old request is of no use"


@pytest.mark.parametrize("damage", ["cut", "bit", "empty"])
def test_a_damaged_file_is_left_aside(tmp_path: Path, damage: str) -> None:
    files = LatentFiles(tmp_path)
    files.put(1, "key", KEPT)
    (path,) = tmp_path.iterdir()
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes({"cut": bytes(content[:-9]), "bit": bytes(content), "empty": b""}[damage])
    assert files.get(1, "key") is None


def test_a_folder_that_cannot_be_written_is_no_reason_to_stop(tmp_path: Path) -> None:
    (tmp_path / "latents").write_text("a file")
    LatentFiles(tmp_path / "latents").put(1, "key", KEPT)
    assert LatentFiles(tmp_path / "latents").get(1, "key") is None


def test_files_of_jobs_that_are_not_open_are_swept(tmp_path: Path) -> None:
    files = LatentFiles(tmp_path)
    for job_id in (1, 2, 3):
        files.put(job_id, "key", KEPT)
    (tmp_path / "2-abc.123.part").write_bytes(b"begun")
    (tmp_path / "notes.txt").write_text("not ours")
    files.sweep(lambda ids: {1} & set(ids))
    assert sorted(path.name[:2] for path in tmp_path.iterdir()) == ["1-", "no"]


# In a worker


def drain(settings: Settings, journal: Journal, engine: PlainEngine) -> list[Job]:
    Worker(settings, journal, engine, name="one").serve(threading.Event(), is_draining=True)
    return list(journal.jobs(newest_first=False))


def latents_of(settings: Settings) -> set[int]:
    folder = settings.latents_dir
    return {int(path.name.partition("-")[0]) for path in folder.iterdir()} if folder.is_dir() else set()


DIES = """
import os, signal, sys, threading, time
from pathlib import Path
from pixart_ui.jobs.journal import Journal
from pixart_ui.jobs.worker import Worker
from pixart_ui.settings import Settings
from tests.jobs.parts import PlainEngine

settings = Settings(data_dir=Path(sys.argv[1]), device="cpu")

def die(index):
    while index == 1 and len(list(settings.latents_dir.glob("2-*.safetensors"))) == 0:
        time.sleep(0.001)
    if index == 1:
        os.kill(os.getpid(), signal.SIGKILL)

Worker(settings, Journal(settings.journal_path), PlainEngine(on_decode=die), name="died").serve(threading.Event())
"""


def die_in_decode_of_the_second(settings: Settings) -> None:
    command = [sys.executable, "-c", DIES, str(settings.data_dir)]
    assert subprocess.run(command, cwd=ROOT, timeout=60, check=False).returncode == -signal.SIGKILL


def test_a_picture_whose_latents_were_kept_is_decoded_and_not_drawn_again(settings: Settings, journal: Journal) -> None:
    journal.submit([request(seed) for seed in (10, 20, 30)], "local")
    die_in_decode_of_the_second(settings)
    assert 2 in latents_of(settings)
    drawn: list[int] = []
    engine = PlainEngine(lambda index, step: drawn.append(engine.groups[-1][index]))
    jobs = drain(settings, journal, engine)
    assert [job.state for job in jobs] == [JobState.DONE] * 3
    assert 20 not in drawn
    assert latents_of(settings) == set()
    with Image.open(settings.images_dir / image_name(jobs[1])) as image:
        assert image.getpixel((5, 5)) == (20, 20, 20)
    facts = images.read_facts(settings.images_dir / image_name(jobs[1]))
    assert facts["kernels"] == {"self_attention": "plain"}, "it says what drew it"


def test_an_edited_job_is_drawn_anew(settings: Settings, journal: Journal) -> None:
    journal.submit([request(seed) for seed in (10, 20)], "local")
    die_in_decode_of_the_second(settings)
    journal.give_back("died", is_fault=False)
    journal.edit(2, request(99))
    jobs = drain(settings, journal, PlainEngine())
    with Image.open(settings.images_dir / image_name(jobs[1])) as image:
        assert image.getpixel((5, 5)) == (99, 99, 99)
    assert latents_of(settings) == set()


@pytest.mark.parametrize("verb", ["cancel", "clear"])
def test_latents_of_a_job_that_will_not_come_are_removed(settings: Settings, journal: Journal, verb: str) -> None:
    journal.submit([request(seed) for seed in (10, 20)], "local")
    die_in_decode_of_the_second(settings)
    journal.give_back("died", is_fault=False)
    journal.cancel([1, 2])
    if verb == "clear":
        journal.clear_finished()
    drain(settings, journal, PlainEngine())
    assert latents_of(settings) == set()


def test_latents_of_a_waiting_job_outlast_a_worker_that_does_not_come_to_it(
    settings: Settings, journal: Journal
) -> None:
    journal.submit([request(seed) for seed in (10, 20)], "local")
    die_in_decode_of_the_second(settings)
    journal.pause("later")
    drain(settings, journal, PlainEngine())
    assert 2 in latents_of(settings)


def test_what_a_dead_worker_began_is_swept_and_what_a_living_one_writes_stays(
    settings: Settings, journal: Journal
) -> None:
    dead = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
    dead_pid, own_pid, sha = int(dead.stdout), os.getpid(), "0" * 64
    settings.embeddings_dir.mkdir()
    begun = [
        settings.images_dir / f".20260101-000001-5.png.{dead_pid}.part",
        settings.embeddings_dir / f"{sha}.{dead_pid}.part",
        settings.data_dir / f".calibration.json.{dead_pid}",
        settings.previews_dir / "1-1-3.jpg",
        settings.previews_dir / "1-1-6.part",
    ]
    others = [
        settings.images_dir / f".20260101-000002-5.png.{own_pid}.part",
        settings.images_dir / "20260101-000003-5.png",
        settings.embeddings_dir / f"{sha}.safetensors",
        settings.data_dir / "notes.part",
    ]
    for path in (*begun, *others):
        path.write_bytes(b"x")
    drain(settings, journal, PlainEngine())
    assert [path.exists() for path in begun] == [False] * len(begun)
    assert [path.exists() for path in others] == [True] * len(others)


# Loads of T5


def test_a_group_is_one_load_however_many_pictures_it_has(settings: Settings, journal: Journal) -> None:
    journal.submit([request(seed) for seed in range(32)], "local")
    drain(settings, journal, PlainEngine())
    assert (journal.loads().loads, journal.loads().saved) == (1, 31)
