"""Checkpoint folders made to do harm: each is refused with one sentence, or does none, and nothing of them is run."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image, PngImagePlugin
from safetensors.torch import load_file

from pixart_ui.catalog import from_folder
from pixart_ui.engine.engine import Engine
from pixart_ui.errors import PixArtError
from pixart_ui.events import ImageFailed, ImageReady
from pixart_ui.gallery import images
from pixart_ui.hub import Hub
from tests.engine.conftest import make_requests, open_engine
from tests.toy import make_toy_checkpoint

Harm = Callable[[Path, Path], None]
CODE = "import pathlib\npathlib.Path({marker!r}).write_text('run')\nclass Evil: pass\n"


class Evil:
    """What unpickling it would do."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.marker),)


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_toy_checkpoint(tmp_path_factory.mktemp("sound") / "toy")


def weights(folder: Path) -> Path:
    (path,) = (folder / "transformer").glob("*.safetensors")
    return path


def change(path: Path, **values: object) -> None:
    known = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    path.write_text(json.dumps(known | values), encoding="utf-8")


def pickle_for_weights(folder: Path, marker: Path) -> None:
    torch.save({"a": Evil(marker)}, weights(folder).with_suffix(".bin"))
    weights(folder).unlink()


def pickle_named_safetensors(folder: Path, marker: Path) -> None:
    weights(folder).write_bytes(pickle.dumps(Evil(marker)))


def zip_named_safetensors(folder: Path, marker: Path) -> None:
    with zipfile.ZipFile(weights(folder), "w") as archive:
        archive.writestr("../../escaped", "x")


def pickle_for_a_vocabulary(folder: Path, marker: Path) -> None:
    (folder / "tokenizer" / "spiece.model").write_bytes(pickle.dumps(Evil(marker)))


def pickle_for_a_config(folder: Path, marker: Path) -> None:
    (folder / "vae" / "config.json").write_bytes(pickle.dumps(Evil(marker)))


def deep_config(folder: Path, marker: Path) -> None:
    (folder / "transformer" / "config.json").write_text("[" * 100_000)


def tokenizer_with_code(folder: Path, marker: Path) -> None:
    (folder / "tokenizer" / "evil.py").write_text(CODE.format(marker=str(marker)))
    auto_map = {"AutoTokenizer": ["evil.Evil", "evil.Evil"]}
    change(folder / "tokenizer" / "tokenizer_config.json", tokenizer_class="Evil", auto_map=auto_map)


def index_that_leaves_its_folder(folder: Path, marker: Path) -> None:
    weights(folder).rename(folder / "transformer" / "diffusion_pytorch_model-00001-of-00001.safetensors")
    index = {"weight_map": {"pos_embed.proj.weight": "../../../../etc/passwd"}}
    change(folder / "transformer" / "diffusion_pytorch_model.safetensors.index.json", **index)


def header_that_promises_the_world(folder: Path, marker: Path) -> None:
    weights(folder).write_bytes((2**62).to_bytes(8, "little") + b"{}")


REFUSED: list[Harm] = [
    pickle_for_weights,
    pickle_named_safetensors,
    zip_named_safetensors,
    pickle_for_a_vocabulary,
    pickle_for_a_config,
    deep_config,
    tokenizer_with_code,
    index_that_leaves_its_folder,
    header_that_promises_the_world,
]


def pickle_beside_sound_weights(folder: Path, marker: Path) -> None:
    torch.save({"a": Evil(marker)}, weights(folder).with_suffix(".bin"))


def code_beside_sound_weights(folder: Path, marker: Path) -> None:
    for name in ("transformer", "text_encoder", "vae", "tokenizer", "scheduler"):
        (folder / name / "modeling.py").write_text(CODE.format(marker=str(marker)))
    auto_map = {"AutoModel": "modeling.Evil", "AutoConfig": "modeling.Evil"}
    for name in ("transformer", "text_encoder", "vae"):
        change(folder / name / "config.json", auto_map=auto_map)


def pipeline_of_its_own(folder: Path, marker: Path) -> None:
    (folder / "pipeline.py").write_text(CODE.format(marker=str(marker)))
    change(folder / "model_index.json", scheduler=["pipeline", "Evil"], vae=["os", "system"])


HARMLESS: list[Harm] = [pickle_beside_sound_weights, code_beside_sound_weights, pipeline_of_its_own]


def draw(folder: Path, hub: Hub, root: Path) -> Any:
    """The last event of a picture. Raises PixArtError."""
    engine: Engine = open_engine(hub, root / "weights")
    try:
        requests = make_requests(folder)
        *_, last = engine.run(requests, lambda _: False)
        return last
    finally:
        engine.close()


def refusal(folder: Path, hub: Hub, root: Path) -> str:
    try:
        last = draw(folder, hub, root)
    except PixArtError as error:
        return error.message
    assert isinstance(last, ImageFailed), last
    return last.message


@pytest.mark.parametrize("harm", REFUSED, ids=lambda harm: harm.__name__)
def test_what_would_do_harm_is_refused_with_one_sentence(harm: Harm, sound: Path, tmp_path: Path) -> None:
    folder, marker = shutil.copytree(sound, tmp_path / "toy"), tmp_path / "executed"
    harm(folder, marker)

    message = refusal(folder, Hub(tmp_path / "records"), tmp_path)

    assert not marker.exists()
    assert str(folder) in message
    assert "\n" not in message
    assert ": " in message
    assert message.endswith((".", "…"))


@pytest.mark.parametrize("harm", HARMLESS, ids=lambda harm: harm.__name__)
def test_what_is_not_needed_is_never_looked_at(harm: Harm, sound: Path, tmp_path: Path) -> None:
    folder, marker = shutil.copytree(sound, tmp_path / "toy"), tmp_path / "executed"
    harm(folder, marker)

    assert isinstance(draw(folder, Hub(tmp_path / "records"), tmp_path), ImageReady)
    assert not marker.exists()


def test_a_pickle_that_was_allowed_still_runs_nothing(sound: Path, tmp_path: Path) -> None:
    folder, marker = shutil.copytree(sound, tmp_path / "toy"), tmp_path / "executed"
    pickle_for_weights(folder, marker)
    hub = Hub(tmp_path / "records")
    hub.download(from_folder(folder), allow_pickle=True)

    assert "cannot be read" in refusal(folder, hub, tmp_path)
    assert not marker.exists()


def test_a_pickle_of_tensors_that_was_allowed_is_drawn_with(sound: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(sound, tmp_path / "toy")
    torch.save(load_file(weights(folder)), weights(folder).with_suffix(".bin"))
    weights(folder).unlink()
    hub = Hub(tmp_path / "records")
    hub.download(from_folder(folder), allow_pickle=True)

    assert isinstance(draw(folder, hub, tmp_path), ImageReady)


def test_an_archive_is_no_checkpoint(tmp_path: Path) -> None:
    archive = tmp_path / "checkpoint.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("model_index.json", "{}")
    with pytest.raises(PixArtError, match="is not a folder"):
        from_folder(archive)


def test_settings_in_a_picture_that_never_end_are_damaged_settings(tmp_path: Path) -> None:
    path, info = tmp_path / "deep.png", PngImagePlugin.PngInfo()
    info.add_text("pixart_ui", "[" * 200_000)
    Image.new("RGB", (8, 8)).save(path, pnginfo=info)
    with pytest.raises(PixArtError, match="carries damaged settings"):
        images.read_facts(path)
