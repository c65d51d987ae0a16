"""What stands beside a picture or a comparison for those who sign in: the other way to download it, and sharing it."""

from __future__ import annotations

from html import escape
from urllib.parse import quote

from pixart_ui.access import viewer
from pixart_ui.ui.words import access as words


def of_picture(name: str, url: str, *, is_run: bool = False) -> str:
    """`url` has a query already. Nothing for whoever works alone; a run is shared with its comparison."""
    asking = viewer.current()
    if asking == viewer.LOCAL:
        return ""
    other, label = ("plain", words.DOWNLOAD_PLAIN) if asking.is_owner else ("whole", words.DOWNLOAD_WHOLE)
    download = f'<a class="quiet" href="{url}&amp;{other}" download="{escape(name)}">{label}</a>'
    return download if is_run else download + _share("picture", name)


def of_comparison(comparison_id: str) -> str:
    return _share("comparison", comparison_id)


def _share(kind: str, target: str) -> str:
    if not viewer.current().is_signed_in:
        return ""
    address = f"/share/{kind}/{quote(target, safe='')}"
    return f'<a class="quiet" href="{address}" target="_blank" rel="noopener">{words.SHARE}…</a>'
