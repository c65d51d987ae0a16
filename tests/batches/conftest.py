from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pixart_ui.batches import Draft, Wildcards, read_draft
from pixart_ui.request import GenerationRequest
from pixart_ui.services import Services
from pixart_ui.settings import Settings

Read = Callable[..., Draft]


@pytest.fixture
def wildcards(tmp_path: Path) -> Wildcards:
    folder = tmp_path / "wildcards"
    folder.mkdir()
    (folder / "colour.txt").write_text("# what a comment says\nred\n\n blue \n", encoding="utf-8")
    (folder / "thing.txt").write_text("a __colour__ {house|boat}\na moon\n", encoding="utf-8")
    return Wildcards(folder)


@pytest.fixture
def read(wildcards: Wildcards) -> Read:
    def read(content: str | bytes, name: str | None = None, base: dict[str, Any] | None = None) -> Draft:
        form = GenerationRequest.parse({"prompt": "of the form"} | base) if base is not None else None
        return read_draft(content, name=name, base=form, wildcards=wildcards)

    return read


@pytest.fixture
def services(tmp_path: Path) -> Iterator[Services]:
    services = Services.open(Settings(data_dir=tmp_path / "data", device="cpu"))
    yield services
    services.journal.close()
