"""Gets the host's side of a GPU ready while the first group is opened: pinned memory, and cuDNN.

cuDNN alone is half a gigabyte of code that is loaded at the first convolution; without this the first picture waits.
"""

from __future__ import annotations

import logging
from concurrent.futures import Future, ThreadPoolExecutor

import torch
from torch.nn import functional

from pixart_ui.engine.device import Device
from pixart_ui.engine.pager import Ring

log = logging.getLogger(__name__)


class WarmUp:
    """Runs once, in a thread. `wait` before memory is counted: a little of the device is used meanwhile."""

    def __init__(self, device: Device, ring: Ring) -> None:
        self._done: Future[None] | None = None
        if device.is_cuda:
            thread = ThreadPoolExecutor(1, thread_name_prefix="warm-up")
            self._done = thread.submit(_warm_up, device.torch_device, ring)
            thread.shutdown(wait=False)

    def wait(self) -> None:
        """Return when it is over. What went wrong is only told: the first picture will meet it again, if at all."""
        done, self._done = self._done, None
        if done is not None and (error := done.exception()) is not None:
            log.warning("warming up: %s", error)


@torch.no_grad()
def _warm_up(device: torch.device, ring: Ring) -> None:
    ring.allocate()
    query = torch.zeros(1, 16, 128, 72, dtype=torch.float16, device=device)
    functional.scaled_dot_product_attention(query, query, query)
    picture = torch.zeros(1, 32, 16, 16, dtype=torch.float16, device=device)
    kernel = torch.zeros(32, 32, 3, 3, dtype=torch.float16, device=device)
    functional.conv2d(picture, kernel, padding=1)
    torch.cuda.synchronize(device)
