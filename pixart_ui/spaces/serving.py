"""The app on ZeroGPU: no worker process, a page whose visitors draw for themselves.

`spaces` is imported before anything else that could touch CUDA: it stands in for it until a GPU is lent.
"""

from __future__ import annotations

import os

from pixart_ui.access.opening import open_door
from pixart_ui.access.sharing import Sharing
from pixart_ui.errors import DeviceError
from pixart_ui.settings import Settings
from pixart_ui.spaces.kind import SpaceKind


def serve_directly(settings: Settings, sharing: Sharing) -> None:
    """Serve until the Space stops. Raises DeviceError where the package `spaces` is absent."""
    try:
        import spaces  # noqa: F401
    except ImportError:
        raise DeviceError(
            "This Space says that it is on ZeroGPU (SPACES_ZERO_GPU), but the package spaces is not installed: "
            "add it to requirements.txt, or choose other hardware."
        ) from None
    from pixart_ui.spaces.direct import DirectServices
    from pixart_ui.spaces.zerogpu import ZeroGpu
    from pixart_ui.ui.build import serve
    from pixart_ui.ui.on_space import OnSpace

    services = DirectServices.open(settings)
    zero = ZeroGpu.open(services)
    zero.start()
    try:
        serve(services, zero, open_door(settings, sharing, os.environ), on_space=OnSpace(SpaceKind.ZERO_GPU, zero.draw))
    finally:
        zero.stop()
