"""The words of `report.html` that depend on the comparison: advice, the scale of differences, how it was measured.

Nothing here is measured or drawn. What every report says alike stands in its template.
"""

from __future__ import annotations

from collections.abc import Iterator

from pixart_ui.byte_size import show_bytes
from pixart_ui.compare.advice import advise
from pixart_ui.compare.comparison import Comparison
from pixart_ui.compare.summary import floor

# Where the pictures together are too much for one file, copies of that side go in.
REDUCED_SIDE = 448
MEMORY_ON_GPU = (
    "Torch's peaks of reserved and allocated bytes, counted anew in each phase; the figure of a run is its highest "
    "peak of reserved bytes. On the device: what the driver counts for all processes."
)
MEMORY_ON_CPU = (
    "Weight bytes by component, as they are held in RAM, and the peak resident set of the worker's process (RSS), "
    "which only grows. There is no GPU memory on a processor."
)
DIFFERENCE = (
    "Root mean squared difference of all pixels and channels from the reference's picture, in levels of 255; PSNR is "
    "the same in dB. SSIM: scikit-image with a Gaussian window, sigma 1.5. Another seed's difference is the scale."
)
EMBEDDING = (
    "Cosine and relative L2 between T5's states over the prompt's real tokens, padding left aside; the cosine is the "
    "mean over tokens, the worst token has the lowest."
)


def advice(comparison: Comparison) -> str:
    """Which to use on the device that it was measured on."""
    device = comparison.device
    room = device.budget_bytes if device.budget_bytes is not None else device.total_bytes
    where = "" if room is None else f"On {device.name} with {show_bytes(room)}: "
    sentence = advise(comparison, room).sentence
    return f"{where}{sentence[:1].lower() + sentence[1:] if where else sentence}"


def floor_note(comparison: Comparison) -> str:
    """What the scale of differences is."""
    noise = floor(comparison)
    if not comparison.has_quality:
        return "The weights are random, so the pictures are noise and no quality is given."
    if noise.other_seed is None:
        return "There is no noise floor: differences have no scale."
    repeated = "is identical" if not noise.repeated else f"differs by {noise.repeated:.2f} levels"
    return (
        f"The scale of differences: the reference repeated {repeated}, with another seed it differs by "
        f"{noise.other_seed:.1f} levels of 255."
    )


def picture_note(*, is_reduced: bool) -> str:
    """Whether the pictures inside the file are the originals."""
    if not is_reduced:
        return "The pictures are the originals."
    return f"These are copies of at most {REDUCED_SIDE} pixels; the originals are in images/, beside this file."


def method(comparison: Comparison) -> Iterator[tuple[str, str]]:
    """What each figure is, as name and sentence."""
    yield "Memory", MEMORY_ON_GPU if comparison.device.type != "cpu" else MEMORY_ON_CPU
    yield "Time", "Each phase by itself; loading is reading and placing weights, computing is the rest."
    yield "Cache", _cache(comparison)
    if comparison.has_quality:
        yield "Difference", DIFFERENCE
    if any(result.quality is not None and result.quality.embedding is not None for result in comparison.results):
        yield "Embedding", EMBEDDING
    kept = [result.baseline.is_kept for result in comparison.results if result.baseline is not None]
    if kept:
        yield "Baseline", f"After {sum(kept)} of {len(kept)} runs the device held what it held before."


def _cache(comparison: Comparison) -> str:
    known = [result.was_warm for result in comparison.results if result.was_warm is not None]
    if not known:
        return "Not known whether the weights' files were in the page cache."
    if all(known):
        return "Warm: the weights' files were in the page cache before each run."
    if not any(known):
        return "Cold: the weights' files were read from the disk."
    return f"Warm for {sum(known)} of {len(known)} runs; the others read the weights' files from the disk."


def settings(comparison: Comparison) -> Iterator[tuple[str, str]]:
    """Everything that was asked for, and where it ran, as name and value."""
    sweep, device = comparison.sweep, comparison.device
    yield "Axes", "; ".join(f"{axis}" for axis in sweep.axes)
    if len(sweep.prompts) == 1:
        yield "Prompt", sweep.prompts[0]
    for name, value in sweep.request.model_dump(
        mode="json", exclude_none=True, exclude={"prompt", "num_images"}
    ).items():
        if value != "":
            yield name.replace("_", " ").capitalize(), str(value)
    yield "Strategy", sweep.strategy
    yield "Device", device.name
    facts = {"Memory": device.total_bytes, "Budget": device.budget_bytes, "CUDA context": device.context_bytes}
    yield from ((name, show_bytes(count)) for name, count in facts.items() if count is not None)
    if device.driver is not None:
        yield "Driver", device.driver
    if device.system is not None:
        yield "System", device.system
    yield "Versions", ", ".join(f"{name} {version}" for name, version in comparison.versions.items())


def hashes(comparison: Comparison) -> Iterator[tuple[str, str]]:
    """Of every component of every checkpoint."""
    for checkpoint, components in comparison.components.items():
        yield from ((f"{checkpoint}, {name}", digest) for name, digest in components.items())
