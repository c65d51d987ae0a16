"""`queue add FILE` and `queue export`: all of a file or nothing, and everything comes out again."""

from __future__ import annotations

import csv
import io
import json
import os
import sqlite3
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from pixart_ui import cli
from pixart_ui.gallery import images
from pixart_ui.jobs import database
from pixart_ui.jobs.job import JobState
from pixart_ui.jobs.journal import Journal
from pixart_ui.services import presets_dir
from tests.cli.commands import ROOT, Ended
from tests.jobs.parts import request

Queue = Callable[..., Ended]
CPU = {"device": "cpu", "name": "CPU", "memory_free_bytes": 8 << 30, "state": "ready"}


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def queue(data_dir: Path, capsys: pytest.CaptureFixture[str]) -> Queue:
    """`queue …` on a data folder of its own, in this process."""

    def run(*arguments: str | Path) -> Ended:
        code = cli.main(["queue", *map(str, arguments), "--data-dir", str(data_dir)])
        out, err = capsys.readouterr()
        return Ended(code, out, err)

    return run


@pytest.fixture
def journal(data_dir: Path) -> Iterator[Journal]:
    data_dir.mkdir(exist_ok=True)
    journal = Journal(data_dir / "journal.sqlite3")
    yield journal
    journal.close()


@pytest.fixture
def file(tmp_path: Path) -> Callable[[str, str | bytes], Path]:
    def write(name: str, content: str | bytes) -> Path:
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


File = Callable[[str, str | bytes], Path]


def as_json(ended: Ended) -> Any:
    assert ended.code == 0, ended.err
    return json.loads(ended.out)


def prompts(journal: Journal) -> list[str]:
    return [job.request.prompt for job in journal.jobs(newest_first=False)]


# Adding


def test_files_and_prompts_are_added_in_their_order(queue: Queue, journal: Journal, file: File) -> None:
    table = file("a.csv", "prompt,seed\na {red|blue} house,3\n")
    ended = queue("add", "first", table, "second", file("b.txt", "c\nd\n"), file("c.json", '["e"]'), "--steps", "4")
    assert (ended.code, ended.err) == (0, "")
    assert prompts(journal) == ["first", "a red house", "a blue house", "second", "c", "d", "e"]
    assert [job.request.seed for job in journal.jobs(newest_first=False)][1:3] == [3, 3]
    assert {job.request.steps for job in journal.jobs()} == {4}, "flags are for what a row leaves out"
    assert ended.out.splitlines()[-1] == "7 jobs of 6 prompts"


def test_a_row_goes_before_the_flags(queue: Queue, journal: Journal, file: File) -> None:
    queue("add", file("a.csv", "prompt,steps,size\na,9,\nb,,128x128\n"), "--steps", "4", "--size", "256x192")
    assert [(job.request.steps, str(job.request.size)) for job in journal.jobs(newest_first=False)] == [
        (9, "256×192"),
        (4, "128×128"),
    ]


def test_prompts_come_on_stdin(journal: Journal, data_dir: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pixart_ui", "queue", "add", "-", "--json", "--data-dir", str(data_dir)],
        cwd=ROOT,
        input="a cat\n# no\na {red|blue} dog\n",
        capture_output=True,
        text=True,
        check=True,
    )
    assert [job["prompt"] for job in json.loads(done.stdout)] == ["a cat", "a red dog", "a blue dog"]
    assert prompts(journal) == ["a cat", "a red dog", "a blue dog"]


def test_names_that_were_understood_otherwise_are_told_beside_the_json(queue: Queue, file: File) -> None:
    ended = queue("add", file("a.csv", "prompt,cfg\na,5\n"), "--json")
    assert ended.err == "Understood as: cfg → guidance_scale.\n"
    assert as_json(ended)[0]["request"]["guidance_scale"] == 5


def test_a_dry_run_shows_all_and_adds_nothing(queue: Queue, journal: Journal, file: File) -> None:
    path = file("a.csv", "prompt,n,seed\na {red|blue} house,2,\nb,1,7\n")
    ended = queue("add", path, "--dry-run")
    assert ended.out.splitlines() == [
        "would add: a red house × 2",
        "would add: a blue house × 2",
        "would add: b  (seed 7)",
        "5 jobs of 2 prompts",
    ]
    told = as_json(queue("add", path, "--dry-run", "--json"))
    assert (told["num_rows"], told["num_jobs"], told["predicted_seconds"]) == (2, 5, None)
    assert told["notes"] == ["Understood as: n → num_images."]
    assert told["requests"][2] == {"prompt": "b", "num_images": 1, "seed": 7}
    assert journal.jobs() == ()


def test_the_predicted_time_is_told_where_a_worker_runs(queue: Queue, journal: Journal, file: File) -> None:
    journal.register_worker("one", device="cpu", pid=1, info=CPU)
    path = file("a.txt", "a\n" * 100)
    seconds = as_json(queue("add", path, "--dry-run", "--json"))["predicted_seconds"]
    assert seconds > 10
    assert queue("add", path).out.splitlines()[-1].startswith("100 jobs, about ")


def test_of_many_jobs_a_person_sees_the_first(queue: Queue, file: File) -> None:
    lines = queue("add", file("a.txt", "a\n" * 1234)).out.splitlines()
    assert len(lines) == 22
    assert lines[-2:] == ["… and 1,214 more", "1,234 jobs"]


def test_the_shipped_examples_can_be_added(queue: Queue, journal: Journal) -> None:
    queues = presets_dir() / "queues"
    for name, num_jobs in (("tiny.json", 27), ("example.csv", 6), ("landscapes.txt", 28)):
        ended = queue("add", queues / name, "--json")
        assert len(as_json(ended)) == num_jobs
    ended = queue("add", queues / "article.json")
    assert ended.code == 2
    assert "article.json, row 1: " in ended.err
    assert "models download alpha-1024" in ended.err


# What is wrong


def test_wrong_rows_are_told_with_their_numbers_and_nothing_is_added(
    queue: Queue, journal: Journal, file: File
) -> None:
    table = file("a.csv", "prompt,steps\na,0\nb,5\nc,1,2\n")
    entries = file("b.json", '["ok", {"prompt": "a", "stepz": 1}]')
    for flags in ([], ["--json"], ["--dry-run"]):
        ended = queue("add", "a prompt", table, entries, *flags)
        assert ended.code == 2
        assert ended.out == ""
        assert ended.err.splitlines() == [
            "a.csv, row 2: Steps '0' is not a whole number from 1 to 150: try 20.",
            (
                "a.csv, row 4: The row has 3 cells, the header 2: put text with commas in double quotes, and leave no "
                "cell out."
            ),
            (
                "b.json, row 2: Unknown key 'stepz', did you mean 'steps': leave it out, or choose one of prompt, "
                "negative_prompt, style, checkpoint, precision, transformer_precision, numerics, compile_blocks, "
                "width, height, steps, guidance_scale, scheduler, seed, num_images, size."
            ),
            "Nothing was added, as 3 rows are wrong: correct what is said above and add the file again.",
        ]
    assert journal.jobs() == ()


def test_of_many_wrong_rows_the_first_are_told(queue: Queue, journal: Journal, file: File) -> None:
    ended = queue("add", file("a.csv", "prompt,seed\n" + "a,x\n" * 1000))
    assert ended.code == 2
    lines = ended.err.splitlines()
    assert len(lines) == 22
    assert lines[20:] == [
        "… and 980 more.",
        "Nothing was added, as 1,000 rows are wrong: correct what is said above and add the file again.",
    ]
    assert journal.jobs() == ()


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.csv", "promt,steps\na,2\n", ["'a.csv' has no column prompt", "'promt'"]),
        ("a.csv", "prompt;stepz\na;2\n", ["'stepz'", "did you mean 'steps'"]),
        ("a.csv", b"\x00\x01\x02\xff" * 500, ["'a.csv' is not UTF-8 text"]),
        ("a.csv", "", ["'a.csv' holds no prompt"]),
        ("a.csv", 'prompt\n"open\n', ["Row 2 of file 'a.csv'"]),
        ("a.json", "[" * 10_000, ["'a.json' is nested too deep"]),
        ("a.json", "{", ["'a.json' is not JSON"]),
        ("a.txt", "a\n" * 30_000, ["more than 20,000 pictures"]),
        ("a", "{red|blue\n", ["a, row 1", "{ at position 1"]),
    ],
)
def test_a_wrong_file_is_a_sentence_and_adds_nothing(
    queue: Queue, journal: Journal, file: File, name: str, content: str | bytes, words: list[str]
) -> None:
    ended = queue("add", "a prompt", file(name, content))
    assert ended.code == 2
    assert ended.out == ""
    assert "Traceback" not in ended.err
    assert [word for word in words if word not in ended.err] == [], ended.err
    assert journal.jobs() == ()


def test_a_file_of_100_megabytes_is_refused_unread(queue: Queue, journal: Journal, tmp_path: Path) -> None:
    with (tmp_path / "a.csv").open("wb") as large:
        large.truncate(100_000_000)
    ended = queue("add", tmp_path / "a.csv")
    assert ended.code == 2
    assert ended.is_one_sentence, ended.err
    assert "'a.csv' has 100,000,000 bytes, at most 16 MiB" in ended.err
    assert journal.jobs() == ()


def test_what_is_meant_as_a_file_is_no_prompt(queue: Queue, journal: Journal, tmp_path: Path) -> None:
    for argument, words in (
        ("absent.csv", "'absent.csv' does not exist"),
        (f"{tmp_path}/absent.JSON", "does not exist"),
        (str(tmp_path), "is a folder"),
    ):
        ended = queue("add", argument)
        assert ended.code == 2
        assert ended.is_one_sentence, ended.err
        assert words in ended.err
    assert journal.jobs() == ()
    assert queue("add", "a table made of queue.csv", "x" * 5000, "nul\n").code == 0
    assert len(journal.jobs()) == 3


def test_a_file_that_cannot_be_read_is_a_sentence(queue: Queue, journal: Journal, tmp_path: Path) -> None:
    (tmp_path / "loop.csv").symlink_to(tmp_path / "loop.csv")
    ended = queue("add", tmp_path / "loop.csv")
    assert ended.code == 2
    assert ended.is_one_sentence, ended.err
    assert journal.jobs() == ()


# The journal in the way


def test_a_journal_locked_by_another_process_adds_nothing(
    queue: Queue, journal: Journal, file: File, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "BUSY_SECONDS", 0.1)
    hold = "import sqlite3, sys; db = sqlite3.connect(sys.argv[1]); db.execute('BEGIN IMMEDIATE'); print(); input()"
    with subprocess.Popen(
        [sys.executable, "-c", hold, str(journal.path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        other.stdout.readline()
        ended = queue("add", file("a.csv", "prompt\n" + "a\n" * 100))
        other.communicate("\n")
    assert ended.code == 1
    assert ended.is_one_sentence, ended.err
    assert "locked by another program" in ended.err
    assert journal.jobs() == ()
    assert queue("add", "a cat").code == 0


def test_a_journal_of_a_newer_version_is_left_as_it_is(queue: Queue, journal: Journal, file: File) -> None:
    with sqlite3.connect(journal.path) as db:
        db.execute("INSERT INTO migrations VALUES ('9999 from the future', 0)")
    db.close()
    for ended in (queue("add", file("a.csv", "prompt\na\n")), queue("export")):
        assert ended.code == 2
        assert ended.is_one_sentence, ended.err
        assert "newer version" in ended.err
    assert journal.jobs() == ()


@pytest.mark.skipif(os.name != "posix", reason="permissions as POSIX has them")
def test_a_data_folder_that_is_read_only_adds_nothing() -> None:
    """As another user where we are root, who may write everywhere."""
    program = """
import os, sys
from pixart_ui.cli import main
if os.geteuid() == 0:
    os.setuid(65534)
sys.exit(main(["queue", "add", sys.argv[1] + "/a.csv", "--data-dir", sys.argv[1]]))
"""
    with tempfile.TemporaryDirectory() as folder:
        assert cli.main(["queue", "add", "a cat", "--data-dir", folder]) == 0
        (Path(folder) / "a.csv").write_text("prompt\na dog\n")
        Path(folder).chmod(0o555)
        done = subprocess.run(
            [sys.executable, "-c", program, folder], cwd=ROOT, capture_output=True, text=True, check=False
        )
        Path(folder).chmod(0o755)
        journal = Journal(Path(folder) / "journal.sqlite3")
        assert prompts(journal) == ["a cat"]
        journal.close()
    assert done.returncode == 2
    assert Ended(2, done.stdout, done.stderr).is_one_sentence, done.stderr
    assert "cannot be written (Permission denied)" in done.stderr


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of a megabyte."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounting = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    if sys.platform != "linux" or subprocess.run(mounting, capture_output=True, check=False).returncode != 0:
        pytest.skip("needs to mount a small file system")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_adds_all_or_nothing(small_disk: Path, file: File, capsys: pytest.CaptureFixture[str]) -> None:
    path = file("a.csv", "prompt\n" + "a red circle above a blue square\n" * 3000)
    assert cli.main(["queue", "add", "a cat", "--data-dir", str(small_disk)]) == 0
    capsys.readouterr()
    assert cli.main(["queue", "add", str(path), "--data-dir", str(small_disk)]) == 1
    out, err = capsys.readouterr()
    assert Ended(1, out, err).is_one_sentence, err
    assert "free some space" in err
    journal = Journal(small_disk / "journal.sqlite3")
    assert prompts(journal) == ["a cat"]
    journal.close()


# Exporting


def finish_some(journal: Journal, data_dir: Path) -> None:
    """Four jobs: two done, the picture of one of them gone, one failed, one that waits."""
    journal.submit([request(seed, prompt=f"={seed}") for seed in range(4)], "local")
    jobs = journal.claim("one", lease_seconds=60, limit=3)
    for job in jobs[:2]:
        images.save(Image.new("RGB", (8, 8)), data_dir / "images" / f"{job.id}.png", job.request, {})
        journal.finish(job, image=f"{job.id}.png", facts={})
    journal.fail(jobs[2], "It broke.")
    (data_dir / "images" / "2.png").unlink()


def rows(ended: Ended) -> list[dict[str, str]]:
    assert (ended.code, ended.err) == (0, "")
    return list(csv.DictReader(io.StringIO(ended.out, newline="")))


def test_the_queue_is_exported_to_stdout(queue: Queue, journal: Journal, data_dir: Path) -> None:
    finish_some(journal, data_dir)
    assert [(row["prompt"], row["state"], row["image"], row["error"]) for row in rows(queue("export"))] == [
        ("'=0", "done", "1.png", ""),
        ("'=1", "done", "2.png", ""),
        ("'=2", "failed", "", "It broke."),
        ("'=3", "queued", "", ""),
    ]
    assert [row["seed"] for row in rows(queue("export", "--state", "failed"))] == ["2"]
    for flag in (["--json"], ["--format", "json"], ["--json", "--format", "json"]):
        assert [job["prompt"] for job in as_json(queue("export", *flag))] == ["=0", "=1", "=2", "=3"]


@pytest.mark.parametrize("name", ["all.csv", "all.json"])
def test_what_was_exported_is_added_again_as_it_was(
    queue: Queue, journal: Journal, data_dir: Path, tmp_path: Path, name: str
) -> None:
    finish_some(journal, data_dir)
    ended = queue("export", "--out", tmp_path / name)
    assert (ended.code, ended.out) == (0, f"{tmp_path / name}: 4 jobs\n")
    before = [job.request for job in journal.jobs(newest_first=False)]
    journal.clear_finished()
    ended = queue("add", tmp_path / name, "--style", "Neon")
    assert ended.code == 0
    assert "Left aside, as they tell of results: id, state" in ended.err
    assert "the settings given beside are not used" in ended.err
    after = [job.request for job in journal.jobs(newest_first=False)]
    assert after[1:] == [again.model_copy(update={"full_prompt": again.prompt}) for again in before]


def test_pictures_are_packed(queue: Queue, journal: Journal, data_dir: Path, tmp_path: Path) -> None:
    finish_some(journal, data_dir)
    ended = queue("export", "--zip", tmp_path / "all.zip")
    assert (ended.code, ended.out) == (0, f"{tmp_path / 'all.zip'}: 1 picture\n")
    assert ended.err == (f"Not on the disk any more: 1 picture, named by MISSING.txt in {tmp_path / 'all.zip'}.\n")
    with zipfile.ZipFile(tmp_path / "all.zip") as archive:
        assert archive.namelist() == ["1.png", "MISSING.txt"]
        assert archive.read("1.png") == (data_dir / "images" / "1.png").read_bytes()
    told = as_json(queue("export", "--zip", tmp_path / "b.zip", "--out", tmp_path / "b.csv", "--json"))
    assert told == {"jobs": 4, "files": [str(tmp_path / "b.csv"), str(tmp_path / "b.zip")]}
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == ["all.zip", "b.csv", "b.zip"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--format", "xml"], ["'xml'", "csv, json"]),
        (["--state", "ready"], ["'ready'", "done"]),
        (["--json", "--format", "csv"], ["--json", "--format csv"]),
        (["--zip", "all.zip"], ["no picture to pack"]),
        (["--out", "absent/all.csv"], ["cannot be written", "No such file"]),
        (["--out", "."], ["'.' is a folder"]),
        (["--out", "data/journal.sqlite3/all.csv"], ["cannot be written", "Not a directory"]),
    ],
)
def test_a_wrong_export_is_a_sentence(
    queue: Queue,
    journal: Journal,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    words: list[str],
) -> None:
    journal.submit([request(0)], "local")
    monkeypatch.chdir(tmp_path)
    ended = queue("export", *arguments)
    assert ended.code == 2
    assert ended.is_one_sentence, ended.err
    assert [word for word in words if word not in ended.err] == [], ended.err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data"]


def test_an_export_that_fails_leaves_the_old_file(
    queue: Queue, journal: Journal, tmp_path: Path, small_disk: Path
) -> None:
    (small_disk / "all.json").write_text("old")
    journal.submit([request(seed) for seed in range(3000)], "local")
    ended = queue("export", "--out", small_disk / "all.json")
    assert ended.code == 1
    assert ended.is_one_sentence, ended.err
    assert "does not fit on its disk" in ended.err
    assert [path.name for path in small_disk.iterdir()] == ["all.json"]
    assert (small_disk / "all.json").read_text() == "old"
    assert [job.state for job in journal.jobs(limit=1)] == [JobState.QUEUED]
