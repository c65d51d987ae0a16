"""Embeddings that were computed already: strict keys, bounded size, and files that processes share and disks spoil."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from filelock import FileLock

from pixart_ui.engine import embeddings as embeddings_module
from pixart_ui.engine.embeddings import Embedding, EmbeddingCache, EmbeddingFiles, EmbeddingKey
from pixart_ui.request import Numerics, Precision

ROOT = Path(__file__).resolve().parent.parent.parent
ONE = Embedding(torch.arange(6400.0).view(1, 100, 64), torch.ones(1, 100, dtype=torch.int64))
# Its file, with header and key.
FILE_BYTES = ONE.nbytes + 1000


def key(text: str, precision: Precision = Precision.FP16) -> EmbeddingKey:
    return EmbeddingKey(text, "hash", precision, Numerics.FAST, "float32", "cpu", 300, True, ("1",))


def files_of(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.safetensors"))


def total_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in files_of(folder))


def test_the_cache_is_strict_and_bounded() -> None:
    cache = EmbeddingCache(max_bytes=2 * ONE.nbytes)
    for text in "abc":
        cache.put(key(text), ONE)
    assert cache.get(key("a")) is None
    assert cache.get(key("c")) is ONE
    assert cache.get(key("c", Precision.NF4)) is None


def test_what_was_put_comes_back_in_another_process_bit_for_bit(tmp_path: Path) -> None:
    EmbeddingFiles(tmp_path).put(key("a"), ONE)
    found = EmbeddingFiles(tmp_path).get(key("a"))
    assert found is not None
    assert torch.equal(found.states, ONE.states)
    assert torch.equal(found.mask, ONE.mask)
    assert EmbeddingFiles(tmp_path).get(key("b")) is None


def test_files_stay_below_their_size_and_the_least_used_leaves_first(tmp_path: Path) -> None:
    files = EmbeddingFiles(tmp_path, max_bytes=5 * FILE_BYTES)
    for number in range(20):
        files.put(key(str(number)), ONE)
        if number:
            assert files.get(key("0")) is not None  # used again and again
        assert total_bytes(tmp_path) <= 5 * FILE_BYTES
    assert files.get(key("19")) is not None
    assert files.get(key("1")) is None


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content[:-9],
        lambda content: content[: len(content) // 2],
        lambda content: content[:4],
        lambda content: b"",
        lambda content: content[:-9] + bytes([content[-9] ^ 1]) + content[-8:],
        lambda content: content.replace(b'"sha256":"', b'"sha256":"0', 1)[: len(content)],
        lambda content: b"\xff" * 8 + content[8:],
        lambda content: content.replace(b'\\"a\\"', b'\\"b\\"', 1),
        lambda content: b"[" * len(content),
    ],
)
def test_a_file_that_is_not_as_it_was_written_is_a_miss_and_removed(tmp_path: Path, damage) -> None:  # type: ignore[no-untyped-def]
    files = EmbeddingFiles(tmp_path)
    files.put(key("a"), ONE)
    (path,) = files_of(tmp_path)
    whole = path.read_bytes()
    path.write_bytes(damage(whole))
    assert path.read_bytes() != whole
    assert files.get(key("a")) is None
    assert files_of(tmp_path) == []
    files.put(key("a"), ONE)
    assert files.get(key("a")) is not None


def test_a_file_under_the_name_of_another_text_is_a_miss(tmp_path: Path) -> None:
    files = EmbeddingFiles(tmp_path)
    files.put(key("a"), ONE)
    files.put(key("b"), ONE)
    files.path(key("a")).replace(files.path(key("b")))
    assert files.get(key("b")) is None


KILLED = """
import signal, os, sys
from pathlib import Path
from tests.engine.test_embeddings import ONE, EmbeddingFiles, key
Path.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
EmbeddingFiles(Path(sys.argv[1])).put(key("a"), ONE)
"""


def test_what_a_killed_writer_left_is_swept_and_nobody_waits_for_it(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], cwd=ROOT, check=False, timeout=120)
    assert done.returncode == -signal.SIGKILL
    assert len(list(tmp_path.glob("*.part"))) == 1
    files = EmbeddingFiles(tmp_path)
    assert files.get(key("a")) is None
    files.put(key("b"), ONE)
    assert list(tmp_path.glob("*.part")) == []
    assert len(files_of(tmp_path)) == 1


WRITER = """
import sys
from pathlib import Path
from tests.engine.test_embeddings import ONE, FILE_BYTES, EmbeddingFiles, key
files = EmbeddingFiles(Path(sys.argv[1]), max_bytes=12 * FILE_BYTES)
for number in range(60):
    files.put(key(f"{sys.argv[2]} {number}"), ONE)
"""


def test_two_processes_together_stay_below_the_size(tmp_path: Path) -> None:
    command = [sys.executable, "-c", WRITER, str(tmp_path)]
    writers = [subprocess.Popen([*command, name], cwd=ROOT) for name in ("one", "two")]
    largest = 0
    while any(writer.poll() is None for writer in writers):
        try:
            largest = max(largest, total_bytes(tmp_path))
        except FileNotFoundError:
            continue  # it left while it was counted
        time.sleep(0.001)
    assert [writer.returncode for writer in writers] == [0, 0]
    assert 6 * FILE_BYTES < largest <= 12 * FILE_BYTES
    assert total_bytes(tmp_path) <= 12 * FILE_BYTES
    assert list(tmp_path.glob("*.part")) == []


def test_another_engine_in_the_process_counts_too(tmp_path: Path) -> None:
    one, two = (EmbeddingFiles(tmp_path, max_bytes=6 * FILE_BYTES) for _ in range(2))
    for number in range(20):
        (one, two)[number % 2].put(key(str(number)), ONE)
        assert total_bytes(tmp_path) <= 6 * FILE_BYTES


@pytest.mark.parametrize("content", ["", "nonsense", "-5", "9" * 5000])
def test_a_spoiled_total_is_counted_anew(tmp_path: Path, content: str) -> None:
    files = EmbeddingFiles(tmp_path, max_bytes=3 * FILE_BYTES)
    for number in range(3):
        files.put(key(str(number)), ONE)
    (tmp_path / "total").write_text(content)
    for number in range(3, 6):
        files.put(key(str(number)), ONE)
        assert total_bytes(tmp_path) <= 3 * FILE_BYTES


def test_a_lock_that_is_held_or_a_folder_that_cannot_be_written_only_costs_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(embeddings_module, "LOCK_SECONDS", 0.05)
    with FileLock(tmp_path / "lock"):
        EmbeddingFiles(tmp_path).put(key("a"), ONE)
    assert files_of(tmp_path) == []
    assert "is not kept" in caplog.text
    blocked = tmp_path / "file"
    blocked.write_bytes(b"")
    EmbeddingFiles(blocked).put(key("a"), ONE)
    assert EmbeddingFiles(blocked).get(key("a")) is None
