"""The look: slate and one indigo, Inter, light and dark. Only values here; rules that Gradio has no variable for are in
`page.css` and in the style sheets of the page's parts, the script in the files of those names.
"""

from __future__ import annotations

import json
from pathlib import Path

import gradio as gr
from gradio.themes.utils import colors, fonts, sizes

from pixart_ui.ui import words
from pixart_ui.ui.words import gallery as gallery_words
from pixart_ui.ui.words import presets as preset_words
from pixart_ui.ui.words import single as single_words
from pixart_ui.ui.words import system as system_words

HERE = Path(__file__).resolve().parent
ASSETS = HERE.parent / "assets"
# Each part of the page has a style sheet and a script of that name; `page.js` starts them in this order.
PARTS = ("single", "queue", "compare", "gallery", "system", "presets")
# What the scripts say.
SCRIPT_WORDS = (
    words.SCRIPT_WORDS,
    single_words.SCRIPT_WORDS,
    gallery_words.SCRIPT_WORDS,
    system_words.SCRIPT_WORDS,
    preset_words.SCRIPT_WORDS,
)


def css() -> str:
    sheets = ((HERE / f"{name}.css").read_text(encoding="utf-8") for name in ("page", *PARTS))
    return "".join(sheets).replace("KEYS", words.GENERATE_KEYS).replace("SENDING", single_words.SENDING)


def script() -> str:
    """The page's script: one function that Gradio calls once the page stands, with the words and each part's start."""
    said = {key: text for each in SCRIPT_WORDS for key, text in each.items()}
    page, *scripts = ((HERE / f"{name}.js").read_text(encoding="utf-8") for name in ("page", *PARTS))
    starts = ",\n".join(f"{name}: {code}" for name, code in zip(PARTS, scripts, strict=True))
    return f"() => {{ const words = {json.dumps(said)};\n({page})(words, {{ {starts} }}); }}"


def theme() -> gr.themes.Base:
    base = gr.themes.Base(
        primary_hue=colors.indigo,
        secondary_hue=colors.indigo,
        neutral_hue=colors.slate,
        spacing_size=sizes.spacing_md,
        radius_size=sizes.radius_md,
        text_size=sizes.text_md,
        font=[fonts.Font(name) for name in ("Inter Variable", "ui-sans-serif", "system-ui", "sans-serif")],
        font_mono=[fonts.Font(name) for name in ("ui-monospace", "Consolas", "monospace")],
    )
    return base.set(**_surfaces(), **_text(), **_inputs(), **_choices(), **_buttons())


def _surfaces() -> dict[str, str]:
    return {
        "body_background_fill": "#f6f7f9",
        "body_background_fill_dark": "#0e131d",
        "background_fill_primary": "#ffffff",
        "background_fill_primary_dark": "#161d2a",
        "background_fill_secondary": "#f1f3f6",
        "background_fill_secondary_dark": "#1d2533",
        "block_background_fill": "transparent",
        "block_background_fill_dark": "transparent",
        "block_border_width": "0px",
        "block_border_width_dark": "0px",
        "block_shadow": "none",
        "block_shadow_dark": "none",
        "block_padding": "0px",
        "block_radius": "8px",
        "panel_border_width": "0px",
        "panel_border_width_dark": "0px",
        "border_color_primary": "#d5dae3",
        "border_color_primary_dark": "#2c3648",
        "border_color_accent": "*primary_500",
        "border_color_accent_dark": "*primary_400",
        "form_gap_width": "0px",
        "layout_gap": "20px",
        "container_radius": "8px",
        "shadow_drop": "none",
        "shadow_drop_lg": "0 8px 24px rgb(15 23 42 / 0.12)",
        "color_accent": "*primary_600",
    }


def _text() -> dict[str, str]:
    return {
        "body_text_color": "#1c2433",
        "body_text_color_dark": "#e6eaf1",
        "body_text_color_subdued": "#566074",
        "body_text_color_subdued_dark": "#9aa6ba",
        "body_text_size": "14px",
        "block_title_text_color": "*body_text_color",
        "block_title_text_color_dark": "*body_text_color",
        "block_title_text_size": "14px",
        "block_title_text_weight": "600",
        "block_title_padding": "0",
        "block_title_background_fill": "transparent",
        "block_title_background_fill_dark": "transparent",
        "block_label_background_fill": "transparent",
        "block_label_background_fill_dark": "transparent",
        "block_info_text_color": "*body_text_color_subdued",
        "block_info_text_color_dark": "*body_text_color_subdued",
        "block_info_text_size": "13px",
        "accordion_text_color": "*body_text_color",
        "accordion_text_color_dark": "*body_text_color",
    }


def _inputs() -> dict[str, str]:
    return {
        "input_background_fill": "#ffffff",
        "input_background_fill_dark": "#161d2a",
        "input_background_fill_focus": "#ffffff",
        "input_background_fill_focus_dark": "#161d2a",
        "input_border_color": "#c3cad6",
        "input_border_color_dark": "#364257",
        "input_border_color_focus": "*primary_500",
        "input_border_color_focus_dark": "*primary_400",
        "input_border_width": "1px",
        "input_border_width_dark": "1px",
        "input_padding": "10px 12px",
        "input_radius": "8px",
        "input_shadow": "none",
        "input_shadow_dark": "none",
        "input_shadow_focus": "none",
        "input_shadow_focus_dark": "none",
        "input_text_size": "14px",
        "input_placeholder_color": "#667085",
        "input_placeholder_color_dark": "#8a96ab",
        "slider_color": "*primary_600",
        "slider_color_dark": "*primary_400",
    }


def _choices() -> dict[str, str]:
    return {
        "checkbox_label_background_fill": "#ffffff",
        "checkbox_label_background_fill_dark": "#161d2a",
        "checkbox_label_background_fill_hover": "#f1f3f6",
        "checkbox_label_background_fill_hover_dark": "#1d2533",
        "checkbox_label_background_fill_selected": "*primary_50",
        "checkbox_label_background_fill_selected_dark": "#262a55",
        "checkbox_label_border_color": "#c3cad6",
        "checkbox_label_border_color_dark": "#364257",
        "checkbox_label_border_color_selected": "*primary_600",
        "checkbox_label_border_color_selected_dark": "*primary_400",
        "checkbox_label_border_width": "1px",
        "checkbox_label_border_width_dark": "1px",
        "checkbox_label_padding": "7px 12px",
        "checkbox_label_gap": "8px",
        "checkbox_label_shadow": "none",
        "checkbox_label_shadow_dark": "none",
        "checkbox_label_text_color": "*body_text_color",
        "checkbox_label_text_color_dark": "*body_text_color",
        "checkbox_label_text_color_selected": "*primary_800",
        "checkbox_label_text_color_selected_dark": "*primary_100",
        "checkbox_label_text_size": "13px",
        "checkbox_label_text_weight": "500",
        "checkbox_background_color": "#ffffff",
        "checkbox_background_color_dark": "#161d2a",
        "checkbox_background_color_selected": "*primary_600",
        "checkbox_background_color_selected_dark": "*primary_500",
        "checkbox_border_color": "#8b95a7",
        "checkbox_border_color_dark": "#5b6881",
        "checkbox_border_radius": "4px",
    }


def _buttons() -> dict[str, str]:
    return {
        "button_border_width": "1px",
        "button_border_width_dark": "1px",
        "button_transition": "background-color 0.12s, border-color 0.12s",
        "button_transform_hover": "none",
        "button_transform_active": "none",
        "button_large_radius": "8px",
        "button_medium_radius": "8px",
        "button_small_radius": "8px",
        "button_large_text_size": "16px",
        "button_large_text_weight": "600",
        "button_medium_text_size": "14px",
        "button_medium_text_weight": "500",
        "button_small_text_size": "13px",
        "button_small_text_weight": "500",
        "button_large_padding": "12px 20px",
        "button_primary_background_fill": "*primary_600",
        "button_primary_background_fill_dark": "*primary_600",
        "button_primary_background_fill_hover": "*primary_700",
        "button_primary_background_fill_hover_dark": "*primary_700",
        "button_primary_border_color": "*primary_600",
        "button_primary_border_color_dark": "*primary_600",
        "button_primary_border_color_hover": "*primary_700",
        "button_primary_border_color_hover_dark": "*primary_700",
        "button_primary_text_color": "#ffffff",
        "button_primary_text_color_dark": "#ffffff",
        "button_primary_shadow": "none",
        "button_primary_shadow_hover": "none",
        "button_primary_shadow_active": "none",
        "button_secondary_background_fill": "#ffffff",
        "button_secondary_background_fill_dark": "#161d2a",
        "button_secondary_background_fill_hover": "#f1f3f6",
        "button_secondary_background_fill_hover_dark": "#1d2533",
        "button_secondary_border_color": "#c3cad6",
        "button_secondary_border_color_dark": "#364257",
        "button_secondary_text_color": "*body_text_color",
        "button_secondary_text_color_dark": "*body_text_color",
        "button_secondary_shadow": "none",
        "button_secondary_shadow_hover": "none",
        "button_secondary_shadow_active": "none",
    }
