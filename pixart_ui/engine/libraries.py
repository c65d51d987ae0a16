"""What the libraries say of themselves: progress bars and advice would drown our own log."""

from __future__ import annotations

import logging

import diffusers
import transformers


def quiet() -> None:
    """From here on they tell errors alone."""
    diffusers.utils.logging.disable_progress_bar()
    diffusers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity_error()
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
