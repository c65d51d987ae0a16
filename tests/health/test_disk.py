"""What is on the disk and what may go, on real folders and a real journal."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pixart_ui.errors import InputError
from pixart_ui.health.disk import CLEARABLE, YOUNG_SECONDS, DiskUse, Kind, clear, measure
from pixart_ui.jobs.journal import Journal
from pixart_ui.services import make_folders
from pixart_ui.settings import Settings
from tests.jobs.parts import request
from tests.jobs.waiting import wait_until


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    found = Settings(data_dir=tmp_path / "data")
    make_folders(found)
    return found


@pytest.fixture
def journal(settings: Settings) -> Iterator[Journal]:
    opened = Journal(settings.journal_path)
    yield opened
    opened.close()


def put(path: Path, size: int = 1000, age: float = 0.0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x" * size)
    then = time.time() - age
    os.utime(path, (then, then))
    return path


def test_every_kind_is_counted_once(settings: Settings) -> None:
    put(settings.images_dir / "a.png", 10)
    put(settings.embeddings_dir / "b.safetensors", 20)
    put(settings.thumbnails_dir / "a.webp", 30)
    put(settings.temp_dir / "gradio" / "f" / "up.csv", 40)
    put(settings.comparisons_dir / "one" / "images" / "c.png", 50)
    found = measure(settings).usage
    told = {kind: usage.nbytes for kind, usage in found.items() if usage.nbytes and kind is not Kind.JOURNAL}
    assert told == {
        Kind.IMAGES: 10,
        Kind.EMBEDDINGS: 20,
        Kind.THUMBNAILS: 30,
        Kind.TEMP: 40,
        Kind.COMPARISONS: 50,
    }
    assert found[Kind.TEMP].files == 1


def test_clearing_a_cache_takes_that_and_nothing_else(settings: Settings, journal: Journal) -> None:
    picture = put(settings.images_dir / "a.png")
    old = YOUNG_SECONDS + 60
    for path in (
        settings.embeddings_dir / "b.safetensors",
        settings.thumbnails_dir / "a.webp",
        settings.compile_dir / "k" / "c.so",
        settings.temp_dir / "gradio" / "up.csv",
        settings.previews_dir / "9-1-3.jpg",
        settings.latents_dir / "9-abc.safetensors",
        settings.logs_dir / "worker.log",
        settings.weights_dir / ("text_encoder-nf4-" + "0" * 16 + ".safetensors"),
    ):
        put(path, 500, old)
    for kind in CLEARABLE:
        assert clear(kind, settings, journal) >= 500, kind
    left = measure(settings).usage
    assert {kind for kind in CLEARABLE if left[kind].nbytes} == set()
    assert picture.is_file()


@pytest.mark.parametrize("kind", [Kind.IMAGES, Kind.COMPARISONS, Kind.JOURNAL])
def test_what_is_no_cache_is_never_cleared(kind: Kind, settings: Settings, journal: Journal) -> None:
    path = put(settings.images_dir / "a.png")
    with pytest.raises(InputError, match="is not a cache"):
        clear(kind, settings, journal)
    assert path.is_file()


def test_files_of_a_running_job_stay(settings: Settings, journal: Journal) -> None:
    (job,) = journal.submit([request(0)], "local")
    journal.claim("worker", lease_seconds=60, limit=1)
    mine = [put(settings.previews_dir / f"{job.id}-1-3.jpg"), put(settings.latents_dir / f"{job.id}-a.safetensors")]
    other = put(settings.latents_dir / f"{job.id}0-a.safetensors")
    clear(Kind.PREVIEWS, settings, journal)
    clear(Kind.LATENTS, settings, journal)
    assert [path.is_file() for path in (*mine, other)] == [True, True, False]


def test_what_was_uploaded_a_moment_ago_stays(settings: Settings, journal: Journal) -> None:
    young, old = (
        put(settings.temp_dir / "gradio" / "new.csv"),
        put(settings.temp_dir / "old.csv", age=YOUNG_SECONDS + 60),
    )
    clear(Kind.TEMP, settings, journal)
    assert young.is_file()
    assert not old.exists()


def test_a_log_that_is_being_written_goes_on_at_its_beginning(settings: Settings, journal: Journal) -> None:
    path = settings.logs_dir / "worker.log"
    with path.open("a", encoding="utf-8") as log:
        log.write("before\n")
        log.flush()
        clear(Kind.LOGS, settings, journal)
        log.write("after\n")
    assert path.read_text(encoding="utf-8") == "after\n"


def test_counting_waits_for_nobody_and_sees_what_was_cleared(settings: Settings, journal: Journal) -> None:
    put(settings.embeddings_dir / "b.safetensors", 700)
    disk = DiskUse(settings)

    def embeddings() -> int | None:
        found = disk.now()
        return found.usage[Kind.EMBEDDINGS].nbytes if found is not None else None

    assert disk.now() is None, "the first answer does not wait for the count"
    wait_until(lambda: embeddings() == 700, "it is counted", 30)
    clear(Kind.EMBEDDINGS, settings, journal)
    disk.forget()
    wait_until(lambda: embeddings() == 0, "it is counted again", 30)
