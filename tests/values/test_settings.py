"""Flags and environment become settings once, and what cannot be is one sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

from pixart_ui.errors import InputError
from pixart_ui.settings import Settings

WHOLES = ["group_size", "keep_images", "keep_days", "max_jobs", "max_jobs_per_owner"]


def test_by_default_nothing_is_limited_and_nothing_deleted() -> None:
    settings = Settings.read({})
    assert [getattr(settings, name) for name in WHOLES] == [None] * len(WHOLES)


@pytest.mark.parametrize("name", WHOLES)
def test_a_flag_wins_over_the_environment(name: str) -> None:
    environ = {f"PIXART_UI_{name.upper()}": "7"}
    assert getattr(Settings.read(environ), name) == 7
    assert getattr(Settings.read(environ, **{name: "9"}), name) == 9
    assert getattr(Settings.read(environ, **{name: None}), name) == 7


@pytest.mark.parametrize("name", WHOLES)
@pytest.mark.parametrize("text", ["0", "-1", "1.5", "many", "9" * 30, "٣"])
def test_a_number_that_cannot_be_is_one_sentence(name: str, text: str) -> None:
    with pytest.raises(InputError, match=r"is out of range, it must be a whole number from 1 to [\d,]+: try \d+\.$"):
        Settings.read({}, **{name: text})


def test_a_thumbnail_is_named_after_its_picture(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    assert settings.thumbnail_path("20260101-000001-5.png") == settings.thumbnails_dir / "20260101-000001-5.webp"
