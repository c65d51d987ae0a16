"""Names of devices, and `--devices`: which of this machine's devices get a worker each. Pure: asks no device.

A processor has no parts of its own: `cpu,cpu` makes two slots of it, `cpu:0` and `cpu:1`, each with a lock, a worker
and its share of the threads. `cuda:0+cuda:1` is one worker on two GPUs of a kind, the second for its text encoder.
"""

from __future__ import annotations

from collections.abc import Sequence

from pixart_ui.errors import InputError

AUTO = "auto"
CPU = "cpu"
KINDS = (AUTO, CPU, "cuda", "mps")
MOST_SHOWN = 40
PAIR = "+"


def check_device(name: str) -> None:
    """Raises InputError for what names no device of ours, whether it is here or not."""
    if PAIR in name:
        _check_pair(name)
        return
    kind, colon, index = name.partition(":")
    has_index = index.isascii() and index.isdigit() and len(index) <= 3
    if kind not in KINDS or (colon and not (kind in (CPU, "cuda") and has_index)):
        raise InputError(
            f"Device {name[:MOST_SHOWN]!r} is unknown, it must be auto, cpu, cpu:N, cuda, cuda:N or mps: try auto."
        )


def _check_pair(name: str) -> None:
    parts = name.split(PAIR)
    kinds = {part.partition(":")[0] for part in parts}
    if len(parts) != 2 or not all(":" in part for part in parts) or len(kinds) > 1 or parts[0] == parts[1]:
        raise InputError(
            f"Device {name[:MOST_SHOWN]!r} is no pair, it must be two different ones of a kind, by their numbers: try "
            "cuda:0+cuda:1."
        )
    for part in parts:
        check_device(part)


def is_processor(name: str) -> bool:
    """Whether a device's name, or the id that a worker reports, is the processor or a slot of it."""
    return name.partition(":")[0] == CPU


def parse_devices(text: str) -> tuple[str, ...]:
    """`auto` alone, or the names that stand between commas, each once. Raises InputError.

    >>> parse_devices("cuda:1, cuda"), parse_devices("cpu,cpu")
    (('cuda:1', 'cuda:0'), ('cpu:0', 'cpu:1'))
    """
    names = [name.strip() for name in text.split(",")]
    for name in names:
        check_device(name)
    if AUTO in names:
        if len(names) > 1:
            raise InputError(
                f"Devices {text[:MOST_SHOWN]!r} name auto beside others, which it finds by itself: give auto alone, or "
                "each device by its name."
            )
        return (AUTO,)
    slots = _slots([f"{name}:0" if name == "cuda" else name for name in names])
    single = [part for name in slots for part in name.split(PAIR)]
    if twice := next((name for name in single if single.count(name) > 1), None):
        raise InputError(f"Device {twice} is named twice, and a device takes one worker: name it once.")
    return slots


def found_devices(names: Sequence[str], num_gpus: int) -> tuple[str, ...]:
    """The names with `auto` as what is there: each GPU, or what a single worker finds where there is none.

    >>> found_devices(["auto"], 2), found_devices(["auto"], 0)
    (('cuda:0', 'cuda:1'), ('auto',))
    """
    if list(names) == [AUTO] and num_gpus > 0:
        return tuple(f"cuda:{index}" for index in range(num_gpus))
    return tuple(names)


def _slots(names: Sequence[str]) -> tuple[str, ...]:
    """Plain `cpu`s as slots where there are several."""
    if names.count(CPU) == 1 and sum(map(is_processor, names)) == 1:
        return tuple(names)
    free = (slot for index in range(len(names) * 2) if (slot := f"{CPU}:{index}") not in names)
    return tuple(next(free) if name == CPU else name for name in names)
