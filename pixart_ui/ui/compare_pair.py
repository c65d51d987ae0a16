"""Two pictures of a comparison, laid over each other: the window for it, and how far one is from the other.

The window is made once and stays; the script puts the two pictures into it. The difference of any pair is measured
here when it is asked for, since only those from the reference are kept.
"""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any

from PIL import Image

from pixart_ui.compare import metrics
from pixart_ui.compare.comparison import Comparison
from pixart_ui.compare.summary import floor
from pixart_ui.compare.verdict import share_in_words
from pixart_ui.errors import InputError
from pixart_ui.ui import words
from pixart_ui.ui.fragments import button


def window() -> str:
    """Hidden until two pictures are chosen."""
    modes = "".join(_choice("pair-mode", value, text) for value, text in words.PAIR_MODES.items())
    zooms = "".join(_choice("pair-zoom", value, text) for value, text in words.PAIR_ZOOMS.items())
    return (
        f'<dialog id="pair" aria-label="{words.PAIR}"><div class="pair-head">'
        f'<div class="filters" role="group" aria-label="{words.PAIR_MODE}">{modes}</div>'
        f'<div class="filters" role="group" aria-label="{words.PAIR_ZOOM}">{zooms}</div>'
        f'<button type="button" class="close" data-act="pair-close" aria-label="{words.PAIR_CLOSE}">×</button></div>'
        '<div class="pair-stage">'
        '<div class="pane" data-side="slider" tabindex="-1"><div class="over"><img data-of="second" alt="">'
        '<img data-of="first" alt=""><span class="edge"></span>'
        f'<input type="range" min="0" max="100" step="0.5" value="50" aria-label="{words.PAIR_SLIDER}"></div></div>'
        '<div class="pane" data-side="first" tabindex="0"><img data-of="first" alt=""></div>'
        '<div class="pane" data-side="second" tabindex="0"><img data-of="second" alt=""></div>'
        f'<div class="pane" data-side="map" tabindex="0"><img data-of="map" alt="{words.PAIR_MAP_ALT}"></div></div>'
        '<p class="pair-told" role="status"><span class="text"></span>'
        '<span class="scale" hidden>0 <i></i> <span></span></span></p>'
        f'<div class="pair-foot">{_side("first", words.PAIR_FIRST)}'
        f"{button(words.PAIR_SWAP, 'pair-swap')}{_side('second', words.PAIR_SECOND)}</div></dialog>"
    )


def difference(comparison: Comparison, folder: Path, first: str, second: str) -> dict[str, Any]:
    """The heat map of two runs, by their keys, as a data URI, with its scale and a sentence. Raises InputError."""
    one, other = (_picture(comparison, folder, key) for key in (first, second))
    levels = metrics.difference(one, other)
    scale = comparison.heat_scale_levels
    scale = scale if scale is not None else metrics.heat_scale([levels])
    return {
        "sentence": _sentence(comparison, metrics.rms_levels(one, other)),
        "scale": words.PAIR_SCALE.format(scale=scale),
        "stops": ", ".join(metrics.heat_stops()),
        "map": _data(metrics.heat_map(levels, scale)),
    }


def _choice(action: str, value: str, text: str) -> str:
    data = f'data-act="{action}" data-value="{value}"'
    return f'<button type="button" class="chip" {data} aria-pressed="false">{text}</button>'


def _side(side: str, label: str) -> str:
    return (
        f'<div class="side"><label>{label} <select data-choose="{side}"></select></label>'
        f'<p class="short" data-facts="{side}"></p></div>'
    )


def _picture(comparison: Comparison, folder: Path, key: str) -> Image.Image:
    found = comparison.by_key.get(key)
    if found is None or found.image is None:
        raise InputError(words.PAIR_GONE)
    try:
        with Image.open(folder / found.image, formats=["PNG"]) as picture:
            return picture.convert("RGB")
    except OSError:
        raise InputError(words.PAIR_GONE) from None


def _sentence(comparison: Comparison, rms: float) -> str:
    if rms == 0:
        return words.PAIR_IDENTICAL
    text = words.PAIR_DIFFER.format(levels=rms, psnr=metrics.psnr_db(rms))
    share = floor(comparison).share(rms) if comparison.has_quality else None
    return text if share is None else f"{text} {words.PAIR_SHARE.format(share=share_in_words(share))}"


def _data(picture: Image.Image) -> str:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"
