"""The sheet of keyboard shortcuts, which `?` opens."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from pixart_ui.ui.words import single as words


def sheet() -> str:
    groups = "".join(_group(title, keys) for title, keys in words.KEYS_GROUPS)
    close = f'<button type="button" class="close" data-act="keys-close" aria-label="{words.KEYS_CLOSE}">×</button>'
    title = f'<h2 id="keys-title">{words.KEYS}</h2>'
    return f'<dialog class="keys" aria-labelledby="keys-title">{title}{close}{groups}</dialog>'


def _group(title: str, keys: Sequence[tuple[str, str]]) -> str:
    rows = "".join(f"<dt>{_keys(keys)}</dt><dd>{escape(does)}</dd>" for keys, does in keys)
    return f"<h3>{escape(title)}</h3><dl>{rows}</dl>"


def _keys(text: str) -> str:
    """`Ctrl + Enter` as two keys."""
    return " + ".join(f"<kbd>{escape(key)}</kbd>" for key in text.split(" + "))
