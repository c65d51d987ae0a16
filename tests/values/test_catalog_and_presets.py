"""Local folders as checkpoints, bins against diffusers', styles as data."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from diffusers.pipelines.pixart_alpha import pipeline_pixart_alpha, pipeline_pixart_sigma

from pixart_ui import bins
from pixart_ui.catalog import from_folder
from pixart_ui.errors import CheckpointError, InputError
from pixart_ui.presets import Styles
from pixart_ui.services import presets_dir

TABLES = {
    32: pipeline_pixart_alpha.ASPECT_RATIO_256_BIN,
    64: pipeline_pixart_alpha.ASPECT_RATIO_512_BIN,
    128: pipeline_pixart_alpha.ASPECT_RATIO_1024_BIN,
    256: pipeline_pixart_sigma.ASPECT_RATIO_2048_BIN,
}


@pytest.mark.parametrize("sample_size", TABLES)
def test_bins_are_those_of_diffusers(sample_size: int) -> None:
    theirs = {ratio: (int(height), int(width)) for ratio, (height, width) in TABLES[sample_size].items()}
    assert bins.table(sample_size) == theirs


@pytest.mark.parametrize("sample_size", TABLES)
def test_every_bin_is_its_own_nearest_or_shares_its_ratio(sample_size: int) -> None:
    for size in bins.sizes(sample_size):
        nearest = bins.nearest(size, sample_size)
        assert abs(nearest.height / nearest.width - size.height / size.width) < 0.02


def write(folder: Path, pipeline: str = "PixArtSigmaPipeline", sample_size: object = 32) -> Path:
    (folder / "transformer").mkdir(parents=True)
    (folder / "model_index.json").write_text(json.dumps({"_class_name": pipeline}))
    (folder / "transformer" / "config.json").write_text(json.dumps({"sample_size": sample_size}))
    return folder


def test_a_local_folder_is_a_checkpoint(tmp_path: Path) -> None:
    checkpoint = from_folder(write(tmp_path / "mine", "PixArtAlphaPipeline", 64))
    assert (checkpoint.family, checkpoint.max_tokens, checkpoint.default_size) == ("alpha", 120, (512, 512))


def test_a_folder_that_is_none_is_wrong_input(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is not a folder"):
        from_folder(tmp_path / "absent")


def test_missing_and_damaged_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"model_index\.json is missing"):
        from_folder(tmp_path)
    folder = write(tmp_path / "garbage")
    (folder / "transformer" / "config.json").write_bytes(b"\xff\xfe{{{")
    with pytest.raises(CheckpointError, match=r"config\.json cannot be read"):
        from_folder(folder)


def test_other_pipelines_and_sample_sizes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="describes a FluxPipeline"):
        from_folder(write(tmp_path / "flux", "FluxPipeline"))
    with pytest.raises(CheckpointError, match="sample_size 48"):
        from_folder(write(tmp_path / "odd", sample_size=48))


def test_shipped_styles_are_read_and_some_are_for_tiny_alone() -> None:
    styles = Styles.load(presets_dir())
    assert "Cinematic" in styles.names("sigma-1024")
    only_tiny = set(styles.names("tiny")) - set(styles.names("sigma-1024"))
    assert len(only_tiny) == 5


def test_an_unknown_style_lists_the_choices() -> None:
    with pytest.raises(InputError, match="Unknown style 'cinematik', did you mean 'Cinematic'"):
        Styles.load(presets_dir()).get("cinematik", "sigma-1024")


def test_an_unknown_key_in_a_style_file_is_named(tmp_path: Path) -> None:
    style = {"name": "Ink", "prompt": "ink {prompt}", "promt": ""}
    (tmp_path / "styles.json").write_text(json.dumps({"styles": [style]}))
    with pytest.raises(InputError, match=r"styles\.json .*promt"):
        Styles.load(tmp_path)


def test_a_style_without_the_placeholder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "styles.json").write_text(json.dumps({"styles": [{"name": "Ink", "prompt": "ink"}]}))
    with pytest.raises(InputError, match=r"must contain {prompt} once"):
        Styles.load(tmp_path)
