"""The System tab: memory, workers, what fits, checkpoints, disk, health, logs; as HTML that the script keeps live."""

from __future__ import annotations

import gradio as gr

from pixart_ui.services import Services
from pixart_ui.ui.edge import QUIET
from pixart_ui.ui.system_verbs import act
from pixart_ui.ui.words import system as words

WIDE = ("system-memory", "system-workers", "system-fits")
LEFT = ("system-checkpoints", "system-store")
RIGHT = ("system-disk", "system-health")


def build_system_controls(services: Services, answer: gr.Textbox) -> None:
    """What the script presses. It stands outside of the tab, whose inside comes into being when it is first opened."""
    do = gr.Button(visible="hidden", elem_id="do-system")
    pressed = do.click(
        lambda target: act(services, target),
        answer,
        answer,
        js="() => window.pixart.target",
        trigger_mode="multiple",
        **QUIET,
    )
    pressed.then(None, answer, js="(html) => window.pixart.answered(html)", **QUIET)


def build_system() -> None:
    with gr.Column(elem_id="systemplace"):
        for name in WIDE:
            gr.HTML(_waiting() if name == WIDE[0] else "", elem_id=name)
        with gr.Row(elem_id="system-sides"):
            for side in (LEFT, RIGHT):
                with gr.Column(min_width=280):
                    for name in side:
                        gr.HTML("", elem_id=name)
        gr.HTML("", elem_id="system-logs")
        gr.HTML(_report(), elem_id="system-report")


def _waiting() -> str:
    return f'<section class="panel memory"><h2>{words.MEMORY}</h2><p class="hint">{words.COUNTING}</p></section>'


def _report() -> str:
    return f'<textarea id="logs-text" readonly hidden rows="16" aria-label="{words.LOGS_TEXT}"></textarea>'
