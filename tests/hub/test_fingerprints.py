from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from pixart_ui.catalog import tiny
from pixart_ui.errors import CheckpointError
from pixart_ui.fingerprints import Fingerprints, combine
from pixart_ui.hub import Hub
from tests.hub.parts import write_folder


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "weights"
    path.write_bytes(b"abc" * 3_000_000)
    return path


def test_the_hash_is_sha256(tmp_path: Path, file: Path) -> None:
    assert Fingerprints(tmp_path / "memory").sha256(file) == sha256(file.read_bytes())


def test_an_unchanged_file_is_read_once_even_by_another_process(tmp_path: Path, file: Path) -> None:
    digest = Fingerprints(tmp_path / "memory").sha256(file)
    spoil_unseen(file)

    assert Fingerprints(tmp_path / "memory").sha256(file) == digest
    assert Fingerprints(tmp_path / "memory").compute(file) != digest


def test_what_another_process_learned_meanwhile_is_used(tmp_path: Path, file: Path) -> None:
    mine, other = Fingerprints(tmp_path / "memory"), Fingerprints(tmp_path / "memory")
    assert mine.remembered(file) is None
    digest = other.sha256(file)
    spoil_unseen(file)

    assert mine.sha256(file) == digest


def test_a_changed_file_is_read_again(tmp_path: Path, file: Path) -> None:
    prints = Fingerprints(tmp_path / "memory")
    prints.sha256(file)
    file.write_bytes(b"other")

    assert prints.sha256(file) == sha256(b"other")


def test_a_link_and_its_target_are_one_file(tmp_path: Path, file: Path) -> None:
    prints = Fingerprints(tmp_path / "memory")
    prints.sha256(file)
    (tmp_path / "link").symlink_to(file)

    assert prints.remembered(tmp_path / "link") == sha256(file.read_bytes())


def test_a_torn_line_spoils_no_other(tmp_path: Path, file: Path) -> None:
    memory = tmp_path / "memory"
    memory.write_text('["/some/path", 12, 3')
    digest = Fingerprints(memory).sha256(file)
    spoil_unseen(file)

    assert Fingerprints(memory).sha256(file) == digest


def test_a_missing_file_has_its_sentence(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"gone cannot be read \(No such file or directory\): get the checkpoint"):
        Fingerprints(tmp_path / "memory").sha256(tmp_path / "gone")


def test_one_file_keeps_its_own_hash_and_several_have_one_whatever_their_order() -> None:
    assert combine(["aa"]) == "aa"
    assert combine(["bb", "aa"]) == combine(["aa", "bb"]) == sha256(b"aa\nbb")


def test_the_hashes_of_a_checkpoint_follow_its_weights(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "checkpoint")
    hub, local = Hub(tmp_path / "records"), tiny(folder)
    before = hub.hashes(hub.locate(local))
    weights = folder / "vae/diffusion_pytorch_model.safetensors"
    shards = sorted(sha256(path.read_bytes()) for path in (folder / "text_encoder").glob("model-*.safetensors"))

    assert before["vae"] == sha256(weights.read_bytes())
    assert before["text_encoder"] == sha256("\n".join(shards).encode())
    assert set(before) == {"tokenizer", "text_encoder", "transformer", "vae", "scheduler"}

    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    after = hub.hashes(hub.locate(local))
    assert {component for component in before if before[component] != after[component]} == {"vae"}


def spoil_unseen(path: Path) -> None:
    """Change the bytes but neither size nor time, to see whether the file is read."""
    stat = path.stat()
    path.write_bytes(b"x" * stat.st_size)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
