"""What a run leaves in its comparison: the picture, latents and embedding, the result, and how far it is from the rest.

A run is measured against its reference as soon as both are there, whichever came first; heat maps of a comparison
share one scale and are drawn anew when it changes. What must stay true: files are there before the report names them,
and a picture's name in the report never shows another picture's map. No torch.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt
from PIL import Image

from pixart_ui.compare import metrics
from pixart_ui.compare.comparison import IMAGES, Comparison, Device, Quality, Result
from pixart_ui.compare.folder import updating
from pixart_ui.compare.kept import Kept
from pixart_ui.compare.sweep import Role
from pixart_ui.errors import InputError

ARRAYS = "arrays"
NO_REFERENCE = "Its reference has no picture, so its quality cannot be measured."


@dataclass(frozen=True)
class Arrays:
    """What of a run is measured beside its picture; None where a strategy does not give it."""

    latents: npt.NDArray[Any] | None = None
    text: metrics.EncodedText | None = None


@dataclass(frozen=True)
class Surroundings:
    """Where a run was made, and with what; nothing where it did not come so far."""

    device: Device | None = None
    versions: Mapping[str, str] = field(default_factory=dict)
    components: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


def record(kept: Kept, comparison_id: str, result: Result, surroundings: Surroundings | None = None) -> Comparison:
    """Add a result, whose files are there, and measure what can be measured with it. Raises InputError, OSError."""
    folder = kept.path(comparison_id)
    with updating(kept, comparison_id) as update:
        comparison = update(result, **_around(kept.open(comparison_id), surroundings))
        measured = tuple(_measured(comparison, one, folder) for one in _waiting(comparison))
        if measured:
            comparison = update(*measured)
        drawn, scale = _heat(comparison, folder)
        if drawn:
            comparison = update(*drawn, heat_scale_levels=scale)
            _sweep_maps(comparison, folder)
    return comparison


def save_arrays(folder: Path, key: str, arrays: Arrays) -> None:
    """Keep latents and embedding for the metrics, also of runs that come later. Raises OSError."""
    found: dict[str, npt.NDArray[Any]] = {}
    if arrays.latents is not None:
        found["latents"] = arrays.latents
    if (text := arrays.text) is not None:
        mask = text.mask if text.mask is not None else np.ones(len(text.states))
        found |= {"states": text.states, "mask": mask, "tokens": np.array(text.tokens, dtype=np.str_)}
    path = _arrays_path(folder, key)
    path.parent.mkdir(exist_ok=True)
    aside = path.with_suffix(".part")
    with aside.open("wb") as file:
        np.savez(file, **found)  # type: ignore[arg-type]  # numpy takes the names for its own options
    aside.replace(path)


def load_arrays(folder: Path, key: str) -> Arrays:
    """What is kept of a run; nothing where that is damaged or gone."""
    try:
        with np.load(_arrays_path(folder, key), allow_pickle=False) as file:
            found = {name: file[name] for name in file.files}
    except (OSError, ValueError, KeyError, BadZipFile):
        return Arrays()
    text = None
    if "states" in found:
        text = metrics.EncodedText(found["states"], tuple(str(word) for word in found["tokens"]), found["mask"])
    return Arrays(found.get("latents"), text)


def _around(comparison: Comparison, surroundings: Surroundings | None) -> dict[str, Any]:
    """Said by the first run that knows; every checkpoint adds its own hashes."""
    if surroundings is None or surroundings.device is None:
        return {}
    components = {**comparison.components, **surroundings.components}
    if comparison.versions:
        return {"components": components}
    return {"device": surroundings.device, "versions": surroundings.versions, "components": components}


def _waiting(comparison: Comparison) -> Iterable[Result]:
    """Finished runs that were not measured yet and whose reference has ended."""
    known = comparison.by_key
    for result in comparison.results:
        is_measured = result.quality is not None or result.reason not in (None, NO_REFERENCE)
        if result.is_done and not result.is_reference and not is_measured and result.reference in known:
            yield result


def _measured(comparison: Comparison, result: Result, folder: Path) -> Result:
    reference = comparison.by_key[result.reference]
    if result.has_random_weights or reference.has_random_weights:
        return result
    if not reference.is_done:
        return result.model_copy(update={"reason": NO_REFERENCE})
    try:
        return result.model_copy(update={"quality": _quality(reference, result, folder), "reason": None})
    except (InputError, OSError) as error:
        return result.model_copy(update={"reason": str(error)})


def _quality(reference: Result, result: Result, folder: Path) -> Quality:
    """Raises InputError where the pictures are of different sizes, OSError where one is gone."""
    first, second = load_arrays(folder, reference.key), load_arrays(folder, result.key)
    latents = texts = None
    if first.latents is not None and second.latents is not None and first.latents.shape == second.latents.shape:
        latents = (first.latents, second.latents)
    if first.text is not None and second.text is not None and first.text.tokens == second.text.tokens:
        texts = (first.text, second.text)
    return metrics.quality(_open(folder, reference), _open(folder, result), latents=latents, texts=texts)


def _heat(comparison: Comparison, folder: Path) -> tuple[tuple[Result, ...], int | None]:
    """Maps that are to be drawn: the new one on the scale that holds, or all once that is too small, and at the end."""
    shown = [result for result in comparison.results if result.quality is not None]
    new = [result for result in shown if result.heat_map is None]
    scale = comparison.heat_scale_levels
    if not new:
        return (), scale
    own = _scale(comparison, new, folder)
    if scale is None or own > scale:
        scale = own
    if not comparison.missing:
        scale = _scale(comparison, shown, folder)
    todo = new if scale == comparison.heat_scale_levels else shown
    return tuple(_draw_map(comparison, result, scale, folder) for result in todo), scale


def _scale(comparison: Comparison, results: Iterable[Result], folder: Path) -> int:
    """Another seed is another picture: its difference would leave every other map black."""
    found = [_difference(comparison, result, folder) for result in results if result.role is not Role.OTHER_SEED]
    return metrics.heat_scale(found) if found else metrics.HEAT_SCALES[0]


def _draw_map(comparison: Comparison, result: Result, scale: int, folder: Path) -> Result:
    name = f"{IMAGES}/{result.key}-heat{scale}.png"
    aside = folder / f"{name}.part"
    metrics.heat_map(_difference(comparison, result, folder), scale).save(aside, "PNG")
    aside.replace(folder / name)
    return result.model_copy(update={"heat_map": name})


def _sweep_maps(comparison: Comparison, folder: Path) -> None:
    """Remove maps of an earlier scale."""
    named = {result.heat_map for result in comparison.results}
    for path in (folder / IMAGES).glob("*-heat*.png"):
        if f"{IMAGES}/{path.name}" not in named:
            path.unlink(missing_ok=True)


def _difference(comparison: Comparison, result: Result, folder: Path) -> metrics.Levels:
    return metrics.difference(_open(folder, comparison.by_key[result.reference]), _open(folder, result))


def _open(folder: Path, result: Result) -> Image.Image:
    with Image.open(folder / str(result.image)) as picture:
        return picture.convert("RGB")


def _arrays_path(folder: Path, key: str) -> Path:
    return folder / ARRAYS / f"{key}.npz"
