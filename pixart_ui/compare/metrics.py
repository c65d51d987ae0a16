"""How far a picture is from its reference: pixels, latents, embeddings, and a map of where they differ.

Everything works on NumPy arrays and PIL pictures; no torch. Pictures are compared as 8-bit RGB, as people see them.
SSIM is scikit-image's with the settings of Wang et al. (Gaussian window, sigma 1.5), which its documentation gives.
Two inputs of different shape are no bad match but a wrong question: they raise one sentence.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from pixart_ui.compare.comparison import EmbeddingError, Quality
from pixart_ui.errors import InputError

Floats = npt.NDArray[np.floating[Any]]
Levels = npt.NDArray[np.float64]

TOP_LEVEL = 255
# Wang et al.; the window is 11 pixels wide.
SSIM = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
SSIM_WINDOW = 11
# What a heat map can show at its brightest, in levels of 255; all maps of a comparison have the same.
HEAT_SCALES = (8, 16, 32, 64, 128, 255)
# So many of the pixels are within the scale.
HEAT_SHARE = 0.99
HEAT_COLOURS = "inferno"


@dataclass(frozen=True)
class EncodedText:
    """A prompt's embedding: `states` is `[tokens, width]`, `tokens` the text of each real one, in their order.

    `mask` is `[tokens]`, 1 for a real token; None where there is no padding.
    """

    states: Floats
    tokens: tuple[str, ...]
    mask: npt.NDArray[Any] | None = None

    @property
    def real(self) -> Levels:
        """The states of real tokens, `[real tokens, width]`."""
        states = self.states if self.mask is None else self.states[np.asarray(self.mask).astype(bool)]
        return np.asarray(states, dtype=np.float64)


def quality(
    reference: Image.Image,
    picture: Image.Image,
    *,
    latents: tuple[Floats, Floats] | None = None,
    texts: tuple[EncodedText, EncodedText] | None = None,
) -> Quality:
    """All figures of a picture; the reference comes first in each pair. Raises InputError where sizes differ."""
    rms = rms_levels(reference, picture)
    return Quality(
        rms_levels=rms,
        psnr_db=psnr_db(rms),
        ssim=ssim(reference, picture),
        latent_relative_l2=relative_l2(*latents) if latents is not None else None,
        embedding=embedding_error(*texts) if texts is not None else None,
    )


def rms_levels(reference: Image.Image, picture: Image.Image) -> float:
    """The root of the mean squared difference over pixels and channels, 0 to 255."""
    first, second = _pair(reference, picture)
    return float(np.sqrt(np.mean((first - second) ** 2)))


def psnr_db(rms: float) -> float:
    """Peak signal to noise for 8-bit pictures that differ by so many levels; infinite for 0."""
    return math.inf if rms == 0 else 20 * math.log10(TOP_LEVEL / rms)


def ssim(reference: Image.Image, picture: Image.Image) -> float:
    """Structural similarity, 1 for identical pictures; the mean of the three channels."""
    from skimage.metrics import structural_similarity

    first, second = _pair(reference, picture)
    if min(first.shape[:2]) < SSIM_WINDOW:
        raise InputError(
            f"A picture of {picture.width}×{picture.height} is too small to compare, it must have {SSIM_WINDOW} "
            "pixels a side: choose a larger size."
        )
    return float(structural_similarity(first, second, channel_axis=-1, data_range=TOP_LEVEL, **SSIM))


def relative_l2(reference: Floats, other: Floats) -> float:
    """The length of the difference over that of the reference; infinite where a number is none or the reference is 0.

    Raises InputError where shapes differ.
    """
    if reference.shape != other.shape:
        raise InputError(
            f"Latents of {_shape(other)} cannot be compared with latents of {_shape(reference)}: compare runs "
            "of one size."
        )
    first, second = np.asarray(reference, dtype=np.float64), np.asarray(other, dtype=np.float64)
    distance, length = float(np.linalg.norm(first - second)), float(np.linalg.norm(first))
    if distance == 0:
        return 0.0
    share = distance / length if length > 0 else math.inf
    return share if math.isfinite(share) else math.inf


def embedding_error(reference: EncodedText, other: EncodedText) -> EmbeddingError:
    """How far an embedding is off, padding left aside. Raises InputError for texts of different tokens."""
    first, second = reference.real, other.real
    if first.shape != second.shape or reference.tokens != other.tokens or len(first) != len(reference.tokens):
        raise InputError(
            f"Embeddings of {_shape(second)} and {_shape(first)} are not of the same tokens: compare runs of one "
            "prompt with one text encoder."
        )
    cosines = _cosines(first, second)
    worst = int(np.argmin(cosines))
    return EmbeddingError(
        cosine=float(np.mean(cosines)),
        relative_l2=relative_l2(first, second),
        worst_token=reference.tokens[worst],
        worst_cosine=float(cosines[worst]),
        num_tokens=len(first),
    )


def difference(reference: Image.Image, picture: Image.Image) -> Levels:
    """The mean absolute difference of the three channels, `[height, width]`, in levels of 255."""
    first, second = _pair(reference, picture)
    return np.asarray(np.abs(first - second).mean(axis=-1))


def heat_scale(differences: Iterable[Levels]) -> int:
    """The brightest level that maps of these share: the smallest step that nearly all pixels of all stay below.

    What is past it is as bright as the map gets, so that small differences beside large ones can be seen.
    """
    counts = np.zeros(TOP_LEVEL + 1, dtype=np.int64)
    for levels in differences:
        counts += np.bincount(np.ceil(levels).astype(int).ravel(), minlength=TOP_LEVEL + 1)
    highest = int(np.searchsorted(np.cumsum(counts), HEAT_SHARE * counts.sum()))
    return next(step for step in HEAT_SCALES if highest <= step)


def heat_map(levels: Levels, scale: int) -> Image.Image:
    """A difference as a picture of its size: black for none, over violet and orange to pale yellow for `scale`."""
    share = np.clip(levels / scale, 0.0, 1.0)
    return Image.fromarray(_colours()[np.rint(share * TOP_LEVEL).astype(np.uint8)])


def heat_stops(count: int = 9) -> tuple[str, ...]:
    """Colours of the map from none to the most, as `#rrggbb`, for a legend."""
    colours = _colours()[np.linspace(0, TOP_LEVEL, count).round().astype(int)]
    return tuple("#" + bytes(colour).hex() for colour in colours)


def pixels_sha256(picture: Image.Image) -> str:
    """The same for every file that holds these pixels, whatever else it holds."""
    rgb = picture.convert("RGB")
    return hashlib.sha256(f"{rgb.width}x{rgb.height}".encode() + rgb.tobytes()).hexdigest()


def _colours() -> npt.NDArray[np.uint8]:
    """The 256 colours of the map: even steps to the eye, also in grey and for colour-blind people."""
    from matplotlib import colormaps

    colours: npt.NDArray[np.uint8] = colormaps[HEAT_COLOURS](np.arange(TOP_LEVEL + 1), bytes=True)[:, :3]
    return colours


def _pair(reference: Image.Image, picture: Image.Image) -> tuple[Levels, Levels]:
    if reference.size != picture.size:
        raise InputError(
            f"A picture of {picture.width}×{picture.height} cannot be compared with one of {reference.width}×"
            f"{reference.height}, their sizes must be the same: compare runs of one size."
        )
    return tuple(np.asarray(one.convert("RGB"), dtype=np.float64) for one in (reference, picture))  # type: ignore[return-value]


def _cosines(first: Levels, second: Levels) -> Levels:
    """Of each row; equal rows are alike, a row without length or with a number that is none is at a right angle."""
    lengths = np.linalg.norm(first, axis=-1) * np.linalg.norm(second, axis=-1)
    dots = np.sum(first * second, axis=-1)
    alike = np.all(first == second, axis=-1)
    cosines = np.divide(dots, lengths, out=np.zeros_like(dots), where=lengths > 0)
    return np.where(alike, 1.0, np.clip(np.nan_to_num(cosines), -1.0, 1.0))


def _shape(array: npt.NDArray[Any] | Sequence[int]) -> str:
    return "×".join(str(side) for side in np.shape(array))
