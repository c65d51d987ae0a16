"""Downloads against a small Hub on this machine: what is asked for, what is kept, what happens when things break."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from pixart_ui.errors import CheckpointError, DownloadError
from pixart_ui.hub import DownloadProgress, Hub
from tests.hub.parts import MAIN, SIBLING, SMALL, checkpoint, component_files, flip, pickled, repository
from tests.hub.server import FakeHub

PAINTER = checkpoint()
SHARD = "model-00001-of-00002.safetensors"


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """The client reads ten megabytes at a time, these files are smaller."""
    monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 4096)


def open_hub(server: FakeHub, root: Path) -> Hub:
    """Another process' view of the same folders."""
    return Hub(root / "records", cache_dir=root / "cache", endpoint=server.endpoint)


def test_what_was_downloaded_is_located_and_sound(hub: Hub, server: FakeHub) -> None:
    located = hub.download(PAINTER)

    assert located == hub.locate(PAINTER)
    assert located.revisions == {MAIN: server.main[MAIN]}
    for component, folder in located.folders.items():
        assert folder.name == component
    encoder = located.folders["text_encoder"] / SHARD
    assert encoder.read_bytes() == component_files("text_encoder")[SHARD]
    assert hub.verify(PAINTER) == ()


def test_only_what_the_checkpoint_needs_is_asked_for(hub: Hub, server: FakeHub) -> None:
    hub.download(PAINTER)

    assert sorted(server.fetched()) == [
        f"{MAIN}/{path}"
        for path in (
            "model_index.json",
            "scheduler/scheduler_config.json",
            "text_encoder/config.json",
            "text_encoder/model-00001-of-00002.safetensors",
            "text_encoder/model-00002-of-00002.safetensors",
            "text_encoder/model.safetensors.index.json",
            "tokenizer/spiece.model",
            "tokenizer/tokenizer_config.json",
            "transformer/config.json",
            "transformer/diffusion_pytorch_model.safetensors",
            "vae/config.json",
            "vae/diffusion_pytorch_model.safetensors",
        )
    ]


def test_a_variant_is_fetched_where_there_is_nothing_else(hub: Hub, server: FakeHub) -> None:
    files = repository()
    del files["vae/diffusion_pytorch_model.safetensors"]
    server.push(MAIN, files)

    hub.download(PAINTER)

    assert f"{MAIN}/vae/diffusion_pytorch_model.fp16.safetensors" in server.fetched()


def test_what_a_repository_lacks_comes_from_its_sibling(hub: Hub, server: FakeHub) -> None:
    located = hub.download(SMALL)

    assert SIBLING.replace("/", "--") in str(located.folders["transformer"])
    assert MAIN.replace("/", "--") in str(located.folders["vae"])
    assert located.revisions == {SIBLING: server.main[SIBLING], MAIN: server.main[MAIN]}
    assert f"{MAIN}/transformer/config.json" not in server.fetched()


def test_two_checkpoints_share_one_text_encoder(hub: Hub, server: FakeHub) -> None:
    first = hub.download(PAINTER)
    server.requests.clear()
    second = hub.download(SMALL)

    assert first.folders["text_encoder"] == second.folders["text_encoder"]
    assert [path for path in server.fetched() if path.startswith(MAIN)] == []


def test_the_shared_encoder_stays_at_its_commit_when_main_moves(hub: Hub, server: FakeHub) -> None:
    old = server.main[MAIN]
    hub.download(PAINTER)
    server.push(MAIN, repository(seed=40))

    assert hub.download(SMALL).revisions[MAIN] == old
    assert hub.locate(PAINTER).folders["text_encoder"] == hub.locate(SMALL).folders["text_encoder"]


def test_the_recorded_commit_is_kept_when_main_moves(hub: Hub, server: FakeHub, tmp_path: Path) -> None:
    old = server.main[MAIN]
    hub.download(PAINTER)
    new = server.push(MAIN, repository(seed=40))

    assert hub.locate(PAINTER).revisions == {MAIN: old}
    assert hub.download(PAINTER).revisions == {MAIN: old}
    shutil.rmtree(tmp_path / "cache")
    located = hub.download(PAINTER)
    assert located.revisions == {MAIN: old}
    assert new not in str(located.folders)


def test_the_record_names_commit_sizes_and_hashes(hub: Hub, server: FakeHub, tmp_path: Path) -> None:
    hub.download(PAINTER)

    entry = json.loads((tmp_path / "records/painter.json").read_text())["repositories"][MAIN]
    files = server.commits[MAIN][server.main[MAIN]]
    assert entry["commit"] == server.main[MAIN]
    assert set(entry["files"]) == {path.removeprefix(f"{MAIN}/") for path in server.fetched()}
    assert all(file["size"] == len(files[path]) for path, file in entry["files"].items())
    assert all(len(file["sha256"]) == 64 for file in entry["files"].values())


def test_progress_ends_with_everything(hub: Hub, server: FakeHub) -> None:
    heard: list[DownloadProgress] = []

    hub.download(PAINTER, heard.append)

    wanted = {path.removeprefix(f"{MAIN}/") for path in server.fetched()}
    total = sum(len(data) for path, data in repository().items() if path in wanted)
    assert (heard[-1].done_bytes, heard[-1].total_bytes) == (total, total)
    assert (heard[-1].files_done, heard[-1].files_total) == (len(wanted), len(wanted))
    assert [progress.done_bytes for progress in heard] == sorted(progress.done_bytes for progress in heard)


def test_progress_is_told_while_a_large_file_arrives(hub: Hub, server: FakeHub) -> None:
    server.seconds_per_chunk = 0.02
    heard: list[DownloadProgress] = []

    hub.download(PAINTER, heard.append)

    first = [progress.done_bytes for progress in heard if progress.file == f"text_encoder/{SHARD}"]
    assert len(set(first)) > 3


def test_a_second_download_fetches_nothing(hub: Hub, server: FakeHub) -> None:
    hub.download(PAINTER)
    server.requests.clear()

    hub.download(PAINTER)

    assert server.fetched() == []


class Cut(NamedTuple):
    resets: bool


@pytest.mark.parametrize("cut", [Cut(resets=False), Cut(resets=True)], ids=["closed", "reset"])
def test_a_cut_connection_is_taken_up_where_it_broke(hub: Hub, server: FakeHub, cut: Cut) -> None:
    name = f"text_encoder/{SHARD}"
    server.cut_after = {name: 30_000}
    server.resets = cut.resets

    hub.download(PAINTER)

    assert hub.verify(PAINTER) == ()
    starts = [
        request.first_byte
        for request in server.requests
        if request.method == "GET" and request.path.startswith("/store/") and SHARD in request.path
    ]
    assert starts[0] == 0
    assert starts[1:] == sorted(starts[1:])
    assert starts[1] > 0


def test_an_interrupted_download_goes_on_in_the_next_process(server: FakeHub, tmp_path: Path) -> None:
    name = "text_encoder/model-00002-of-00002.safetensors"
    size = len(repository()[name])

    stop_after(server, tmp_path, name, 45_000)
    part = next((tmp_path / "cache").rglob("*.part"))
    kept = part.stat().st_size
    assert 0 < kept < size
    server.requests.clear()
    hub = open_hub(server, tmp_path)
    hub.download(PAINTER)

    assert f"{MAIN}/text_encoder/{SHARD}" not in server.fetched()
    assert server.bytes_sent("model-00002-of-00002.safetensors") == size - kept
    assert hub.verify(PAINTER) == ()
    assert list((tmp_path / "cache").rglob("*.part")) == []


def test_a_half_file_is_started_anew_where_the_server_knows_no_ranges(server: FakeHub, tmp_path: Path) -> None:
    name = "text_encoder/model-00002-of-00002.safetensors"
    stop_after(server, tmp_path, name, 45_000)
    server.ignores_ranges = True

    hub = open_hub(server, tmp_path)
    hub.download(PAINTER)

    assert hub.verify(PAINTER) == ()


def test_a_part_that_is_not_the_beginning_of_the_file_is_not_kept(server: FakeHub, tmp_path: Path) -> None:
    name = "text_encoder/model-00002-of-00002.safetensors"
    stop_after(server, tmp_path, name, 45_000)
    part = next((tmp_path / "cache").rglob("*.part"))
    part.write_bytes(b"x" * part.stat().st_size)
    hub = open_hub(server, tmp_path)

    with pytest.raises(DownloadError, match="not arrive as the Hub describes it and was thrown away"):
        hub.download(PAINTER)
    hub.download(PAINTER)

    assert hub.verify(PAINTER) == ()


def stop_after(server: FakeHub, root: Path, name: str, bytes_of_file: int) -> None:
    """Download in a process of its own and kill it when the server has sent so much of the file."""
    server.cut_after, server.seconds_per_chunk = {}, 0.0
    arrived = threading.Event()
    code = (
        "import sys; from pathlib import Path; from pixart_ui.hub import Hub; from tests.hub.parts import checkpoint\n"
        "import huggingface_hub.constants; huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE = 4096\n"
        "root = Path(sys.argv[1])\n"
        "Hub(root / 'records', cache_dir=root / 'cache', endpoint=sys.argv[2]).download(checkpoint())\n"
    )
    server.hold = (name, bytes_of_file, arrived)
    process = subprocess.Popen([sys.executable, "-c", code, str(root), server.endpoint])
    try:
        assert arrived.wait(60)
        wait_for_part(root, 4096)
    finally:
        process.kill()
        process.wait()
        server.hold = None


def wait_for_part(root: Path, size: int) -> None:
    deadline = threading.Event()
    for _ in range(600):
        if any(part.stat().st_size >= size for part in (root / "cache").rglob("*.part")):
            return
        deadline.wait(0.05)
    raise AssertionError("no part file appeared")


def test_nothing_counts_as_there_before_everything_is(server: FakeHub, tmp_path: Path) -> None:
    stop_after(server, tmp_path, "text_encoder/model-00002-of-00002.safetensors", 45_000)

    with pytest.raises(CheckpointError, match="is not on this disk"):
        open_hub(server, tmp_path).locate(PAINTER)


def test_an_exception_from_the_listener_stops_the_download(hub: Hub, server: FakeHub) -> None:
    def stop(progress: DownloadProgress) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        hub.download(PAINTER, stop)
    assert not hub.is_available(PAINTER)
    hub.download(PAINTER)


@pytest.mark.parametrize("name", ["text_encoder/" + SHARD, "vae/config.json"])
def test_wrong_content_is_thrown_away(hub: Hub, server: FakeHub, name: str) -> None:
    def spoil(path: str, data: bytes) -> bytes:
        return data[:-9] + b"#" + data[-8:] if path == name else data

    server.wrong_content = spoil
    with pytest.raises(DownloadError, match="was thrown away: run `python -m pixart_ui models download painter` again"):
        hub.download(PAINTER)
    assert not hub.is_available(PAINTER)

    server.wrong_content = None
    hub.download(PAINTER)
    assert hub.verify(PAINTER) == ()


def test_a_damaged_file_is_fetched_again_and_nothing_else(hub: Hub, server: FakeHub) -> None:
    path = hub.download(PAINTER).folders["vae"] / "diffusion_pytorch_model.safetensors"
    flip(path)
    server.requests.clear()

    hub.download(PAINTER)

    assert server.fetched() == [f"{MAIN}/vae/diffusion_pytorch_model.safetensors"]
    assert hub.verify(PAINTER) == ()


def test_a_snapshot_that_was_deleted_is_missing_again(hub: Hub, tmp_path: Path) -> None:
    hub.download(PAINTER)
    shutil.rmtree(tmp_path / "cache")

    with pytest.raises(CheckpointError, match="is missing: get it again with `python -m pixart_ui models download"):
        hub.locate(PAINTER)


def test_a_full_disk_is_found_before_anything_is_fetched(
    hub: Hub, server: FakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage("/")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=1 << 30))

    with pytest.raises(DownloadError, match=r"painter needs 0\.0 GB more .* has 1\.1 GB free: make room"):
        hub.download(PAINTER)
    assert server.fetched() == []


def test_a_full_disk_is_no_matter_where_everything_is_there(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.download(PAINTER)
    usage = shutil.disk_usage("/")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=0))

    hub.download(PAINTER)


def gate(server: FakeHub) -> None:
    server.gated.add(MAIN)


def forbid(server: FakeHub) -> None:
    server.forbidden.add(MAIN)


def remove(server: FakeHub) -> None:
    del server.commits[MAIN]


def break_down(server: FakeHub) -> None:
    server.broken_with = 500


def drop_vae(server: FakeHub) -> None:
    server.push(MAIN, {path: data for path, data in repository().items() if not path.startswith("vae/")})


def drop_shard(server: FakeHub) -> None:
    files = repository()
    del files[f"text_encoder/{SHARD}"]
    server.push(MAIN, files)


def drop_index(server: FakeHub) -> None:
    files = repository()
    del files["text_encoder/model.safetensors.index.json"]
    server.push(MAIN, files)


@pytest.mark.parametrize(
    ("trouble", "sentence"),
    [
        (gate, "is gated, it asks for consent first: accept its terms"),
        (forbid, r"may not be read \(HTTP 403\): log in"),
        (remove, "was not found, it does not exist or needs a login: check the name"),
        (break_down, "The Hub answered HTTP 500 for somebody/painter: wait a little"),
        (drop_vae, "somebody/painter lacks vae/config.json, so painter would not work: choose another"),
        (drop_shard, f"lacks text_encoder/{SHARD}, so"),
        (drop_index, "lacks text_encoder/model.safetensors.index.json, so"),
    ],
)
def test_each_trouble_has_its_sentence(
    hub: Hub, server: FakeHub, trouble: Callable[[FakeHub], None], sentence: str
) -> None:
    trouble(server)

    with pytest.raises(DownloadError, match=sentence) as caught:
        hub.download(PAINTER)
    assert "\n" not in caught.value.message
    assert server.fetched() == []
    assert not hub.is_available(PAINTER)


def test_a_recorded_commit_that_is_gone_has_its_sentence(hub: Hub, server: FakeHub, tmp_path: Path) -> None:
    hub.download(PAINTER)
    shutil.rmtree(tmp_path / "cache")
    del server.commits[MAIN][server.main[MAIN]]

    with pytest.raises(DownloadError, match="no longer has the revision that was recorded: delete"):
        hub.download(PAINTER)


def test_no_network_has_its_sentence(tmp_path: Path) -> None:
    hub = Hub(tmp_path / "records", cache_dir=tmp_path / "cache", endpoint="http://127.0.0.1:9")

    with pytest.raises(DownloadError, match=r"http://127.0.0.1:9 cannot be reached.*: check the network, then run"):
        hub.download(PAINTER)


def test_offline_mode_has_its_sentence(server: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)

    with pytest.raises(DownloadError, match="HF_HUB_OFFLINE is set, so somebody/painter may not be fetched: unset it"):
        open_hub(server, tmp_path).download(PAINTER)
    assert server.requests == []


def test_a_cache_folder_that_cannot_be_made_has_its_sentence(server: FakeHub, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("in the way")

    with pytest.raises(DownloadError, match=r"The download into .*cache failed \(.+\): correct that") as caught:
        open_hub(server, tmp_path).download(PAINTER)
    assert "\n" not in caught.value.message


def test_pickled_weights_are_refused_unless_asked_for(hub: Hub, server: FakeHub) -> None:
    files = repository("transformer")
    files = {path: data for path, data in files.items() if not path.endswith(".safetensors")}
    server.push(SIBLING, files)

    with pytest.raises(DownloadError, match=r"pickled \.bin files only, .*--allow-pickle`; .* weights_only=True"):
        hub.download(checkpoint("dmd", SIBLING, SMALL.repos | {"transformer": SIBLING}, pickled=("transformer",)))
    assert server.requests == []
    with pytest.raises(DownloadError, match=r"pickled \.bin files only, .*small-painter --allow-pickle`"):
        hub.download(SMALL)
    assert server.fetched() == []

    located = hub.download(SMALL, allow_pickle=True)
    assert located == hub.locate(SMALL)
    assert (located.folders["transformer"] / "diffusion_pytorch_model.bin").read_bytes() == pickled()


def test_locating_asks_the_network_nothing(hub: Hub, server: FakeHub) -> None:
    hub.download(PAINTER)
    server.requests.clear()

    hub.locate(PAINTER)
    hub.is_available(SMALL)
    hub.verify(PAINTER)
    hub.hashes(hub.locate(PAINTER))

    assert server.requests == []


def test_a_local_folder_is_never_downloaded(hub: Hub, server: FakeHub, tmp_path: Path) -> None:
    from pixart_ui.catalog import tiny

    with pytest.raises(CheckpointError, match="copy the whole checkpoint again"):
        hub.download(tiny(tmp_path / "nowhere"))
    assert server.requests == []


def test_two_downloads_at_once_fetch_each_large_file_once(server: FakeHub, tmp_path: Path) -> None:
    server.seconds_per_chunk = 0.005
    failures: list[Exception] = []

    def download() -> None:
        try:
            open_hub(server, tmp_path).download(PAINTER)
        except DownloadError as error:
            failures.append(error)

    threads = [threading.Thread(target=download) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert failures == []
    assert server.bytes_sent(SHARD) == len(repository()[f"text_encoder/{SHARD}"])
    assert open_hub(server, tmp_path).verify(PAINTER) == ()
