"""Checkpoints that a Space is told to fetch."""

from __future__ import annotations

from pathlib import Path

import pytest

from pixart_ui.errors import InputError
from pixart_ui.settings import Settings
from pixart_ui.spaces.fetching import VARIABLE, fetch_in_background, wanted


def test_nothing_is_fetched_unasked(tmp_path: Path) -> None:
    assert wanted({}) == ()
    assert fetch_in_background((), Settings(data_dir=tmp_path)) is None


def test_published_checkpoints_are_named_with_spaces_or_commas_between() -> None:
    assert wanted({VARIABLE: "sigma-1024, alpha-1024"}) == ("sigma-1024", "alpha-1024")


@pytest.mark.parametrize("name", ["tiny", "alpha-dmd-512", "/etc", "nothing"])
def test_what_is_local_pickled_or_unknown_is_refused(name: str) -> None:
    with pytest.raises(InputError):
        wanted({VARIABLE: name})


def test_a_checkpoint_that_cannot_be_had_stops_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))
    thread = fetch_in_background(("sigma-1024",), Settings(data_dir=tmp_path / "data"))
    assert thread is not None
    thread.join(120)
    assert not thread.is_alive()
    assert "sigma-1024" in capfd.readouterr().err
