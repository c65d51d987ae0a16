"""Larger sizes are offered only where a checkpoint has bins for them, and the words tell the two kinds apart."""

from __future__ import annotations

from pathlib import Path

import pytest

from pixart_ui.bins import Size
from pixart_ui.catalog import Catalog, Checkpoint, hub_checkpoints, tiny
from pixart_ui.gallery import larger
from pixart_ui.presets import Styles
from pixart_ui.request import GenerationRequest, ResolvedRequest, resolve
from pixart_ui.services import presets_dir

CATALOG = Catalog([tiny(Path("weights")), *hub_checkpoints()])
STYLES = Styles.load(presets_dir())
ALL = tuple(CATALOG)


def request_of(checkpoint: str, **asked: object) -> ResolvedRequest:
    found = CATALOG.get(checkpoint)
    style = STYLES.get(str(asked["style"]), checkpoint) if "style" in asked else None
    asked_for = GenerationRequest.parse({"prompt": "a house", "seed": 5, **asked})
    return resolve(asked_for, found, style, random_seed=0)[0]


def test_a_picture_that_was_shrunk_can_keep_the_size_that_it_was_drawn_at() -> None:
    request = request_of("sigma-1024", width=512, height=512)
    (first, *rest) = larger.offered(request, ALL)
    assert (first.checkpoint, first.size, first.is_same_picture) == ("sigma-1024", Size(1024, 1024), True)
    again = resolve(
        GenerationRequest.parse(larger.asked(request, first, CATALOG.get("sigma-1024"), STYLES)),
        CATALOG.get("sigma-1024"), None, random_seed=0,
    )[0]  # fmt: skip
    assert again == request.model_copy(update={"width": 1024, "height": 1024}), "the same latents, not shrunk"
    assert [entry.checkpoint for entry in rest] == ["sigma-2k"]


def test_siblings_with_larger_bins_draw_another_picture_in_the_same_shape() -> None:
    request = request_of("sigma-512", width=608, height=416)
    found = larger.offered(request, ALL)
    assert [(entry.checkpoint, entry.is_same_picture) for entry in found] == [
        ("sigma-1024", False),
        ("sigma-2k", False),
    ]
    assert [entry.size for entry in found] == [Size(1216, 832), Size(2432, 1664)]


def test_only_checkpoints_that_are_here_are_offered() -> None:
    request = request_of("sigma-512")
    here = [CATALOG.get("sigma-512"), CATALOG.get("sigma-2k")]
    assert [entry.checkpoint for entry in larger.offered(request, here)] == ["sigma-2k"]


@pytest.mark.parametrize("name", ["tiny", "sigma-2k", "alpha-1024", "alpha-lcm-1024", "alpha-dmd-512"])
def test_where_there_is_no_larger_bin_nothing_is_offered(name: str) -> None:
    assert larger.offered(request_of(name), ALL) == ()


def test_a_style_that_the_other_checkpoint_lacks_is_written_out() -> None:
    def checkpoint(name: str) -> Checkpoint:
        return CATALOG.get(name)

    only_here = Styles({"Ink": STYLES.get("Anime", "sigma-512").model_copy(  # type: ignore[union-attr]
        update={"name": "Ink", "checkpoints": ("sigma-512",)})})  # fmt: skip
    asked_for = GenerationRequest.parse({"prompt": "a house", "style": "Ink", "seed": 1})
    (request,) = resolve(asked_for, checkpoint("sigma-512"), only_here.get("Ink", "sigma-512"), random_seed=0)
    (found,) = larger.offered(request, [checkpoint("sigma-512"), checkpoint("sigma-1024")])
    asked = larger.asked(request, found, checkpoint("sigma-1024"), only_here)
    assert (asked["style"], asked["prompt"], asked["seed"]) == (None, request.full_prompt, 1)
