"""The weight store: every stored number is the one that the libraries' own loading gives, and no half file is used."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from collections import namedtuple
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKL, PixArtTransformer2DModel
from safetensors.torch import load_file, save_file
from transformers import BitsAndBytesConfig, T5EncoderModel

from pixart_ui import tiny
from pixart_ui.catalog import Component
from pixart_ui.engine import weightfile
from pixart_ui.engine.conversion import ensure_component
from pixart_ui.engine.device import Device, open_device
from pixart_ui.engine.forms import WeightSource
from pixart_ui.engine.tensorfile import TensorEntry, read_header
from pixart_ui.engine.weights import WeightStore, record_path
from pixart_ui.errors import CheckpointError, DiskFullError
from pixart_ui.fingerprints import hash_file
from pixart_ui.request import Precision

ROOT = Path(__file__).resolve().parents[2]
DTYPES = {Precision.FP16: torch.float16, Precision.BF16: torch.bfloat16}
QUANTIZATION = {
    Precision.INT8: BitsAndBytesConfig(load_in_8bit=True),
    Precision.NF4: BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4"),
    Precision.FP4: BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="fp4"),
}
# Kept beside the others in a stock model's state, and in no file: tied to `shared.weight`, or always 0.
NOT_STORED = ("encoder.embed_tokens.weight", "weight_format")
Usage = namedtuple("Usage", "total used free")


def ignore(done: int, total: int) -> None:
    pass


def refuse(done: int, total: int) -> None:
    raise AssertionError("nothing was to be converted")


@pytest.fixture(scope="module")
def device() -> Device:
    return open_device("cpu")


@pytest.fixture
def store(tmp_path: Path) -> WeightStore:
    return WeightStore(tmp_path / "store")


def source_of(folder: Path, component: Component, precision: Precision = Precision.FP16) -> WeightSource:
    (path,) = (path for path in (folder / component).iterdir() if path.suffix in (".safetensors", ".bin"))
    return WeightSource(component, folder / component, precision, hash_file(path))


@pytest.fixture
def t5(toys: dict[str, Path]) -> WeightSource:
    return source_of(toys["sigma"], "text_encoder")


def tensors_of(entries: dict[str, TensorEntry]) -> dict[str, torch.Tensor]:
    (path,) = {entry.path for entry in entries.values()}
    return dict(load_file(path))


def assert_same(ours: dict[str, torch.Tensor], theirs: dict[str, torch.Tensor]) -> None:
    assert ours.keys() == theirs.keys()
    for name, tensor in theirs.items():
        assert ours[name].dtype == tensor.dtype, name
        assert ours[name].shape == tensor.shape, name
        assert torch.equal(ours[name], tensor), name


def stock_t5(folder: Path, precision: Precision, device_type: str = "cpu") -> dict[str, torch.Tensor]:
    if precision in QUANTIZATION:
        dtype = torch.float32 if device_type == "cpu" else torch.float16
        arguments: dict[str, Any] = {"dtype": dtype, "quantization_config": QUANTIZATION[precision]}
    else:
        arguments = {"dtype": DTYPES[precision]}
    state = T5EncoderModel.from_pretrained(folder, device_map={"": device_type}, **arguments).state_dict()
    return {name: tensor.cpu() for name, tensor in state.items() if not name.endswith(NOT_STORED)}


# Which numbers


@pytest.mark.parametrize("precision", Precision)
def test_every_tensor_of_t5_is_the_one_of_a_stock_loaded_model(
    store: WeightStore, t5: WeightSource, device: Device, precision: Precision
) -> None:
    entries = ensure_component(store, replace(t5, precision=precision), device, ignore)
    assert_same(tensors_of(entries), stock_t5(t5.folder, precision))


@pytest.mark.parametrize("precision", DTYPES)
@pytest.mark.parametrize(("component", "cls"), [("transformer", PixArtTransformer2DModel), ("vae", AutoencoderKL)])
def test_transformer_and_vae_are_those_of_stock_loaded_models(
    store: WeightStore,
    toys: dict[str, Path],
    device: Device,
    component: Component,
    cls: Any,
    precision: Precision,
) -> None:
    source = source_of(toys["alpha-conditions"], component, precision)
    state = cls.from_pretrained(source.folder, torch_dtype=DTYPES[precision]).state_dict()
    used = {name: value for name, value in state.items() if not name.startswith(("encoder.", "quant_conv."))}
    assert_same(tensors_of(ensure_component(store, source, device, ignore)), used)


@pytest.mark.parametrize("precision", Precision)
def test_numbers_that_round_are_rounded_as_the_libraries_do(
    store: WeightStore, t5: WeightSource, device: Device, tmp_path: Path, precision: Precision
) -> None:
    """Ties, subnormals and what overflows fp16, in a layer that is quantized and in tables that are not."""
    folder = shutil.copytree(t5.folder, tmp_path / "t5")
    weights = load_file(folder / "model.safetensors")
    hard = torch.tensor([1 + 2**-11, 1 + 3 * 2**-11, 1 + 2**-9, 2**-24, 2**-25, -(2**-26), 6e-8, 65503.0])
    for name in ("shared.weight", "encoder.block.1.layer.1.DenseReluDense.wi_0.weight"):
        weights[name].view(-1)[: len(hard)] = hard
    weights["shared.weight"].view(-1)[-2:] = torch.tensor([65520.0, -1e30])
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    source = replace(t5, folder=folder, precision=precision, source_hash=hash_file(folder / "model.safetensors"))
    assert_same(tensors_of(ensure_component(store, source, device, ignore)), stock_t5(folder, precision))


@pytest.mark.parametrize("is_zip", [True, False])
def test_a_pickled_transformer_gives_the_same_file_as_safetensors(
    store: WeightStore, toys: dict[str, Path], device: Device, tmp_path: Path, is_zip: bool
) -> None:
    plain = source_of(toys["sigma"], "transformer")
    folder = tmp_path / "transformer"
    folder.mkdir()
    shutil.copy(plain.folder / "config.json", folder)
    weights = load_file(plain.folder / "diffusion_pytorch_model.safetensors")
    torch.save(weights, folder / "diffusion_pytorch_model.bin", _use_new_zipfile_serialization=is_zip)
    pickled = ensure_component(store, source_of(tmp_path, "transformer"), device, ignore)
    assert_same(tensors_of(pickled), tensors_of(ensure_component(store, plain, device, ignore)))


def test_shards_are_joined(store: WeightStore, t5: WeightSource, device: Device, tmp_path: Path) -> None:
    folder = tmp_path / "shards"
    T5EncoderModel.from_pretrained(t5.folder).save_pretrained(folder, max_shard_size="100KB")
    assert len(list(folder.glob("*.safetensors"))) > 1
    entries = ensure_component(store, replace(t5, folder=folder), device, ignore)
    assert_same(tensors_of(entries), stock_t5(t5.folder, Precision.FP16))


def test_the_attention_of_an_old_vae_gets_the_names_it_has_now(
    store: WeightStore, toys: dict[str, Path], device: Device, tmp_path: Path
) -> None:
    new = source_of(toys["sigma"], "vae")
    folder = shutil.copytree(new.folder, tmp_path / "vae")
    (path,) = folder.glob("*.safetensors")
    words = {".to_q.": ".query.", ".to_k.": ".key.", ".to_v.": ".value.", ".to_out.0.": ".proj_attn."}
    weights = {}
    for name, tensor in load_file(path).items():
        for now, before in words.items():
            name = name.replace(now, before)
        weights[name] = tensor.half()
    assert any(".proj_attn." in name for name in weights)
    save_file(weights, path, metadata={"format": "pt"})
    state = AutoencoderKL.from_pretrained(folder, torch_dtype=torch.float16).state_dict()
    used = {name: value for name, value in state.items() if not name.startswith(("encoder.", "quant_conv."))}
    assert_same(tensors_of(ensure_component(store, source_of(tmp_path, "vae"), device, ignore)), used)


def test_tensors_lie_in_the_order_of_their_use(store: WeightStore, t5: WeightSource, device: Device) -> None:
    names = list(ensure_component(store, t5, device, ignore))
    assert names[0] == "encoder.final_layer_norm.weight"
    assert names[-1] == "shared.weight"
    blocks = [name.split(".")[2] for name in names[1:-1]]
    assert blocks == sorted(blocks)


# Which files


@pytest.mark.parametrize("precision", DTYPES)
def test_files_that_are_as_wanted_are_used_as_they_are(
    store: WeightStore, t5: WeightSource, device: Device, tmp_path: Path, precision: Precision
) -> None:
    folder = tmp_path / "t5"
    T5EncoderModel.from_pretrained(t5.folder, dtype=DTYPES[precision]).save_pretrained(folder)
    entries = ensure_component(store, replace(t5, folder=folder, precision=precision), device, refuse)
    assert {entry.path.parent for entry in entries.values()} == {folder}
    assert not store.folder.exists()


@pytest.mark.parametrize("component", ["transformer", "vae"])
def test_pixart_tiny_needs_no_converting(store: WeightStore, device: Device, component: Component) -> None:
    folder = tiny.checkpoint_dir() / component
    entries = ensure_component(store, WeightSource(component, folder, Precision.INT8, "0" * 64), device, refuse)
    assert {entry.path.parent for entry in entries.values()} == {folder}


@pytest.mark.parametrize("precision", Precision)
def test_t5_with_wo_in_fp16_is_not_as_wanted(store: WeightStore, device: Device, precision: Precision) -> None:
    """PixArt-Tiny's: 16-bit weights become what stock loading makes of them."""
    source = WeightSource("text_encoder", tiny.checkpoint_dir() / "text_encoder", precision, "0" * 64)
    entries = ensure_component(store, source, device, ignore)
    assert {entry.path.parent for entry in entries.values()} == {store.folder}
    assert_same(tensors_of(entries), stock_t5(source.folder, precision))


def test_checkpoints_with_the_same_t5_share_one_file(
    store: WeightStore, t5: WeightSource, device: Device, tmp_path: Path
) -> None:
    copy = source_of(shutil.copytree(t5.folder.parent, tmp_path / "copy"), "text_encoder")
    first = ensure_component(store, t5, device, ignore)
    second = ensure_component(store, copy, device, refuse)
    assert first == second
    assert len(store.files()) == 1


def test_another_t5_and_another_precision_have_files_of_their_own(
    store: WeightStore, t5: WeightSource, device: Device
) -> None:
    for source in (t5, replace(t5, source_hash="0" * 64), replace(t5, precision=Precision.BF16)):
        ensure_component(store, source, device, ignore)
    assert len({stored.path.name for stored in store.files()}) == 3


# Damage


def shorten(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 1)


def lengthen(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"\0")


def touch(path: Path) -> None:
    os.utime(path, ns=(0, path.stat().st_mtime_ns + 1))


def overwrite(path: Path, position: int) -> None:
    """One byte, with the time put back, as a failing disk does it."""
    stat = path.stat()
    with path.open("r+b") as file:
        file.seek(position)
        byte = file.read(1)
        file.seek(position)
        file.write(bytes([byte[0] ^ 1]))
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def alter_header(path: Path) -> None:
    header, _ = read_header(path)
    offset = path.read_bytes().index(b"[64,128]")
    assert header
    overwrite(path, offset + 1)


def remove_record(path: Path) -> None:
    record_path(path).unlink()


def spoil_record(path: Path) -> None:
    record_path(path).write_text('{"size": 1}')


def swap(path: Path) -> None:
    """The file and the record of another content, under this one's name."""
    record = json.loads(record_path(path).read_text())
    record["metadata"]["source_hash"] = "1" * 64
    record_path(path).write_text(json.dumps(record))


@pytest.mark.parametrize("damage", [shorten, lengthen, touch, alter_header, remove_record, spoil_record, swap])
def test_a_file_that_is_not_as_it_was_written_is_made_again(
    store: WeightStore,
    t5: WeightSource,
    device: Device,
    caplog: pytest.LogCaptureFixture,
    damage: Callable[[Path], None],
) -> None:
    ensure_component(store, t5, device, ignore)
    path = store.path(t5.key("cpu"))
    before = path.read_bytes()
    damage(path)
    assert store.find(t5.key("cpu")) is None
    assert "it will be made again" in caplog.text
    ensure_component(store, t5, device, ignore)
    assert path.read_bytes() == before
    ensure_component(store, t5, device, refuse)


def test_verify_finds_one_changed_bit(store: WeightStore, t5: WeightSource, device: Device) -> None:
    ensure_component(store, t5, device, ignore)
    path = store.path(t5.key("cpu"))
    ((_, problem),) = store.verify()
    assert problem is None
    overwrite(path, path.stat().st_size - 1)
    ((_, problem),) = store.verify()
    assert problem is not None
    assert problem.message == f"{path} has changed, its SHA-256 is another."


# Stopped and gone on with

KILLED = """
import json, os, signal, sys
from pathlib import Path
import torch
from pixart_ui.engine import weightfile
from pixart_ui.engine.conversion import ensure_component
from pixart_ui.engine.device import open_device
from pixart_ui.engine.forms import WeightSource
from pixart_ui.engine.weights import WeightStore
from pixart_ui.fingerprints import hash_file
from pixart_ui.request import Precision

torch.set_num_threads(1)
weightfile.SYNC_BYTES = 20_000
folder, source_hash, whole = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
source = WeightSource("text_encoder", folder, Precision.FP16, source_hash)
store = WeightStore(Path(sys.argv[4]))
device = open_device("cpu")
path = store.path(source.key("cpu"))


def kill_at(event):
    calls = 0

    def counted(function):
        def call(*arguments):
            nonlocal calls
            for when in (0, 1):
                calls += 1
                if calls == event:
                    os.kill(os.getpid(), signal.SIGKILL)
                if when == 0:
                    result = function(*arguments)
            return result
        return call

    os.fsync = counted(os.fsync)
    Path.replace = counted(Path.replace)


def in_child(prepare, progress):
    child = os.fork()
    if child == 0:
        prepare()
        ensure_component(store, source, device, progress)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def resumed(done, total):
    seen = store.folder / "first-progress"
    if not seen.exists():
        seen.write_text(str(done))


events, kept = 0, []
while in_child(lambda: kill_at(events + 1), lambda done, total: None) == -signal.SIGKILL:
    events += 1
    entries = store.find(source.key("cpu"))
    assert entries is None or hash_file(path) == whole, f"a half file is in use after event {events}"
    if entries is None:
        assert in_child(lambda: None, resumed) == 0
        kept.append(int((store.folder / "first-progress").read_text()))
    assert store.find(source.key("cpu")) is not None
    assert hash_file(path) == whole, f"another file after event {events}"
    left = sorted(file.name for file in store.folder.iterdir() if ".part" in file.name or file.name.endswith(".new"))
    assert entries is not None or left == [], left
    for file in store.folder.iterdir():
        file.unlink()
print(json.dumps({"events": events, "kept": kept}))
"""


@pytest.mark.long
def test_killed_at_any_moment_it_goes_on_to_the_same_file(
    store: WeightStore, t5: WeightSource, device: Device, tmp_path: Path
) -> None:
    """`kill -9` right before and right after everything that is to last: each sync, each rename."""
    ensure_component(store, t5, device, ignore)
    whole = hash_file(store.path(t5.key("cpu")))
    arguments = [str(t5.folder), t5.source_hash, whole, str(tmp_path / "killed")]
    done = subprocess.run(
        [sys.executable, "-c", KILLED, *arguments], cwd=ROOT, capture_output=True, text=True, check=False, timeout=150
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["events"] > 30
    assert sum(kept > 0 for kept in told["kept"]) > 20, "none of it went on"
    assert max(told["kept"]) == store.path(t5.key("cpu")).stat().st_size


class Stop(Exception):
    pass


def stop_at(fraction: float) -> weightfile.Progress:
    def progress(done: int, total: int) -> None:
        if done > fraction * total:
            raise Stop

    return progress


def leave_half(store: WeightStore, source: WeightSource, device: Device) -> Path:
    """Stop a conversion half-way; returns the half."""
    with pytest.raises(Stop):
        ensure_component(store, source, device, stop_at(0.5))
    (part,) = store.folder.glob("*.part")
    return part


def test_stopped_by_progress_it_goes_on_from_there(
    store: WeightStore, t5: WeightSource, device: Device, tmp_path: Path
) -> None:
    part = leave_half(store, t5, device)
    assert store.find(t5.key("cpu")) is None
    assert [stored.state for stored in store.files()] == ["partial"]
    seen: list[int] = []
    ensure_component(store, t5, device, lambda done, total: seen.append(done))
    assert seen[0] > store.path(t5.key("cpu")).stat().st_size / 2
    assert not part.exists()
    other = WeightStore(tmp_path / "undisturbed")
    ensure_component(other, t5, device, ignore)
    assert hash_file(store.path(t5.key("cpu"))) == hash_file(other.path(t5.key("cpu")))
    ((_, problem),) = store.verify()
    assert problem is None


def shorten_half(part: Path) -> None:
    os.truncate(part, part.stat().st_size // 2)


def spoil_half_header(part: Path) -> None:
    overwrite(part, 20)


def promise_too_much(part: Path) -> None:
    record = json.loads(record_path(part).read_text())
    record_path(part).write_text(json.dumps(record | {"num_parts": 1000}))


def of_another_header(part: Path) -> None:
    record = json.loads(record_path(part).read_text())
    record_path(part).write_text(json.dumps(record | {"header_sha256": "0" * 64}))


@pytest.mark.parametrize(
    "damage", [shorten_half, spoil_half_header, promise_too_much, of_another_header, remove_record]
)
def test_a_half_that_does_not_fit_is_begun_again(
    store: WeightStore, t5: WeightSource, device: Device, damage: Callable[[Path], None]
) -> None:
    damage(leave_half(store, t5, device))
    seen: list[int] = []
    entries = ensure_component(store, t5, device, lambda done, total: seen.append(done))
    assert seen[0] == 0
    assert_same(tensors_of(entries), stock_t5(t5.folder, Precision.FP16))


def test_two_at_once_convert_once(
    store: WeightStore, t5: WeightSource, device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    has_begun, may_go_on, has_waited = threading.Event(), threading.Event(), threading.Event()
    waited: list[tuple[int, int]] = []
    found: list[dict[str, TensorEntry]] = []

    def first(done: int, total: int) -> None:
        has_begun.set()
        assert may_go_on.wait(30)

    def second(done: int, total: int) -> None:
        waited.append((done, total))
        has_waited.set()

    write, written = weightfile.write, []

    def count(planned: weightfile.PlannedFile, *rest: Any) -> None:
        written.append(planned.path)
        write(planned, *rest)

    monkeypatch.setattr(weightfile, "write", count)

    def convert(progress: weightfile.Progress) -> None:
        found.append(ensure_component(store, t5, device, progress))

    threads = [threading.Thread(target=convert, args=(progress,)) for progress in (first, second)]
    threads[0].start()
    assert has_begun.wait(30)
    threads[1].start()
    assert has_waited.wait(30)
    seen = len(waited)
    may_go_on.set()
    for thread in threads:
        thread.join(30)
    assert found[0] == found[1]
    size = store.path(t5.key("cpu")).stat().st_size
    assert all(done < size == total for done, total in waited[:seen])
    assert written == [store.path(t5.key("cpu"))]


# Room


def test_without_room_it_does_not_begin(
    store: WeightStore, t5: WeightSource, device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(weightfile.shutil, "disk_usage", lambda _: Usage(10**9, 10**9, weightfile.SPARE_BYTES + 1000))
    with pytest.raises(DiskFullError, match=r"has 0\.3 GB free, converted weights need .* free some space"):
        ensure_component(store, t5, device, ignore)
    assert store.files() == []


def test_room_is_asked_only_for_what_is_still_to_write(
    store: WeightStore, t5: WeightSource, device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    ensure_component(store, t5, device, ignore)
    total = sum(stored.nbytes for stored in store.files())
    store.prune((), everything=True)
    rest = total - leave_half(store, t5, device).stat().st_size
    monkeypatch.setattr(weightfile.shutil, "disk_usage", lambda _: Usage(1, 1, weightfile.SPARE_BYTES + rest))
    ensure_component(store, t5, device, ignore)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 128 kB, where this user may have one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=128k", "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("this user cannot mount a small disk")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_disk_that_becomes_full_gets_its_room_back(
    small_disk: Path, t5: WeightSource, device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(weightfile, "check_room", lambda folder, needed_bytes: None)
    store = WeightStore(small_disk / "store")
    with pytest.raises(DiskFullError, match=r"became full, .* free some space"):
        ensure_component(store, t5, device, ignore)
    assert store.files() == []
    assert shutil.disk_usage(small_disk).used < 20_000


PEAK = """
import sys
from pathlib import Path
import torch
from safetensors.torch import save_file
from pixart_ui.engine.conversion import ensure_component
from pixart_ui.engine.device import open_device
from pixart_ui.engine.forms import WeightSource
from pixart_ui.engine.weights import WeightStore
from pixart_ui.request import Precision


def kib(word):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(word))


device = open_device("cpu")
source = WeightSource("text_encoder", Path(sys.argv[1]), Precision(sys.argv[2]), "0" * 64)
import bitsandbytes
before = kib("VmRSS")
ensure_component(WeightStore(Path(sys.argv[3])), source, device, lambda done, total: None)
print(kib("VmHWM") - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("precision", [Precision.FP16, pytest.param(Precision.NF4, marks=pytest.mark.long)])
def test_memory_holds_a_few_tensors_and_not_the_model(tmp_path: Path, precision: Precision) -> None:
    """256 MB of T5 in tensors of 4 MB."""
    folder = tmp_path / "t5"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    name = "encoder.block.{}.layer.1.DenseReluDense.wi_0.weight"
    weights = {name.format(index): torch.randn(1024, 1024) for index in range(64)}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    arguments = [str(folder), precision.value, str(tmp_path / "store")]
    done = subprocess.run(
        [sys.executable, "-c", PEAK, *arguments], cwd=ROOT, capture_output=True, text=True, check=True, timeout=120
    )
    assert int(done.stdout.split()[-1]) < 80 * 1024


# Sources that cannot be converted


def test_weights_that_are_quantized_already_are_refused(
    store: WeightStore, t5: WeightSource, device: Device, tmp_path: Path
) -> None:
    folder = shutil.copytree(t5.folder, tmp_path / "t5")
    weights = load_file(folder / "model.safetensors")
    weights["encoder.block.0.layer.0.SelfAttention.q.weight"] = torch.zeros(64, 64, dtype=torch.int8)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(CheckpointError, match="is stored as I8"):
        ensure_component(store, replace(t5, folder=folder), device, ignore)


def test_a_pickle_that_would_run_something_is_refused(
    store: WeightStore, toys: dict[str, Path], device: Device, tmp_path: Path
) -> None:
    class Evil:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.mkdir, (str(tmp_path / "executed"),)

    folder = tmp_path / "transformer"
    folder.mkdir()
    shutil.copy(toys["sigma"] / "transformer" / "config.json", folder)
    torch.save({"a": Evil()}, folder / "diffusion_pytorch_model.bin")
    with pytest.raises(CheckpointError, match="cannot be read"):
        ensure_component(store, source_of(tmp_path, "transformer"), device, ignore)
    assert not (tmp_path / "executed").exists()


def test_a_source_that_ends_early_is_said_and_nothing_is_stored(
    store: WeightStore, t5: WeightSource, device: Device, tmp_path: Path
) -> None:
    folder = shutil.copytree(t5.folder, tmp_path / "t5")
    path = folder / "model.safetensors"

    def cut(done: int, total: int) -> None:
        os.truncate(path, 5000)

    with pytest.raises(CheckpointError, match="cut short while it was read"):
        ensure_component(store, replace(t5, folder=folder), device, cut)
    assert [stored.state for stored in store.files()] == ["partial"]


# Giving room back


def test_prune_keeps_what_installed_checkpoints_use(store: WeightStore, t5: WeightSource, device: Device) -> None:
    ensure_component(store, t5, device, ignore)
    ensure_component(store, replace(t5, source_hash="0" * 64), device, ignore)
    leave_half(store, replace(t5, precision=Precision.BF16), device)
    sizes = {stored.path: stored.nbytes for stored in store.files()}
    kept = store.path(t5.key("cpu"))
    assert store.prune({t5.source_hash}) == sum(sizes.values()) - sizes[kept]
    assert [stored.path for stored in store.files()] == [kept]
    assert store.find(t5.key("cpu")) is not None
    assert store.prune({t5.source_hash}, everything=True) == sizes[kept]
    assert store.files() == []


def test_prune_removes_what_another_bitsandbytes_quantized(
    store: WeightStore, t5: WeightSource, device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    ensure_component(store, replace(t5, precision=Precision.INT8), device, ignore)
    assert store.prune({t5.source_hash}) == 0
    monkeypatch.setattr("pixart_ui.engine.forms.version", lambda package: "99.0")
    assert store.find(replace(t5, precision=Precision.INT8).key("cpu")) is None
    assert store.prune({t5.source_hash}) > 0


def test_prune_leaves_what_is_being_made(store: WeightStore, t5: WeightSource, device: Device) -> None:
    freed: list[int] = []
    ensure_component(store, t5, device, lambda done, total: freed.append(store.prune((), everything=True)))
    assert set(freed) == {0}
    assert store.find(t5.key("cpu")) is not None
