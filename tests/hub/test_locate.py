"""What `locate` and `verify` find wrong with a folder, and the sentence that says it."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pixart_ui.catalog import COMPONENTS, Checkpoint, hub_checkpoints, tiny
from pixart_ui.errors import CheckpointError
from pixart_ui.hub import Hub
from tests.hub.parts import SPIECE, checkpoint, flip, pickled, safetensors, write_folder
from tests.hub.server import FakeHub

SHARD = "text_encoder/model-00001-of-00002.safetensors"
INDEX = "text_encoder/model.safetensors.index.json"
WEIGHTS = "transformer/diffusion_pytorch_model.safetensors"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_folder(tmp_path / "checkpoint")


@pytest.fixture
def local(folder: Path) -> Checkpoint:
    return tiny(folder)


@pytest.fixture
def local_hub(tmp_path: Path) -> Hub:
    return Hub(tmp_path / "records")


def test_a_sound_folder_is_located(local_hub: Hub, local: Checkpoint, folder: Path) -> None:
    located = local_hub.locate(local)

    assert located.folders == {component: folder / component for component in COMPONENTS}
    assert located.revisions == {}
    assert local_hub.is_available(local)
    assert local_hub.verify(local) == ()


def remove(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).unlink()


def replace(name: str, data: bytes) -> Callable[[Path], None]:
    return lambda folder: (folder / name).write_bytes(data) and None


def cut(name: str, left: int) -> Callable[[Path], None]:
    """Keep only so many bytes, or drop so many from the end if negative."""
    return lambda folder: (folder / name).write_bytes((folder / name).read_bytes()[:left]) and None


def only_pickled(folder: Path) -> None:
    for path in (folder / "transformer").glob("*.safetensors"):
        path.unlink()
    (folder / "transformer/diffusion_pytorch_model.bin").write_bytes(pickled()[:-30])


def overlapping() -> bytes:
    header = json.dumps({"a": {"dtype": "U8", "shape": [8], "data_offsets": [4, 12]}}).encode()
    return struct.pack("<Q", len(header)) + header + bytes(12)


@pytest.mark.parametrize(
    ("harm", "where", "what"),
    [
        (remove(WEIGHTS), "transformer", None),  # the fp16 variant is all there is: taken
        (remove("vae/config.json"), "vae", "lacks config.json"),
        (remove("tokenizer/spiece.model"), "tokenizer", "lacks spiece.model or tokenizer.json"),
        (remove("scheduler/scheduler_config.json"), "scheduler", "lacks scheduler_config.json"),
        (remove(SHARD), "text_encoder", f"lacks {SHARD.partition('/')[2]}"),
        (remove(INDEX), "text_encoder", "lacks model.safetensors.index.json"),
        (cut(WEIGHTS, -1), WEIGHTS, "is cut short: it has 20,1"),
        (cut(WEIGHTS, 60), WEIGHTS, "is cut short: it ends after 60 bytes, inside its header"),
        (cut(WEIGHTS, 5), WEIGHTS, "is not a safetensors file"),
        (cut(WEIGHTS, 0), WEIGHTS, "is empty"),
        (cut(SHARD, 50_000), SHARD, "is cut short: it has 50,000 bytes, its header says 100,"),
        (replace(WEIGHTS, safetensors({"weight": 20}) + b"more"), WEIGHTS, "is too long"),
        (replace(WEIGHTS, os.urandom(4000)), WEIGHTS, "is not a safetensors file"),
        (replace(WEIGHTS, b"<!DOCTYPE html><html>not found</html>"), WEIGHTS, "is not a safetensors file"),
        (replace(WEIGHTS, overlapping()), WEIGHTS, "is not a safetensors file: its header cannot be read"),
        (replace(WEIGHTS, struct.pack("<Q", 40) + b"[" * 40), WEIGHTS, "is not a safetensors file: its header"),
        (replace(WEIGHTS, struct.pack("<Q", 90_000) + b"[" * 90_000), WEIGHTS, "is not a safetensors file: its header"),
        (replace(SHARD, safetensors({"shared": 9})), SHARD, "lacks the tensor block.0, which its index promises"),
        (replace(INDEX, b"{}"), INDEX, "has no weight_map"),
        (replace(INDEX, b'{"weight_map": {"a": "../../secret.safetensors"}}'), INDEX, "names a file outside its"),
        (replace(INDEX, b'{"weight_map": {"a": "b.safetensors"}}'), "text_encoder/b.safetensors", "is missing"),
        (replace(INDEX, b"\x00\xff"), INDEX, "is not readable JSON"),
        (replace("vae/config.json", b'{"sample_size": 3'), "vae/config.json", "is not readable JSON"),
        (replace("vae/config.json", b"[1]"), "vae/config.json", "is not a JSON object"),
        (replace("tokenizer/spiece.model", SPIECE[:-2]), "tokenizer/spiece.model", "is cut short"),
        (replace("tokenizer/spiece.model", b"version https://x"), "tokenizer/spiece.model", "is not a SentencePiece"),
        (only_pickled, "transformer/diffusion_pytorch_model.bin", "is cut short: the directory at its end"),
    ],
)
def test_each_damage_is_found_and_said(
    local_hub: Hub, local: Checkpoint, folder: Path, harm: Callable[[Path], None], where: str, what: str | None
) -> None:
    local_hub.locate(local)
    harm(folder)

    if what is None:
        local_hub.locate(local)
        return
    with pytest.raises(CheckpointError) as caught:
        local_hub.locate(local)
    message = caught.value.message
    assert message.startswith(f"{folder / where} {what}")
    assert message.endswith(": copy the whole checkpoint again.")
    assert "\n" not in message
    assert not local_hub.is_available(local)
    assert [problem.message for problem in local_hub.verify(local)] == [message]


def test_weights_that_are_there_only_as_a_variant_name_it(local_hub: Hub, local: Checkpoint, folder: Path) -> None:
    assert local_hub.locate(local).variants == {}
    (folder / WEIGHTS).unlink()

    assert local_hub.locate(local).variants == {"transformer": "fp16"}


def test_weights_that_are_there_only_pickled_are_refused_unless_allowed_by_name(
    local_hub: Hub, local: Checkpoint, folder: Path, tmp_path: Path
) -> None:
    assert local_hub.locate(local).checkpoint.pickled == ()
    for path in (folder / "transformer").glob("*.safetensors"):
        path.unlink()

    assert not local_hub.is_available(local)
    with pytest.raises(CheckpointError, match=r"pickled \.bin weights only, .*models download .* --allow-pickle`"):
        local_hub.locate(local)
    with pytest.raises(CheckpointError, match="not read unasked"):
        local_hub.download(local)

    assert local_hub.download(local, allow_pickle=True).checkpoint.pickled == ("transformer",)
    assert Hub(tmp_path / "records").locate(local).checkpoint.pickled == ("transformer",)
    assert not Hub(tmp_path / "others").is_available(local)


def test_a_missing_component_folder_is_said(local_hub: Hub, local: Checkpoint, folder: Path) -> None:
    (folder / "scheduler").rename(folder / "other")

    with pytest.raises(CheckpointError, match=r"checkpoint/scheduler is missing: copy the whole checkpoint again\."):
        local_hub.locate(local)


def test_a_repaired_folder_is_located_again(local_hub: Hub, local: Checkpoint, folder: Path) -> None:
    whole = (folder / WEIGHTS).read_bytes()
    (folder / WEIGHTS).write_bytes(whole[:-5])
    assert not local_hub.is_available(local)
    (folder / WEIGHTS).write_bytes(whole)

    assert local_hub.is_available(local)


def test_everything_wrong_is_listed_by_verify(local_hub: Hub, local: Checkpoint, folder: Path) -> None:
    cut(WEIGHTS, -1)(folder)
    remove("vae/config.json")(folder)
    cut(SHARD, -1)(folder)

    damaged = {problem.path for problem in local_hub.verify(local)}

    assert damaged == {folder / WEIGHTS, folder / "vae/config.json", folder / SHARD}


def test_a_changed_byte_of_a_download_is_found_by_verify(hub: Hub, server: FakeHub) -> None:
    painter = checkpoint()
    path = hub.download(painter).folders["vae"] / "diffusion_pytorch_model.safetensors"
    flip(path)

    hub.locate(painter)
    (problem,) = hub.verify(painter)

    assert problem.path == path
    assert "has changed, its SHA-256 is another: get it again with `python -m pixart_ui models download painter`." in (
        problem.message
    )


def test_a_changed_byte_of_a_local_folder_is_found_by_the_second_verify(
    local_hub: Hub, local: Checkpoint, folder: Path
) -> None:
    assert local_hub.verify(local) == ()
    flip(folder / WEIGHTS)

    (problem,) = local_hub.verify(local)

    assert problem.path == folder / WEIGHTS
    assert local_hub.verify(local) == (problem,)


def test_a_file_of_another_size_than_was_fetched_is_found(hub: Hub, server: FakeHub) -> None:
    painter = checkpoint()
    path = hub.download(painter).folders["vae"] / "config.json"
    path.write_text('{"sample_size": 123456}')

    with pytest.raises(CheckpointError, match=r"config\.json has 23 bytes, \d+ were fetched: get it again"):
        hub.locate(painter)


@pytest.mark.parametrize("record", [b"", b"{}", b"[]", b'{"format": 1, "repositories": {"a/b": {"commit": "../.."}}}'])
def test_a_damaged_record_counts_as_none(hub: Hub, server: FakeHub, tmp_path: Path, record: bytes) -> None:
    hub.download(checkpoint())
    (tmp_path / "records/painter.json").write_bytes(record)

    with pytest.raises(CheckpointError, match=r"The Painter \(painter\) is not on this disk: get it with"):
        hub.locate(checkpoint())
    server.requests.clear()
    hub.download(checkpoint())
    assert server.fetched() == []


def test_an_absent_checkpoint_names_the_command(tmp_path: Path) -> None:
    hub = Hub(tmp_path / "records")
    for entry in hub_checkpoints():
        with pytest.raises(CheckpointError, match=f"not on this disk: get it with `.*models download {entry.name}"):
            hub.locate(entry)
        (problem,) = hub.verify(entry)
        assert entry.name in problem.message
    assert not (tmp_path / "records").exists()


def test_the_command_for_pickled_weights_has_its_flag(tmp_path: Path) -> None:
    dmd = next(entry for entry in hub_checkpoints() if entry.pickled)

    with pytest.raises(CheckpointError, match="models download alpha-dmd-512 --allow-pickle`"):
        Hub(tmp_path).locate(dmd)


def test_a_file_that_did_not_change_is_not_read_again(local_hub: Hub, local: Checkpoint, folder: Path) -> None:
    path = folder / WEIGHTS
    local_hub.locate(local)
    stat = path.stat()
    path.write_bytes(bytes(stat.st_size))
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    local_hub.locate(local)

    os.utime(path)
    with pytest.raises(CheckpointError, match="is not a safetensors file"):
        local_hub.locate(local)


def test_importing_and_opening_touches_nothing(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from pixart_ui.hub import Hub\n"
        "Hub(Path(sys.argv[1]) / 'records')\n"
        "heavy = {'torch', 'huggingface_hub', 'transformers', 'diffusers', 'gradio'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True)
    assert list(tmp_path.iterdir()) == []
