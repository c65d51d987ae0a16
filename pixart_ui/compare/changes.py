"""What is different between two comparisons of one kind: an older report, and the same repeated.

Pictures are compared by their pixels, figures beyond what measuring twice gives. Each change is one sentence; the most
important come first: where it ran, what it ran with, which runs ended otherwise, then pictures, memory and time.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pixart_ui.byte_size import show_bytes
from pixart_ui.compare.comparison import Comparison, Result
from pixart_ui.compare.verdict import STATE_WORDS, failure_in_words

# Peaks of two equal runs agree within this part; times vary more.
SAME_MEMORY, SAME_SECONDS, LEAST_SECONDS = 0.01, 0.2, 0.1
HASH_CHARS = 12


def differences(old: Comparison, new: Comparison) -> tuple[str, ...]:
    """A sentence for each thing that changed; none where nothing did."""
    return tuple(_changes(old, new))


def _changes(old: Comparison, new: Comparison) -> Iterator[str]:
    if old.device.name != new.device.name:
        yield f"It ran on {new.device.name}, before on {old.device.name}."
    if old.device.budget_bytes != new.device.budget_bytes:
        yield f"The budget is {_size(new.device.budget_bytes)}, it was {_size(old.device.budget_bytes)}."
    yield from _names("Version of", old.versions, new.versions)
    for checkpoint in sorted(old.components.keys() | new.components.keys()):
        before, after = old.components.get(checkpoint, {}), new.components.get(checkpoint, {})
        yield from _names(f"Weights of {checkpoint},", _short(before), _short(after))
    yield from _runs(old, new)


def _runs(old: Comparison, new: Comparison) -> Iterator[str]:
    before, after = old.by_key, new.by_key
    for key in [*before, *(key for key in after if key not in before)]:
        first, second = before.get(key), after.get(key)
        if first is None and second is not None:
            yield f"{_name(new, second)} is new."
        elif first is not None and second is None:
            yield f"{_name(old, first)} has not been run again."
        elif first is not None and second is not None:
            yield from (f"{_name(new, second)}: {change}." for change in _run(first, second))


def _run(old: Result, new: Result) -> Iterator[str]:
    if old.state is not new.state:
        said = failure_in_words(new) if not new.is_done else STATE_WORDS[new.state]
        yield f"{said}, before it {_verb(old)} {STATE_WORDS[old.state]}"
        return
    if not new.is_done:
        if old.reason != new.reason:
            yield f"{failure_in_words(new)}, before {old.reason}"
        return
    if old.pixels_sha256 != new.pixels_sha256:
        yield f"the picture is another one{_distances(old, new)}"
    yield from _memory(old, new)
    yield from _seconds(old, new)


def _memory(old: Result, new: Result) -> Iterator[str]:
    first, second = old.memory, new.memory
    if first is None or second is None or first.kind != second.kind:
        return
    if abs(first.bytes - second.bytes) > SAME_MEMORY * max(first.bytes, second.bytes):
        yield f"memory is {_exact(second.bytes)}, it was {_exact(first.bytes)}"


def _seconds(old: Result, new: Result) -> Iterator[str]:
    first, second = old.seconds, new.seconds
    if first is None or second is None:
        return
    if abs(first - second) > max(LEAST_SECONDS, SAME_SECONDS * max(first, second)):
        yield f"it took {second:.1f} s, before {first:.1f} s"


def _distances(old: Result, new: Result) -> str:
    if old.quality is None or new.quality is None:
        return ""
    first, second = old.quality.rms_levels, new.quality.rms_levels
    return f", {second:.2f} levels from its reference and not {first:.2f}" if f"{first:.2f}" != f"{second:.2f}" else ""


def _names(what: str, old: Mapping[str, str], new: Mapping[str, str]) -> Iterator[str]:
    for name in sorted(old.keys() | new.keys()):
        if old.get(name) != new.get(name):
            yield f"{what} {name}: {new.get(name, 'none')}, before {old.get(name, 'none')}."


def _short(hashes: Mapping[str, str]) -> dict[str, str]:
    return {name: digest[:HASH_CHARS] for name, digest in hashes.items()}


def _name(comparison: Comparison, result: Result) -> str:
    if len(comparison.sweep.prompts) == 1:
        return result.label
    return f"{result.label}, prompt {result.prompt_index + 1}"


def _verb(result: Result) -> str:
    return "was" if result.is_done else ""


def _size(count: int | None) -> str:
    return show_bytes(count) if count is not None else "all that is free"


def _exact(count: int) -> str:
    return f"{count / 2**30:.2f} GiB" if count >= 2**30 else f"{count / 2**20:.1f} MiB"
