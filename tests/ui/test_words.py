"""All words of the page are in one place, ready to be translated, and the bundled fonts can show them."""

from __future__ import annotations

import ast
import importlib
import pkgutil
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import gradio as gr
from fontTools.ttLib import TTFont

from pixart_ui.services import Services
from pixart_ui.ui import theme, words
from pixart_ui.ui.build import build

FOLDER = Path(theme.__file__).parent
# Programs read these; a person who opens such an address by hand gets a line of plain text, or works in a terminal.
FOR_PROGRAMS = ("api.py", "api_status.py")
PLAIN = (
    "Not found",
    "A handler of the page failed",
    "… is at http://…:…",
    "A name and a password are all that is needed.\n",
    "queued next running",  # states
)
TAG, COMMAND = re.compile(r"<[^<>]*(?:>|$)|^[^<>]*\">"), re.compile(r"python -m pixart_ui.*")
# Two words of lower-case letters after another word: no list of classes or names of states is like that.
SENTENCE = re.compile(r"[A-Za-z]{2,} [a-z]{2,} [a-z]{2,}|[A-Z][a-z]+ [a-z]{2,}|\b(?:no|the|a|under) [a-z0-9.]{2,}")
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


def literals(path: Path) -> Iterator[str]:
    """Every text in a module's code but its docstrings; in an f-string `…` stands for what is filled in."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    nodes = [*ast.walk(tree)]
    docs = {id(node.value) for node in nodes if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)}
    parts = {id(part) for node in nodes if isinstance(node, ast.JoinedStr) for part in node.values}
    for node in nodes:
        if isinstance(node, ast.JoinedStr):
            yield "".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docs | parts:
            yield node.value


def test_no_sentence_is_written_elsewhere() -> None:
    modules = [path for path in FOLDER.glob("*.py") if path.name not in FOR_PROGRAMS]
    assert len(modules) > 60
    said = [
        (path.name, text)
        for path in modules
        for text in literals(path)
        if text not in PLAIN and "{ " not in text and SENTENCE.search(COMMAND.sub("", TAG.sub(" ", text)))
    ]
    assert said == []
