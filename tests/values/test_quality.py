from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pixart_ui.catalog import hub_checkpoints, tiny
from pixart_ui.errors import InputError
from pixart_ui.quality import qualities
from pixart_ui.services import presets_dir


def write(folder: Path, **changes: Any) -> Path:
    quality = {"name": "Quick", "steps": 5, "scheduler": "euler", **changes}
    (folder / "quality.json").write_text(json.dumps({"qualities": [quality]}), encoding="utf-8")
    return folder


@pytest.mark.parametrize("checkpoint", [tiny(Path("tiny")), *hub_checkpoints()], ids=lambda each: each.name)
def test_every_checkpoint_with_free_steps_has_three_and_the_middle_one_is_its_default(checkpoint: Any) -> None:
    found = qualities(presets_dir(), checkpoint)
    if checkpoint.timesteps is not None:
        assert found == ()
        return
    assert [each.name for each in found] == ["Draft", "Balanced", "Best"]
    assert (found[1].steps, found[1].scheduler) == (checkpoint.default_steps, checkpoint.default_scheduler)
    assert all(each.scheduler in checkpoint.schedulers for each in found)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"stpes": 4}, "qualities.0.stpes"),
        ({"steps": 0}, "qualities.0.steps"),
        ({"scheduler": "magic"}, "qualities.0.scheduler"),
    ],
)
def test_a_wrong_file_names_the_key(tmp_path: Path, changes: dict[str, Any], named: str) -> None:
    with pytest.raises(InputError, match=named):
        qualities(write(tmp_path, **changes), tiny(tmp_path))


def test_one_for_other_checkpoints_is_not_offered(tmp_path: Path) -> None:
    assert qualities(write(tmp_path, checkpoints=["sigma-1024"]), tiny(tmp_path)) == ()
    assert [each.name for each in qualities(write(tmp_path), tiny(tmp_path))] == ["Quick"]
