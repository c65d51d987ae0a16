"""All words of the page are in one place, ready to be translated, and the bundled fonts can show them."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import gradio as gr
from fontTools.ttLib import TTFont

from pixart_ui.services import Services
from pixart_ui.ui import theme, words
from pixart_ui.ui.build import build

FOLDER = Path(theme.__file__).parent
# What an input's own values are called, which stay the same in every language.
NAMES = ("fast", "exact")


def catalogue() -> dict[str, str]:
    """Every text by its place, `single.SWAP`, as `gr.I18n` takes them."""
    names = [words.__name__, *(f"{words.__name__}.{each.name}" for each in pkgutil.iter_modules(words.__path__))]
    found: dict[str, str] = {}
    for name in names:
        for constant, value in vars(importlib.import_module(name)).items():
            if constant.isupper():
                place = f"{name.rpartition('.')[2]}.{constant}"
                found.update({f"{place}{path}": text for path, text in texts(value)})
    return found


def texts(value: object, path: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, Mapping):
        for key, each in value.items():
            yield from texts(each, f"{path}.{key}")
    elif isinstance(value, Sequence):
        for number, each in enumerate(value):
            yield from texts(each, f"{path}.{number}")


def test_gradio_takes_them_as_translations() -> None:
    found = catalogue()
    assert len(found) > 300
    assert gr.I18n(en=found, de=found).translations_dict["de"]["single.SWAP"] == "Swap"


def test_what_the_components_say_is_among_them(services: Services) -> None:
    known = set(catalogue().values())
    for component in build(services).get_config_file()["components"]:
        props = component["props"]
        said = [props.get(name) for name in ("label", "info", "placeholder")]
        said += [props.get("value")] if component["type"] == "button" else []
        for text in said:
            is_shown = isinstance(text, str) and text and props.get("visible") is True and props.get("show_label", True)
            assert not is_shown or text in known or text in NAMES, (component["type"], text)


def test_the_bundled_fonts_have_every_character() -> None:
    fonts = (theme.ASSETS / "fonts").glob("*.woff2")
    shown = {code for font in fonts for code in TTFont(font).getBestCmap()}
    files = [path for kind in ("*.py", "*.js", "*.css") for path in FOLDER.rglob(kind)]
    used = {character for path in files for character in path.read_text(encoding="utf-8") if ord(character) > 126}
    assert {character for character in used if ord(character) not in shown} == set()
