"""The buttons beside the chosen preset, as HTML. The script keeps them true while another one is chosen."""

from __future__ import annotations

import json
from collections.abc import Collection
from html import escape
from urllib.parse import urlencode

from pixart_ui.access import viewer
from pixart_ui.shared_presets import is_anothers
from pixart_ui.ui import fragments
from pixart_ui.ui.words import presets as words


def preset_actions(chosen: str | None, shared: Collection[str] = (), *, has_any: bool) -> str:
    """What can be done with the chosen preset, by its key; `shared` are those of one's own that all see."""
    name = chosen if chosen is not None else ""
    delete = fragments.button(words.DELETE, "preset", verb="delete", of="preset", ask=words.DELETE_ASK)
    if is_anothers(name):
        delete = delete.replace("<button ", "<button hidden ", 1)
    query = f"?{urlencode({'name': name})}" if name else ""
    save = (
        f'<a class="quiet" data-share href="/presets.json{escape(query)}" download title="{words.SHARE_HINT}"'
        f"{'' if has_any or name else ' hidden'}>{words.SHARE if name else words.SHARE_ALL}</a>"
    )
    use = fragments.button(words.USE, "preset", verb="use")
    return f'<div class="actions">{use}{delete}{save}{_to_all(name, shared)}</div>'


def _to_all(name: str, shared: Collection[str]) -> str:
    """For the owner of an app that others sign in to."""
    asking = viewer.current()
    if not (asking.is_owner and asking.is_signed_in):
        return ""
    label, verb = (words.TO_OWN, "to-own") if name in shared else (words.TO_ALL, "to-all")
    made = fragments.button(label, "preset", verb=verb, shared=json.dumps(sorted(shared)))
    return made if name and not is_anothers(name) else made.replace("<button ", "<button hidden ", 1)
