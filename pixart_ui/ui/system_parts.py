"""Pieces that the sections of the System tab are made of. Pure functions; what people or files say is escaped here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape

from pixart_ui.ui.fragments import button


@dataclass(frozen=True)
class Share:
    """A part of a bar: `kind` chooses its colour, `amount` is what its legend says."""

    kind: str
    name: str
    nbytes: int
    amount: str


def section(title: str, inner: str, *, intro: str = "", css: str = "") -> str:
    told = f'<p class="hint">{escape(intro)}</p>' if intro else ""
    return f'<section class="panel {css}"><h2>{escape(title)}</h2>{told}{inner}</section>'


def bar(shares: Sequence[Share], label: str) -> str:
    """A bar whose parts are as long as they are large, and its legend; it reads as one picture."""
    total = max(1, sum(share.nbytes for share in shares))
    parts = "".join(
        f'<span data-kind="{share.kind}" style="--part:{share.nbytes / total:.5f}"></span>' for share in shares
    )
    legend = "".join(
        f'<li><i data-kind="{share.kind}"></i><span>{escape(share.name)}</span>'
        f'<span class="num">{escape(share.amount)}</span></li>'
        for share in shares
    )
    return f'<div class="stack" role="img" aria-label="{escape(label)}">{parts}</div><ul class="legend">{legend}</ul>'


def table(columns: Sequence[str], rows: Iterable[str], *, label: str, css: str = "") -> str:
    """`rows` are whole `<tr>`s. It scrolls by itself where it is wider or longer than its place."""
    head = "".join(f'<th scope="col">{escape(name)}</th>' if name else "<td></td>" for name in columns)
    return (
        f'<div class="scroll {css}" tabindex="0" role="region" aria-label="{escape(label)}"><table>'
        f"<thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
    )


def verb(label: str, name: str, of: str = "", *, ask: str = "", hint: str = "", about: str = "") -> str:
    """A button for one of `system_verbs`; with `about` its name says what it is for, as many look alike."""
    extra: Mapping[str, object] = {
        key: text for key, text in {"verb": name, "of": of, "ask": ask}.items() if text or key == "verb"
    }
    html = button(label, "system", **extra)
    told = f' title="{escape(hint)}"' if hint else ""
    told += f' aria-label="{escape(f"{label}: {about}")}"' if about else ""
    return html.replace("<button ", f"<button{told} ", 1) if told else html
