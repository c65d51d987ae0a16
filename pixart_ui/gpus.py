"""How many NVIDIA GPUs there are, counted by the driver's library: the page has no torch."""

from __future__ import annotations

import logging
from collections.abc import Mapping

log = logging.getLogger(__name__)


def num_gpus(environ: Mapping[str, str]) -> int:
    """As many as a worker would see that is started with this environment."""
    try:
        import pynvml

        pynvml.nvmlInit()
        found = int(pynvml.nvmlDeviceGetCount())
    except ImportError:
        log.warning("the package nvidia-ml-py is not installed: GPUs are not counted")
        return 0
    except pynvml.NVMLError:
        return 0
    visible = environ.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        return found
    # CUDA takes the names up to the first that is none.
    names = [name.strip() for name in visible.split(",")]
    shown = next((place for place, name in enumerate(names) if name in ("", "-1")), len(names))
    return min(found, shown)
