"""Which files are chosen from what a folder or a repository holds."""

from __future__ import annotations

import pytest

from pixart_ui.hub.layout import needed

PLAIN = "diffusion_pytorch_model.safetensors"
SHARDS = ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")
INDEX = "model.safetensors.index.json"
NEW_FP16 = ("model.fp16-00001-of-00002.safetensors", "model.fp16-00002-of-00002.safetensors")
OLD_FP16 = ("model-00001-of-00002.fp16.safetensors", "model-00002-of-00002.fp16.safetensors")
FP16_INDEX = "model.safetensors.index.fp16.json"
BIN_SHARDS = ("pytorch_model-00001-of-00002.bin", "pytorch_model-00002-of-00002.bin")


@pytest.mark.parametrize(
    ("names", "chosen"),
    [
        ({PLAIN, "diffusion_pytorch_model.fp16.safetensors", "diffusion_pytorch_model.bin"}, {PLAIN}),
        (
            {"diffusion_pytorch_model.fp16.safetensors", "diffusion_pytorch_model.bin"},
            {"diffusion_pytorch_model.fp16.safetensors"},
        ),
        ({"diffusion_pytorch_model.bin", "diffusion_pytorch_model.fp16.bin"}, {"diffusion_pytorch_model.bin"}),
        ({*SHARDS, INDEX, *NEW_FP16, FP16_INDEX}, {*SHARDS, INDEX}),
        ({*SHARDS, INDEX, *OLD_FP16, FP16_INDEX}, {*SHARDS, INDEX}),
        ({*NEW_FP16, FP16_INDEX}, {*NEW_FP16, FP16_INDEX}),
        ({*OLD_FP16, FP16_INDEX}, {*OLD_FP16, FP16_INDEX}),
        ({*SHARDS, INDEX, "model.safetensors"}, {"model.safetensors"}),
        ({*BIN_SHARDS, "pytorch_model.bin.index.json"}, {*BIN_SHARDS, "pytorch_model.bin.index.json"}),
        ({PLAIN, "flax_model.msgpack", "model.onnx", "README.md", "../model.safetensors"}, {PLAIN}),
    ],
)
def test_exactly_one_set_of_weights_is_chosen(names: set[str], chosen: set[str]) -> None:
    need = needed("transformer", {"config.json", *names})

    assert set(need.files) == {"config.json", *chosen}
    assert need.missing is None
    assert (need.variant == "fp16") == any("fp16" in name for name in chosen)
    assert need.is_pickled == any(name.endswith(".bin") for name in chosen)


@pytest.mark.parametrize(
    ("names", "missing"),
    [
        (set(), "config.json"),
        ({"config.json"}, "the weights (model.safetensors)"),
        ({PLAIN}, "config.json"),
        ({"config.json", SHARDS[0], INDEX}, SHARDS[1]),
        ({"config.json", SHARDS[1], INDEX}, SHARDS[0]),
        ({"config.json", *SHARDS}, INDEX),
        ({"config.json", NEW_FP16[0], FP16_INDEX}, NEW_FP16[1]),
    ],
)
def test_the_first_missing_file_is_named(names: set[str], missing: str) -> None:
    assert needed("text_encoder", names).missing == missing


def test_the_index_is_no_part_of_what_defines_the_weights() -> None:
    assert needed("text_encoder", {"config.json", *SHARDS, INDEX}).defining == SHARDS


def test_a_tokenizer_needs_one_vocabulary() -> None:
    assert needed("tokenizer", {"spiece.model", "README.md"}).files == ("spiece.model",)
    assert needed("tokenizer", {"tokenizer.json"}).missing is None
    assert needed("tokenizer", {"tokenizer_config.json"}).missing == "spiece.model or tokenizer.json"


def test_a_scheduler_needs_its_config() -> None:
    assert needed("scheduler", {"scheduler_config.json", "other.json"}).files == ("scheduler_config.json",)
    assert needed("scheduler", {"other.json"}).missing == "scheduler_config.json"
