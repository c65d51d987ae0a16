"""Bounds of a Space as a whole."""

from __future__ import annotations

from pathlib import Path

from pixart_ui.settings import Settings
from pixart_ui.spaces.bounds import KEEP_IMAGES, MAX_JOBS, bounded


def test_a_space_holds_so_many_jobs_and_pictures_whoever_they_are_from(tmp_path: Path) -> None:
    settings = bounded(Settings.read({}, data_dir=str(tmp_path)))
    assert (settings.max_jobs, settings.keep_images) == (MAX_JOBS, KEEP_IMAGES)


def test_its_owner_sets_others_in_its_variables(tmp_path: Path) -> None:
    environ = {"PIXART_UI_MAX_JOBS": "7", "PIXART_UI_KEEP_IMAGES": "9"}
    settings = bounded(Settings.read(environ, data_dir=str(tmp_path)))
    assert (settings.max_jobs, settings.keep_images) == (7, 9)
