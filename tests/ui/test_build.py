from __future__ import annotations

import re
import subprocess
import sys

from pixart_ui.services import Services
from pixart_ui.ui import theme, words
from pixart_ui.ui.build import build


def test_the_page_is_put_together_with_no_torch_and_no_stubs(services: Services) -> None:
    code = (
        "import sys; from pixart_ui.ui import build; from gradio import component_meta\n"
        "heavy = {'torch', 'diffusers', 'transformers', 'bitsandbytes'} & set(sys.modules)\n"
        "print(heavy, component_meta.create_or_modify_pyi.__name__)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "set() <lambda>"


def test_no_event_holds_a_connection_or_the_queue(services: Services) -> None:
    page = build(services)
    config = page.get_config_file()
    assert all(component["type"] != "state" for component in config["components"])
    for function in page.fns.values():
        assert function.queue is False
        assert not function.cancels


def test_every_input_has_a_label(services: Services) -> None:
    inputs = {"textbox", "radio", "dropdown", "slider", "number", "checkbox"}
    for component in build(services).get_config_file()["components"]:
        if component["type"] in inputs and component["props"].get("visible") is True:
            assert component["props"].get("label"), component


def test_nothing_on_the_page_comes_from_a_network(services: Services) -> None:
    look = theme.css() + theme.script() + theme.theme()._get_theme_css()
    assert set(re.findall(r"https?://[^\s\"')]+", look)) <= {"http://www.w3.org/2000/svg"}


def test_the_script_has_its_words_and_the_style_its_keys() -> None:
    assert words.CONNECTION_LOST in theme.script()
    assert words.GENERATE_KEYS in theme.css()
    assert "/*WORDS*/" not in theme.script()
