"""Gets the host's side of a GPU ready while the first group is opened: pinned memory and the code of CUDA's libraries.

Each library loads its code at its first use, cuDNN alone half a gigabyte; without this the first picture waits for it.
"""

from __future__ import annotations

import logging
from concurrent.futures import Future, ThreadPoolExecutor

import torch
from torch.nn import functional
from transformers import T5Config, T5EncoderModel

from pixart_ui.engine.device import Device
from pixart_ui.engine.pager import Ring

log = logging.getLogger(__name__)


class WarmUp:
    """Runs once, in a thread. `wait` before memory is counted: a little of the device is used meanwhile."""

    def __init__(self, device: Device, ring: Ring) -> None:
        self._done: Future[None] | None = None
        self._first_texts = device if device.is_cuda else None
        if device.is_cuda:
            thread = ThreadPoolExecutor(1, thread_name_prefix="warm-up")
            self._done = thread.submit(_warm_up, device.torch_device, ring)
            thread.shutdown(wait=False)

    def meet_text_encoder(self) -> None:
        """Once: run a small T5, in the thread that will run the large one, as cuBLAS prepares itself for a thread."""
        device, self._first_texts = self._first_texts, None
        if device is not None:
            _run_small_text_encoder(device)

    def wait(self) -> None:
        """Return when it is over. What went wrong is only told: the first picture will meet it again, if at all."""
        done, self._done = self._done, None
        if done is not None and (error := done.exception()) is not None:
            log.warning("warming up: %s", error)


@torch.no_grad()
def _warm_up(device: torch.device, ring: Ring) -> None:
    torch.cuda.set_device(device)  # each thread has a current one of its own
    ring.allocate()
    query = torch.zeros(1, 16, 128, 72, dtype=torch.float16, device=device)
    functional.scaled_dot_product_attention(query, query, query)
    picture = torch.zeros(1, 32, 16, 16, dtype=torch.float16, device=device)
    kernel = torch.zeros(32, 32, 3, 3, dtype=torch.float16, device=device)
    functional.conv2d(picture, kernel, padding=1)
    torch.cuda.synchronize(device)


@torch.no_grad()
def _run_small_text_encoder(device: Device) -> None:
    config = T5Config(
        vocab_size=32, d_model=64, d_kv=64, d_ff=64, num_layers=1, num_heads=1, feed_forward_proj="gated-gelu"
    )
    module = T5EncoderModel(config).to(device.torch_device, torch.float16)
    tokens = torch.zeros(1, 8, dtype=torch.int64, device=device.torch_device)
    module(tokens, attention_mask=torch.ones_like(tokens))
