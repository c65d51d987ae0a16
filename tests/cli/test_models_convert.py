"""`models convert`, and what the other verbs say and do about converted weights, as a person runs them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pixart_ui import cli
from pixart_ui.settings import Settings
from tests.cli.commands import Ended, run

T5_BYTES_FP16 = 6_500_000


class Models:
    """Runs `models …` with a data folder of its own; in this process, for speed, where that changes nothing."""

    def __init__(self, data_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.settings = Settings(data_dir=data_dir)
        self._capsys = capsys

    def __call__(self, *words: str) -> Ended:
        code = cli.main(["models", *words, "--data-dir", str(self.settings.data_dir)])
        out, err = self._capsys.readouterr()
        return Ended(code, out, err)

    @property
    def stored(self) -> list[Path]:
        return sorted(self.settings.weights_dir.glob("*.safetensors"))


@pytest.fixture
def models(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Models:
    return Models(tmp_path / "data", capsys)


def test_convert_says_what_was_written_and_then_that_it_is_there(models: Models) -> None:
    first = models("convert", "tiny")
    (path,) = models.stored
    assert first.code == 0, first.err
    assert first.out.splitlines() == [
        f"text_encoder: converted to fp16, 6.6 MB: {path}",
        "transformer: needs no converting, its own files are fp16 (18.2 MB).",
        "vae: needs no converting, its own files are fp16 (7.5 MB).",
    ]
    assert first.err.splitlines()[-1] == "text_encoder: 6.6 MB of 6.6 MB (100 %)"
    second = models("convert", "tiny")
    assert (second.code, second.err) == (0, "")
    assert second.out.startswith("text_encoder: was converted before to fp16, 6.6 MB: ")


def test_in_a_process_of_its_own_without_network(tmp_path: Path) -> None:
    """Quantized on the processor; stdout is JSON and nothing else."""
    done = run(
        *["models", "convert", "tiny", "--precision", "nf4", "--device", "cpu", "--json"],
        *["--data-dir", str(tmp_path)],
    )
    assert done.code == 0, done.err
    assert [line.partition(":")[0] for line in done.err.splitlines()] == ["text_encoder"] * 2
    t5, transformer, vae = json.loads(done.out)
    assert (t5["component"], t5["form"].partition("-bnb")[0], t5["state"]) == ("text_encoder", "nf4-cpu", "written")
    assert t5["bytes"] == Path(t5["path"]).stat().st_size
    assert (transformer["state"], vae["state"]) == ("own", "own")


def test_a_folder_of_fp32_gets_all_three(models: Models, toy: Path) -> None:
    done = models("convert", str(toy), "--precision", "bf16")
    assert done.code == 0, done.err
    assert [path.name.split("-")[:2] for path in models.stored] == [
        ["text_encoder", "bf16"],
        ["transformer", "bf16"],
        ["vae", "bf16"],
    ]


def test_where_all_files_are_as_wanted_it_says_so(models: Models, toy: Path, tmp_path: Path) -> None:
    import torch
    from diffusers import AutoencoderKL, PixArtTransformer2DModel
    from transformers import T5EncoderModel

    folder = tmp_path / "ready"
    folder.mkdir()
    for name in ("tokenizer", "scheduler", "model_index.json"):
        (folder / name).symlink_to(toy / name)
    T5EncoderModel.from_pretrained(toy / "text_encoder", dtype=torch.float16).save_pretrained(folder / "text_encoder")
    for name, cls in (("transformer", PixArtTransformer2DModel), ("vae", AutoencoderKL)):
        cls.from_pretrained(toy / name, torch_dtype=torch.float16).save_pretrained(folder / name)
    capsys_noise = models("convert", str(folder))
    assert capsys_noise.out == f"ready ({folder}) needs no converting for fp16.\n"
    assert models.stored == []


def test_list_shows_names_bytes_and_states(models: Models) -> None:
    assert "Converted weights" not in models("list").out
    models("convert", "tiny")
    (path,) = models.stored
    (path.parent / path.name.replace("fp16", "bf16")).with_suffix(".safetensors.part").write_bytes(b"x" * 1000)
    shown = models("list").out
    assert f"Converted weights in {path.parent}, 6.6 MB:" in shown
    assert shown.splitlines()[-2].split() == ["text_encoder", "bf16", "1.0", "kB", "partial"]
    assert shown.splitlines()[-1].split() == ["text_encoder", "fp16", "6.6", "MB", "complete"]
    value = json.loads(models("list", "--json").out)
    assert value["checkpoints"][0]["name"] == "tiny"
    assert [(file["form"], file["state"]) for file in value["weights"]] == [("bf16", "partial"), ("fp16", "complete")]
    assert value["weights"][1]["bytes"] == path.stat().st_size > T5_BYTES_FP16


def test_verify_removes_a_damaged_file_and_convert_makes_it_again(models: Models) -> None:
    models("convert", "tiny")
    (path,) = models.stored
    assert f"{path.name}: sound, 6.6 MB read." in models("verify").out
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + b"?")
    broken = models("verify")
    assert broken.code == 1
    assert broken.out.endswith("It was removed and will be made again when it is needed.\n")
    assert models.stored == []
    assert "converted to fp16" in models("convert", "tiny").out
    assert path.read_bytes() == whole
    assert models("verify").code == 0


def test_prune_keeps_what_listed_checkpoints_use(models: Models, toy: Path) -> None:
    models("convert", "tiny")
    (kept,) = models.stored
    models("convert", str(toy))
    assert len(models.stored) == 4
    done = json.loads(models("prune", "--json").out)
    assert models.stored == [kept]
    assert done["freed_bytes"] > 0
    assert done["left_bytes"] == kept.stat().st_size
    assert models("prune").out == "Nothing to remove: 6.6 MB of converted weights are of checkpoints on this disk.\n"
    assert models("prune", "--all").out == "6.6 MB of converted weights removed, none left.\n"
    assert models.stored == []
    assert models("prune").out == "Nothing to remove: there are no converted weights.\n"


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (["tiny", "--precision", "fp8"], 2, "Unknown precision 'fp8', did you mean 'fp4'? Choose one of fp16, bf16"),
        (["tiney"], 2, "Unknown checkpoint 'tiney', did you mean 'tiny'?"),
        (["tiny", "--device", "tpu"], 2, "Device 'tpu' is unknown"),
        ([], 2, "The following arguments are required: CHECKPOINT"),
        (["sigma-512"], 1, "PixArt-Σ · 512 (sigma-512) is not on this disk: get it with"),
    ],
)
def test_what_goes_wrong_is_one_sentence(models: Models, words: list[str], code: int, sentence: str) -> None:
    done = models("convert", *words)
    assert (done.code, done.out) == (code, "")
    assert done.err.startswith(sentence)
    assert done.err.count("\n") == 1
    assert models.stored == []


def test_a_data_folder_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file, not a folder")
    done = run("models", "convert", "tiny", "--data-dir", str(tmp_path / "data"))
    assert done.code == 1
    assert done.is_one_sentence, done.err
