"""The gallery's records: the files are the truth, whatever became of the jobs; deleting can be taken back, always."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from pixart_ui.catalog import tiny
from pixart_ui.errors import InputError
from pixart_ui.gallery import images
from pixart_ui.gallery import records as records_module
from pixart_ui.gallery.picture import Picture, PictureFilter
from pixart_ui.gallery.records import TRASH_DAYS, Gallery
from pixart_ui.jobs import database, retention
from pixart_ui.jobs.job import Job
from pixart_ui.jobs.journal import Journal
from pixart_ui.request import GenerationRequest, resolve
from pixart_ui.settings import Settings

EVERYTHING = PictureFilter()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    found = Settings(data_dir=tmp_path / "data")
    found.images_dir.mkdir(parents=True)
    return found


@pytest.fixture
def journal(settings: Settings) -> Iterator[Journal]:
    opened = Journal(settings.journal_path)
    yield opened
    opened.close()


@pytest.fixture
def gallery(settings: Settings, journal: Journal) -> Gallery:
    return Gallery(settings, journal)


def write(folder: Path, name: str, prompt: str = "a red circle", **asked: object) -> Path:
    """A picture of ours on the disk, and no job of this journal."""
    request = resolve(GenerationRequest.parse({"prompt": prompt, **asked}), tiny(Path("weights")), None, random_seed=1)
    return images.save(Image.new("RGB", (16, 16)), folder / name, request[0], {"versions": {"torch": "2"}})


def make(settings: Settings, journal: Journal, prompt: str = "a red circle", owner: str = "local") -> Job:
    """A picture by a job of this journal."""
    (request,) = resolve(GenerationRequest.parse({"prompt": prompt}), tiny(Path("weights")), None, random_seed=1)
    (job,) = journal.submit([request], owner)
    (claimed,) = journal.claim("worker", lease_seconds=60, limit=1, only=[job.id])
    name = f"20260101-{job.id:06d}-1.png"
    images.save(Image.new("RGB", (16, 16)), settings.images_dir / name, request, {"job": job.id})
    journal.finish(claimed, image=name, facts={})
    return journal.job(job.id)


def shown(gallery: Gallery, journal: Journal, wanted: PictureFilter = EVERYTHING) -> list[str]:
    gallery.refresh()
    return [picture.name for picture in journal.pictures_page(wanted, limit=100).pictures]


def named(journal: Journal, name: object) -> Picture:
    found = journal.picture_named(str(name))
    assert found is not None
    return found


def test_what_a_job_made_is_there_at_once_newest_first(gallery: Gallery, settings: Settings, journal: Journal) -> None:
    first, second = make(settings, journal), make(settings, journal, owner="ann")
    assert shown(gallery, journal) == [second.image, first.image]
    picture = named(journal, second.image)
    assert (picture.owner, picture.job, picture.prompt, picture.checkpoint, picture.precision, picture.width) == (
        "ann", second.id, "a red circle", "tiny", "fp16", 256,
    )  # fmt: skip


def test_a_picture_outlasts_its_job_with_its_owner_and_its_star(
    gallery: Gallery, settings: Settings, journal: Journal
) -> None:
    job = make(settings, journal, owner="ann")
    journal.star([job.id])
    journal.clear_finished()
    assert shown(gallery, journal) == [job.image]
    assert named(journal, job.image).owner == "ann"
    assert named(journal, job.image).is_starred


def test_pictures_of_an_older_folder_are_taken_up(gallery: Gallery, settings: Settings, journal: Journal) -> None:
    write(settings.images_dir, "20250304-000001-7.png", "a yellow moon", style=None)
    (settings.images_dir / "holiday.png").write_bytes(b"not a picture")
    Image.new("RGB", (4, 4)).save(settings.images_dir / "plain.png")
    assert shown(gallery, journal) == ["20250304-000001-7.png"]
    picture = named(journal, "20250304-000001-7.png")
    assert picture.prompt == "a yellow moon"
    assert time.strftime("%Y-%m-%d", time.localtime(picture.made_at)) == "2025-03-04", "the day is in its name"


def test_a_long_folder_is_taken_up_in_turns_newest_first(
    gallery: Gallery, settings: Settings, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        write(settings.images_dir, f"20250304-{number:06d}-7.png")
    monkeypatch.setattr(records_module, "SCAN_SECONDS", -1.0)
    before = gallery.mark()
    assert shown(gallery, journal) == []
    assert gallery.mark() != before, "there is more to look at, so that pages ask again"
    monkeypatch.setattr(records_module, "SCAN_SECONDS", 60.0)
    assert len(shown(gallery, journal)) == 3
    settled = gallery.mark()
    gallery.refresh()
    assert gallery.mark() == settled


def test_a_file_that_was_taken_away_is_not_shown_until_it_is_back(
    gallery: Gallery, settings: Settings, journal: Journal, tmp_path: Path
) -> None:
    job = make(settings, journal)
    journal.star([job.id])
    path = settings.images_dir / str(job.image)
    shutil.move(path, tmp_path / "aside.png")
    assert shown(gallery, journal) == []
    shutil.move(tmp_path / "aside.png", path)
    assert shown(gallery, journal) == [job.image]
    assert named(journal, job.image).is_starred


def test_deleting_is_taken_back_byte_for_byte(gallery: Gallery, settings: Settings, journal: Journal) -> None:
    job = make(settings, journal)
    path, picture = settings.images_dir / str(job.image), named(journal, job.image)
    before = path.read_bytes()
    gallery.delete([picture.id])
    assert not path.exists()
    assert shown(gallery, journal) == []
    assert shown(gallery, journal, PictureFilter(is_deleted=True)) == [job.image]
    gallery.restore([picture.id])
    assert path.read_bytes() == before
    assert shown(gallery, journal) == [job.image]


def test_a_picture_is_removed_only_after_its_time_in_the_trash(
    gallery: Gallery, settings: Settings, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = make(settings, journal)
    gallery.delete([named(journal, job.image).id])
    trashed = settings.trash_dir / str(job.image)
    later = time.time() + TRASH_DAYS * 86400
    monkeypatch.setattr(time, "time", lambda: later - 60)
    Gallery(settings, journal).refresh()
    assert trashed.exists()
    monkeypatch.setattr(time, "time", lambda: later + 60)
    Gallery(settings, journal).refresh()
    assert not trashed.exists()
    assert journal.picture_named(str(job.image)) is None


def test_only_what_is_in_the_trash_can_be_removed_for_good(
    gallery: Gallery, settings: Settings, journal: Journal
) -> None:
    job = make(settings, journal)
    picture = named(journal, job.image)
    with pytest.raises(InputError, match="is unknown"):
        gallery.purge([picture.id])
    assert (settings.images_dir / str(job.image)).exists()
    gallery.delete([picture.id])
    gallery.purge([picture.id])
    assert not (settings.trash_dir / str(job.image)).exists()


def test_another_owner_s_picture_is_as_if_it_did_not_exist(
    gallery: Gallery, settings: Settings, journal: Journal
) -> None:
    job = make(settings, journal, owner="ann")
    picture = named(journal, job.image)
    for verb in (gallery.delete, gallery.restore, gallery.purge, gallery.star):
        with pytest.raises(InputError) as strange:
            verb([picture.id], owner="ben")
        with pytest.raises(InputError) as absent:
            verb([picture.id + 1], owner="ben")
        assert strange.value.message == absent.value.message
    with pytest.raises(InputError, match="is unknown"):
        gallery.find(picture.id, owner="ben")
    assert gallery.find(picture.id, owner="ann") == picture
    assert shown(gallery, journal, PictureFilter(owner="ben")) == []


def test_there_is_one_star_for_a_job_and_its_picture_and_retention_heeds_it(
    gallery: Gallery, settings: Settings, journal: Journal
) -> None:
    jobs = [make(settings, journal) for _ in range(2)]
    gallery.star([named(journal, jobs[0].image).id])
    assert journal.job(jobs[0].id).is_starred
    journal.star([jobs[1].id])
    journal.star([jobs[1].id], False)
    assert not named(journal, jobs[1].image).is_starred
    assert retention.apply(replace(settings, keep_days=1), journal) == 0
    retention.apply(replace(settings, keep_images=1, keep_days=None), journal)
    make(settings, journal)
    assert retention.apply(replace(settings, keep_images=1), journal) == 1
    assert jobs[0].image in shown(gallery, journal)
    assert jobs[1].image not in shown(gallery, journal)


def test_search_knows_words_in_any_alphabet_and_order(gallery: Gallery, settings: Settings, journal: Journal) -> None:
    house, lake = make(settings, journal, "a Red HOUSE by the Ölsee"), make(settings, journal, "a red 100% lake")

    def found(text: str) -> list[str]:
        return shown(gallery, journal, PictureFilter(text=text))

    assert found("house RED") == [house.image]
    assert found("ölSEE") == [house.image]
    assert found("100%") == [lake.image]
    assert found("red_lake") == []
    assert len(found("  ")) == 2


def test_filters_narrow_and_their_choices_are_counted(gallery: Gallery, settings: Settings, journal: Journal) -> None:
    write(settings.images_dir, "a.png", precision="int8")
    write(settings.images_dir, "b.png")
    os.utime(settings.images_dir / "b.png", (1000.0, 1000.0))
    assert shown(gallery, journal, PictureFilter(precision="int8")) == ["a.png"]
    assert shown(gallery, journal, PictureFilter(since=999.0, until=1001.0)) == ["b.png"]
    assert shown(gallery, journal, PictureFilter(style="", checkpoint="tiny")) == ["a.png", "b.png"]
    choices = journal.picture_choices()
    assert choices.precisions == {"fp16": 1, "int8": 1}
    assert (choices.total, choices.starred, choices.deleted) == (2, 0, 0)


def test_a_failed_move_changes_nothing_and_says_so(gallery: Gallery, settings: Settings, journal: Journal) -> None:
    jobs = [make(settings, journal) for _ in range(2)]
    settings.trash_dir.mkdir()
    (settings.trash_dir / str(jobs[0].image)).write_bytes(b"an older one of that name")
    with pytest.raises(InputError, match="another picture has its name there"):
        gallery.delete([named(journal, job.image).id for job in jobs])
    assert shown(gallery, journal) == [jobs[1].image, jobs[0].image]
    assert (settings.trash_dir / str(jobs[0].image)).read_bytes() == b"an older one of that name"


CHURN = """
import sys
from pathlib import Path
from pixart_ui.gallery.records import Gallery
from pixart_ui.jobs.journal import Journal
from pixart_ui.settings import Settings
settings = Settings(data_dir=Path(sys.argv[1]))
journal = Journal(settings.journal_path)
gallery = Gallery(settings, journal)
ids = [int(text) for text in sys.argv[2:]]
print("going", flush=True)
while True:
    gallery.delete(ids)
    gallery.restore(ids)
"""


def test_killed_between_delete_and_undo_every_picture_is_in_one_of_the_two_places(
    gallery: Gallery, settings: Settings, journal: Journal
) -> None:
    jobs = [make(settings, journal) for _ in range(4)]
    ids = [str(named(journal, job.image).id) for job in jobs]
    for turn in range(5):
        with subprocess.Popen(
            [sys.executable, "-c", CHURN, str(settings.data_dir), *ids], stdout=subprocess.PIPE
        ) as process:
            assert process.stdout is not None
            process.stdout.readline()
            time.sleep(0.05 + turn * 0.013)
            process.send_signal(signal.SIGKILL)
        after = Gallery(settings, journal)
        here = set(shown(after, journal))
        deleted = set(shown(after, journal, PictureFilter(is_deleted=True)))
        assert here | deleted == {job.image for job in jobs}
        assert not here & deleted
        if deleted:
            after.restore([named(journal, name).id for name in deleted])
        for job in jobs:
            assert images.read_facts(settings.images_dir / str(job.image))["job"] == job.id


def test_a_journal_from_before_the_gallery_has_its_pictures_with_owners_and_stars(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = tuple(step for step in database.MIGRATIONS if step.name < "0006")
    with monkeypatch.context() as older:
        older.setattr(database, "MIGRATIONS", before)
        journal = Journal(settings.journal_path)
        with journal._change() as db:
            db.execute(
                "INSERT INTO jobs (batch, owner, state, position, request, group_key, created_at, finished_at, image, "
                "is_starred) VALUES ('b', 'ann', 'done', 1, ?, 'k', 5, 9, 'old.png', 1)",
                (images.read_request(write(settings.images_dir, "old.png", "a boat")).model_dump_json(),),
            )
        journal.close()
    journal = Journal(settings.journal_path)
    picture = named(journal, "old.png")
    assert (picture.owner, picture.prompt, picture.made_at, picture.is_starred) == ("ann", "a boat", 9.0, True)
    assert shown(Gallery(settings, journal), journal) == ["old.png"]
    journal.close()


def test_a_file_of_another_folder_belongs_to_nobody_who_has_a_job_of_its_number(
    gallery: Gallery, settings: Settings, journal: Journal
) -> None:
    (request,) = resolve(GenerationRequest.parse({"prompt": "x"}), tiny(Path("weights")), None, random_seed=1)
    (waiting,) = journal.submit([request], "ann")
    images.save(Image.new("RGB", (16, 16)), settings.images_dir / "theirs.png", request, {"job": waiting.id})
    assert shown(gallery, journal) == ["theirs.png"]
    assert named(journal, "theirs.png").owner == "local"
    journal.claim("worker", lease_seconds=60, limit=1)
    images.save(Image.new("RGB", (16, 16)), settings.images_dir / "hers.png", request, {"job": waiting.id})
    gallery.refresh()
    assert named(journal, "hers.png").owner == "ann"
