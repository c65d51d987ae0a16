from __future__ import annotations

import gc

from pixart_ui.services import Services
from pixart_ui.ui.build import build
from pixart_ui.ui.resting import PROGRESS_SECONDS, QUEUE_SECONDS, let_rest


def test_the_queue_of_gradio_rests_between_two_looks(services: Services) -> None:
    queue = build(services)._queue
    names = {"sleep_when_free": QUEUE_SECONDS, "progress_update_sleep_when_free": PROGRESS_SECONDS}
    assert all(0 < getattr(queue, name) < seconds for name, seconds in names.items()), "Gradio's own, to be replaced"
    let_rest(queue.blocks)
    gc.unfreeze()
    assert {name: getattr(queue, name) for name in names} == names
