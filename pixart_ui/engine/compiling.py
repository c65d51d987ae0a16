"""The transformer's blocks compiled by torch, for `fast` numerics where it is asked for.

All blocks are the same code, so torch compiles one and keeps the result for the others and for later pictures: what it
depends on is shapes and types, never which memory the weights are in. The number of tokens of a prompt is left open, so
that another prompt is no reason to compile again; another size is. Choices that would be made by measuring, and could
change the last bits from one start to the next, are left to rules. A module's hooks stay outside: weights that are
streamed come before the compiled code begins.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
import sysconfig
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from pixart_ui.engine.device import Device
from pixart_ui.errors import DeviceError

COMPILED, EAGER = "compiled", "eager"
# What Triton makes code for: Volta cards and newer ones.
TRITON_CAPABILITY = (7, 0)
CACHE_VARIABLE = "TORCHINDUCTOR_CACHE_DIR"
# torch's own limit is 8 shapes, after which it goes on uncompiled: a picture would depend on those before it.
MAX_SHAPES = 10_000
REMEDY = "or leave compiling off"


def keep_cache_in(folder: Path) -> None:
    """Have what torch and Triton compile kept in that folder from now on; it is made when it is needed."""
    os.environ[CACHE_VARIABLE] = str(folder)


@contextmanager
def compiled_blocks(transformer: Any) -> Iterator[None]:
    """Let every block run compiled for the length of the block.

    Raises DeviceError where compiling fails, at the first step.
    """
    import torch._dynamo  # takes a second or two

    blocks = list(transformer.transformer_blocks)
    before = [vars(block).get("forward") for block in blocks]
    for block in blocks:
        block.forward = _compiled(block.forward)
    limits = torch._dynamo.config.patch(recompile_limit=MAX_SHAPES, accumulated_recompile_limit=MAX_SHAPES)
    try:
        with _errors_as_sentence(), limits:
            yield
    finally:
        for block, forward in zip(blocks, before, strict=True):
            del block.forward  # the class's own is behind it
            if forward is not None:
                block.forward = forward


def require(device: Device) -> None:
    """Raises DeviceError where blocks cannot be compiled for that device: it says what is missing."""
    if device.torch_device.type == "cpu":
        _require_cxx_compiler()
    elif device.is_cuda:
        _require_triton(device)
    else:
        raise DeviceError(
            f"Compiled blocks need a CPU or an NVIDIA GPU, and the device is {device.name}: leave compiling off."
        )
    _require_headers()


def _compiled(forward: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
    """A block's forward pass, compiled when it is first called; only the prompt's length is left open."""
    compiled = torch.compile(forward, dynamic=False, fullgraph=True, options=_options())

    def run(hidden_states: torch.Tensor, **arguments: Any) -> torch.Tensor:
        torch._dynamo.maybe_mark_dynamic(arguments["encoder_hidden_states"], 1)
        torch._dynamo.maybe_mark_dynamic(arguments["encoder_attention_mask"], 2)
        # The first block is given a transposed view: in one layout it needs no code of its own.
        result: torch.Tensor = compiled(hidden_states.contiguous(), **arguments)
        return result

    return run


def _options() -> dict[str, Any]:
    """Nothing that decides by measuring; the second is known to torch 2.9 and newer."""
    import torch._inductor.config as known

    wanted: dict[str, Any] = {"shape_padding": False, "deterministic": True}
    return {name: value for name, value in wanted.items() if hasattr(known, name)}


def _require_cxx_compiler() -> None:
    from torch._inductor.cpp_builder import get_cpp_compiler

    try:
        get_cpp_compiler()
    except (RuntimeError, OSError):
        raise DeviceError(
            "Compiled blocks need a C++ compiler, and none was found: install one "
            f"(`apt install g++`, Xcode's tools or Visual Studio), {REMEDY}."
        ) from None


def _require_triton(device: Device) -> None:
    capability = torch.cuda.get_device_capability(device.torch_device)
    if capability < TRITON_CAPABILITY:
        raise DeviceError(
            f"Compiled blocks need a GPU of compute capability {_dotted(TRITON_CAPABILITY)} or newer, {device.name} "
            f"has {_dotted(capability)}: leave compiling off."
        )
    if importlib.util.find_spec("triton") is None:
        package = "triton-windows" if sys.platform == "win32" else "triton"
        raise DeviceError(
            f"Compiled blocks need the package triton, which is not installed: run `pip install {package}`, {REMEDY}."
        )
    # Triton builds its launcher with what CC names, else with one of these; the one for Windows brings its own.
    compilers = [os.environ["CC"]] if "CC" in os.environ else ["gcc", "clang"]
    if sys.platform != "win32" and not any(map(shutil.which, compilers)):
        raise DeviceError(f"Compiled blocks need a C compiler, and none was found: run `apt install gcc`, {REMEDY}.")


def _require_headers() -> None:
    """What is compiled is called from Python, through Python's own C interface."""
    if not Path(sysconfig.get_path("include"), "Python.h").is_file():
        raise DeviceError(
            "Compiled blocks need Python's C headers, and Python.h was not found: run `apt install python3-dev`, "
            f"{REMEDY}."
        )


def _dotted(capability: tuple[int, int]) -> str:
    return ".".join(map(str, capability))


@contextmanager
def _errors_as_sentence() -> Iterator[None]:
    """What torch raises where it cannot compile, as one sentence. Out of memory passes through."""
    from torch._dynamo.exc import FailOnRecompileLimitHit, TorchDynamoException

    try:
        yield
    except (TorchDynamoException, FailOnRecompileLimitHit) as error:
        cause = getattr(error, "inner_exception", None) or error.__cause__
        if isinstance(cause, (torch.cuda.OutOfMemoryError, MemoryError)):
            raise cause from None
        reason = " ".join(str(error).split())[:200]
        raise DeviceError(
            f"The transformer's blocks cannot be compiled here ({reason}): leave compiling off."
        ) from error
