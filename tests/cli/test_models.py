"""`models` as a person runs it: processes of their own, against a small Hub on this machine."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pixart_ui.catalog import ALPHA_1024, SIGMA_1024, hub_checkpoints
from pixart_ui.commands.meter import Meter
from pixart_ui.hub import DownloadProgress
from tests.hub.parts import repository
from tests.hub.server import FakeHub, serve

SIGMA_512 = "PixArt-alpha/PixArt-Sigma-XL-2-512-MS"
DMD = "PixArt-alpha/PixArt-Alpha-DMD-XL-2-512x512"


@pytest.fixture
def server() -> Iterator[FakeHub]:
    hub = FakeHub()
    hub.push(SIGMA_1024, repository())
    hub.push(SIGMA_512, repository(seed=5))
    hub.push(ALPHA_1024, repository(seed=6))
    hub.push(
        DMD, {path: data for path, data in repository("transformer", seed=7).items() if not path.endswith("tensors")}
    )
    with serve(hub):
        yield hub


class Shell:
    """Runs `python -m pixart_ui models …` with folders of its own."""

    def __init__(self, root: Path, endpoint: str) -> None:
        self.data_dir = root / "data"
        self.cache_dir = root / "hub"
        kept = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
        self.environ = {**kept, "HF_ENDPOINT": endpoint, "HF_HOME": str(root), "PIXART_UI_DATA_DIR": str(self.data_dir)}

    def __call__(self, *words: str, **environ: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "pixart_ui", "models", *words],
            env={**self.environ, **environ},
            check=False,
            capture_output=True,
            text=True,
            timeout=100,
        )


@pytest.fixture
def models(server: FakeHub, tmp_path: Path) -> Shell:
    return Shell(tmp_path, server.endpoint)


def test_download_then_list_then_verify(models: Shell, server: FakeHub) -> None:
    done = models("download", "sigma-512")
    assert done.returncode == 0, done.stderr
    assert "PixArt-Σ · 512 (sigma-512) is on this disk: 200.9 kB." in done.stdout
    assert f"{SIGMA_512} at {server.main[SIGMA_512]}" in done.stdout
    assert "(100 %)" in done.stderr.splitlines()[-1]

    listed = models("list", "--json")
    assert listed.returncode == 0
    standings = {entry["name"]: entry for entry in json.loads(listed.stdout)["checkpoints"]}
    assert [*standings] == ["tiny", *(entry.name for entry in hub_checkpoints())]
    assert standings["sigma-512"]["is_on_disk"]
    assert standings["sigma-512"]["bytes_on_disk"] > 200_000
    assert not standings["sigma-1024"]["is_on_disk"]
    assert standings["sigma-1024"]["command"] == "python -m pixart_ui models download sigma-1024"

    verified = models("verify", "sigma-512")
    assert (verified.returncode, verified.stdout[:17]) == (0, "sigma-512: sound,")


def test_a_changed_byte_makes_verify_fail_and_download_repairs_it(models: Shell) -> None:
    assert models("download", "sigma-512").returncode == 0
    path = next(models.cache_dir.glob("models--*512-MS/snapshots/*/transformer/*.safetensors"))
    path.write_bytes(path.read_bytes()[:-1] + b"?")

    broken = models("verify")
    assert broken.returncode == 1
    (line,) = [line for line in broken.stdout.splitlines() if line.startswith("sigma-512: ")]
    assert line.endswith("its SHA-256 is another: get it again with `python -m pixart_ui models download sigma-512`.")

    assert models("download", "sigma-512").returncode == 0
    assert models("verify", "sigma-512").returncode == 0


def test_a_checkpoint_that_was_damaged_is_listed_so(models: Shell) -> None:
    assert models("download", "sigma-512").returncode == 0
    next(models.cache_dir.glob("models--*512-MS/snapshots/*/vae/config.json")).unlink()

    lines = models("list").stdout.splitlines()

    at = next(index for index, line in enumerate(lines) if line.startswith("sigma-512"))
    assert "damaged" in lines[at]
    assert lines[at + 1].endswith("get it again with `python -m pixart_ui models download sigma-512`.")


def test_json_tells_where_it_is(models: Shell, server: FakeHub) -> None:
    value = json.loads(models("download", "sigma-512", "--json").stdout)

    assert value["revisions"][SIGMA_1024] == server.main[SIGMA_1024]
    assert (Path(value["folders"]["text_encoder"]) / "config.json").is_file()


def test_pickled_weights_need_their_flag(models: Shell, server: FakeHub) -> None:
    refused = models("download", "alpha-dmd-512")
    assert refused.returncode == 1
    assert "--allow-pickle`; they are read with weights_only=True" in refused.stderr
    assert server.requests == []

    assert models("download", "alpha-dmd-512", "--allow-pickle").returncode == 0
    assert models("verify", "alpha-dmd-512").returncode == 0


@pytest.mark.parametrize(
    ("words", "environ", "code", "sentence"),
    [
        (["download", "sigma-51"], {}, 2, "Unknown checkpoint 'sigma-51', did you mean 'sigma-512'?"),
        (["verify", "nothing"], {}, 2, "Unknown checkpoint 'nothing':"),
        (["download", "sigma-512"], {"HF_HUB_OFFLINE": "1"}, 1, "HF_HUB_OFFLINE is set"),
        (["download", "sigma-512"], {"HF_ENDPOINT": "http://127.0.0.1:9"}, 1, "http://127.0.0.1:9 cannot be reached"),
        (["download", "sigma-256"], {}, 1, "PixArt-alpha/PixArt-Sigma-XL-2-256x256 was not found"),
    ],
)
def test_what_goes_wrong_is_one_sentence(
    models: Shell, words: list[str], environ: dict[str, str], code: int, sentence: str
) -> None:
    done = models(*words, **environ)

    assert done.returncode == code
    assert done.stdout == ""
    assert done.stderr.startswith(sentence)
    assert done.stderr.count("\n") == 1


def test_looking_makes_no_folder_and_asks_no_network(models: Shell, server: FakeHub) -> None:
    models("list")
    models("verify", "sigma-512")

    assert not models.data_dir.exists()
    assert server.requests == []


def test_a_terminal_gets_one_line_that_changes_and_ends() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    meter = Meter("sigma-512", terminal)
    for done in (0, 500_000_000, 2_000_000_000):
        meter.show(DownloadProgress("a/b", "c", done, 2_000_000_000, int(done == 2_000_000_000), 1))
    meter.end()

    first, second, third = terminal.getvalue().removeprefix("\r").rstrip("\n").split("\r")
    assert first == "sigma-512: 0 bytes of 2.0 GB (0 %), 0 of 1 files"
    assert second.startswith("sigma-512: 500.0 MB of 2.0 GB (25 %), 0 of 1 files, ")
    assert third.startswith("sigma-512: 2.0 GB of 2.0 GB (100 %), 1 of 1 files")
    assert len(third) >= len(second)
    assert terminal.getvalue().endswith("\n")
