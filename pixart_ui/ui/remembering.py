"""What a browser remembers of its form: settings, never the prompt, which is the tab's own; a seed only if it is kept.

The browser sends it back as it likes: values of other kinds than a form sends are left out, and so is what a checkpoint
does not offer any more. All else is checked like any form when it is sent.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pixart_ui.ui.offer import Offer

NEVER = ("prompt", "drawn_seed", "shape")
OF_THE_SEED = ("seed", "is_seed_kept")


def recalled(kept: Mapping[str, Any], offer: Offer) -> dict[str, Any]:
    """The part of it that still holds."""
    offered = {
        "style": [value for _, value in offer.styles],
        "scheduler": [value for _, value in offer.schedulers],
        "precision": [value for _, value in offer.precisions],
        "transformer_precision": [value for _, value in offer.transformer_precisions],
    }
    left_out = {*NEVER, *(() if kept.get("is_seed_kept") is True else OF_THE_SEED)}
    found = {
        name: value
        for name, value in kept.items()
        if name not in left_out and isinstance(value, str | int | float) and value in offered.get(name, (value,))
    }
    if not offer.has_steps:
        found.pop("steps", None)
    if not offer.has_guidance:
        found.pop("guidance_scale", None)
    return found
