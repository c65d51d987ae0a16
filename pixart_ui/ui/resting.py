"""What a server that is to rest needs to be told once, when all is imported and the page is put together."""

from __future__ import annotations

import gc

import gradio as gr

# Gradio looks a thousand times a second whether its own queue holds an event: six percent of a core for nothing. Here
# only clients of the HTTP API pass through it, and they do not notice so many seconds.
QUEUE_SECONDS = 0.02
PROGRESS_SECONDS = 0.2


def let_rest(page: gr.Blocks) -> None:
    """Before the page is launched or after it."""
    queue = page._queue
    queue.sleep_when_free = QUEUE_SECONDS
    queue.progress_update_sleep_when_free = PROGRESS_SECONDS
    # What is there now stays: a search for garbage need not look at it each time, which took a tenth of a second.
    gc.collect()
    gc.freeze()
