"""Which kind of Hugging Face Space this process runs on, and under which names it is reached: from its environment.

Pure: no import of gradio, torch or `spaces`, nothing read but the mapping that is passed in. On a Space everybody who
opens the page is a visitor; who they are is `access/`'s affair.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum

ID_VARIABLE = "SPACE_ID"
HOST_VARIABLE = "SPACE_HOST"
ZERO_GPU_VARIABLE = "SPACES_ZERO_GPU"
# Where the Hub shows a Space in a frame.
FRAME_ANCESTORS = ("https://huggingface.co",)
_HOST = re.compile(r"(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,63}")


class SpaceKind(StrEnum):
    """`DEDICATED` has a processor, or a GPU of its own; on `ZERO_GPU` each request borrows one."""

    DEDICATED = "dedicated"
    ZERO_GPU = "zero-gpu"


def is_space(environ: Mapping[str, str]) -> bool:
    return bool(environ.get(ID_VARIABLE)) or is_zero_gpu(environ)


def is_zero_gpu(environ: Mapping[str, str]) -> bool:
    """Read as the `spaces` package reads it, so that both always agree."""
    return environ.get(ZERO_GPU_VARIABLE, "").lower() in ("1", "t", "true")


def space_kind(environ: Mapping[str, str]) -> SpaceKind | None:
    """None where this is no Space."""
    if is_zero_gpu(environ):
        return SpaceKind.ZERO_GPU
    return SpaceKind.DEDICATED if is_space(environ) else None


def space_hosts(environ: Mapping[str, str]) -> tuple[str, ...]:
    """The host names that the Space answers to: its own of `*.hf.space`, and a custom domain where it has one.

    Without a port. Empty elsewhere; a name that is none is left out.
    """
    if not is_space(environ):
        return ()
    names = [name.strip().lower() for name in environ.get(HOST_VARIABLE, "").split(",")]
    return tuple(dict.fromkeys(name for name in names if _HOST.fullmatch(name)))


def frame_ancestors(environ: Mapping[str, str]) -> tuple[str, ...]:
    """Sources that may show the page in a frame, as a Content-Security-Policy names them; empty elsewhere."""
    return FRAME_ANCESTORS if is_space(environ) else ()
