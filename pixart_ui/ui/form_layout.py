"""The form as it stands on the page: its components in their order, and what it does by itself in the browser."""

from __future__ import annotations

from typing import Any

import gradio as gr

from pixart_ui.request import Numerics, Precision
from pixart_ui.ui import fragments, words
from pixart_ui.ui.form import Form
from pixart_ui.ui.offer import Offer, precision_effect, quality_value
from pixart_ui.ui.style_pictures import shipped_pictures
from pixart_ui.ui.words import single as single_words

BROWSER_ONLY = {"fn": None, "queue": False, "show_progress": "hidden", "api_visibility": "private"}


def build_form(offer: Offer, checkpoint: gr.Dropdown) -> Form:
    """Lay the form out where the caller stands."""
    parts = {**_build_prompt(), **_build_looks(offer), **_build_precision(offer), **_build_seed()}
    with gr.Accordion(words.ADVANCED, open=False, elem_id="advanced"):
        advanced = _build_advanced(offer)
    return Form(checkpoint=checkpoint, **parts, **advanced)


def _build_prompt() -> dict[str, Any]:
    with gr.Column(elem_id="prompt-ask"):
        prompt = gr.Textbox(
            label=words.PROMPT,
            placeholder=words.PROMPT_HINT,
            lines=3,
            max_lines=8,
            autofocus=True,
            elem_id="field-prompt",
        )
        gr.HTML("", elem_id="prompt-hint")
    return {"prompt": prompt}


def _build_looks(offer: Offer) -> dict[str, Any]:
    """Style, shape and quality."""
    with gr.Column(elem_id="style-ask"):
        style = gr.Radio(list(offer.styles), value="", label=words.STYLE, elem_id="field-style", elem_classes="chips")
        style_pictures = gr.HTML(shipped_pictures(offer), elem_id="style-pictures")
    with gr.Column(elem_id="shape-ask"):
        shape = gr.Radio(
            list(offer.shapes),
            value=offer.size,
            label=words.SHAPE,
            elem_id="field-shape",
            elem_classes=["chips", "frames"],
        )
        size_hint = gr.HTML("", elem_id="size-hint")
        swap = gr.Button(single_words.SWAP, elem_id="swap", size="sm", elem_classes="link")
    quality = gr.Radio(
        list(offer.qualities),
        value=quality_value(offer.steps, offer.scheduler),
        label=single_words.QUALITY,
        visible=bool(offer.qualities),
        elem_id="field-quality",
        elem_classes=["chips", "costs"],
    )
    return {
        "style": style,
        "style_pictures": style_pictures,
        "shape": shape,
        "size_hint": size_hint,
        "swap": swap,
        "quality": quality,
    }


def _build_precision(offer: Offer) -> dict[str, Any]:
    precision = gr.Radio(
        list(offer.precisions),
        value=str(Precision.FP16),
        label=words.PRECISION,
        elem_id="field-precision",
        elem_classes=["chips", "costs"],
    )
    effect = precision_effect(str(Precision.FP16), is_small=offer.is_small)
    return {"precision": precision, "precision_hint": gr.HTML(fragments.hint(effect), elem_id="precision-hint")}


def _build_seed() -> dict[str, Any]:
    with gr.Row(elem_id="seed-row"):
        seed = gr.Textbox(label=words.SEED, placeholder=words.SEED_HINT, max_lines=1, elem_id="field-seed")
        is_seed_kept = gr.Checkbox(label=words.LOCK_SEED, elem_id="keep-seed", scale=0)
        random_seed = gr.Button(words.RANDOM_SEED, elem_id="random-seed", size="md", scale=0)
        num_images = gr.Number(1, label=words.NUM_IMAGES, elem_id="field-num_images", scale=0)
    return {
        "seed": seed,
        "is_seed_kept": is_seed_kept,
        "random_seed": random_seed,
        "num_images": num_images,
        "drawn_seed": gr.Textbox("", visible="hidden", elem_id="drawn-seed"),
    }


def _build_advanced(offer: Offer) -> dict[str, Any]:
    return {
        "negative_prompt": gr.Textbox(
            label=words.NEGATIVE_PROMPT,
            placeholder=words.NEGATIVE_PROMPT_HINT,
            lines=2,
            elem_id="field-negative_prompt",
        ),
        "steps": gr.Slider(
            1,
            offer.max_steps,
            value=offer.steps,
            step=1,
            label=words.STEPS,
            buttons=[],
            interactive=offer.has_steps,
            elem_id="field-steps",
        ),
        "guidance_scale": gr.Slider(
            0,
            12,
            value=offer.guidance_scale,
            step=0.1,
            label=words.GUIDANCE,
            buttons=[],
            info=words.GUIDANCE_INFO,
            interactive=offer.has_guidance,
            elem_id="field-guidance_scale",
        ),
        "scheduler": gr.Dropdown(
            list(offer.schedulers),
            value=offer.scheduler,
            label=words.SCHEDULER,
            filterable=False,
            elem_id="field-scheduler",
        ),
        "size": gr.Dropdown(
            list(offer.sizes),
            value=offer.size,
            label=words.SIZE,
            info=single_words.SIZE_INFO,
            allow_custom_value=True,
            elem_id="field-width",
        ),
        "numerics": gr.Radio(
            [str(Numerics.FAST), str(Numerics.EXACT)],
            value=str(Numerics.FAST),
            label=words.NUMERICS,
            info=words.NUMERICS_INFO,
            elem_id="field-numerics",
            elem_classes="chips",
        ),
        "compile_blocks": gr.Checkbox(
            label=words.COMPILE_BLOCKS, info=words.COMPILE_BLOCKS_INFO, elem_id="field-compile_blocks"
        ),
        "transformer_precision": gr.Dropdown(
            list(offer.transformer_precisions),
            value="",
            label=words.TRANSFORMER_PRECISION,
            info=words.TRANSFORMER_PRECISION_INFO,
            filterable=False,
            elem_id="field-transformer_precision",
        ),
    }


def wire_form(form: Form) -> None:
    """What the form does by itself, in the browser and at once."""
    same = "(value) => value"
    form.shape.input(inputs=form.shape, outputs=form.size, js=same, **BROWSER_ONLY)
    form.size.change(inputs=form.size, outputs=form.shape, js=same, **BROWSER_ONLY)
    form.random_seed.click(outputs=[form.seed, form.is_seed_kept], js="() => ['', false]", **BROWSER_ONLY)
    _wire_quality(form)


def _wire_quality(form: Form) -> None:
    """A quality sets steps and scheduler; whatever sets those shows the quality that they are, or none."""
    parts = [form.steps, form.scheduler]
    form.quality.input(
        inputs=form.quality,
        outputs=parts,
        js="(value) => [Number(value.split(' ')[0]), value.split(' ')[1]]",
        **BROWSER_ONLY,
    )
    for part in parts:
        part.change(
            inputs=parts, outputs=form.quality, js="(steps, scheduler) => `${steps} ${scheduler}`", **BROWSER_ONLY
        )
