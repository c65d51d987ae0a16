"""Metrics against values known in advance, against scikit-image's own, and on pictures made by hand."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter
from skimage import metrics as theirs

from pixart_ui.compare import metrics
from pixart_ui.compare.comparison import Quality
from pixart_ui.compare.metrics import EncodedText
from pixart_ui.errors import InputError


def scene() -> Image.Image:
    """Drawn by hand: a sky that grows darker, a sun, a house, and a little noise that is always the same."""
    sky = np.linspace(230, 120, 96)[:, None, None] * np.ones((96, 128, 3))
    noise = np.random.default_rng(0).integers(-6, 7, sky.shape)
    picture = Image.fromarray(np.clip(sky + noise, 0, 255).astype(np.uint8))
    draw = ImageDraw.Draw(picture)
    draw.ellipse((80, 12, 108, 40), fill=(250, 200, 40))
    draw.rectangle((20, 50, 60, 90), fill=(170, 60, 50))
    draw.polygon(((14, 50), (40, 28), (66, 50)), fill=(70, 50, 60))
    return picture


def flat(level: int, size: tuple[int, int] = (32, 24)) -> Image.Image:
    return Image.new("RGB", size, (level, level, level))


def array(picture: Image.Image) -> np.ndarray:
    return np.asarray(picture)


def test_a_picture_is_identical_to_itself_by_every_figure() -> None:
    found = metrics.quality(scene(), scene().copy())
    assert (found.rms_levels, found.psnr_db, found.ssim) == (0.0, math.inf, 1.0)
    assert found.is_identical


@pytest.mark.parametrize(("shift", "psnr_db"), [(1, 48.1308036), (5, 34.1514037), (16, 24.0484041), (255, 0.0)])
def test_a_known_shift_of_every_pixel_has_a_known_psnr(shift: int, psnr_db: float) -> None:
    rms = metrics.rms_levels(flat(0), flat(shift))
    assert rms == shift
    assert metrics.psnr_db(rms) == pytest.approx(psnr_db, abs=1e-6)


def test_one_channel_that_is_off_counts_a_third() -> None:
    other = Image.new("RGB", (32, 24), (30, 0, 0))
    assert metrics.rms_levels(flat(0), other) == pytest.approx(30 / math.sqrt(3))
    assert metrics.difference(flat(0), other).max() == pytest.approx(10)


def test_one_pixel_that_is_off_has_the_psnr_of_its_share() -> None:
    other = flat(100)
    other.putpixel((3, 4), (110, 110, 110))
    assert metrics.rms_levels(flat(100), other) == pytest.approx(10 / math.sqrt(32 * 24))


def test_ssim_of_two_flat_pictures_is_what_its_formula_says() -> None:
    first, second = 100.0, 150.0
    constant = (0.01 * 255) ** 2
    expected = (2 * first * second + constant) / (first**2 + second**2 + constant)
    assert metrics.ssim(flat(100), flat(150)) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("change", ["blur", "noise", "shift", "darker"])
def test_psnr_and_ssim_are_those_of_scikit_image(change: str) -> None:
    reference, other = scene(), changed(change)
    mine = metrics.quality(reference, other)
    psnr = theirs.peak_signal_noise_ratio(array(reference), array(other), data_range=255)
    settings = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    ssim = theirs.structural_similarity(array(reference), array(other), channel_axis=-1, data_range=255, **settings)
    assert mine.psnr_db == pytest.approx(psnr, rel=1e-12)
    assert mine.ssim == pytest.approx(ssim, abs=1e-6)
    assert 0 < mine.ssim < 1


def changed(change: str) -> Image.Image:
    picture = scene()
    if change == "blur":
        return picture.filter(ImageFilter.GaussianBlur(2))
    if change == "shift":
        return Image.fromarray(np.roll(array(picture), 3, axis=1))
    if change == "darker":
        return picture.point(lambda level: level * 0.8)
    noise = np.random.default_rng(1).normal(0, 20, array(picture).shape)
    return Image.fromarray(np.clip(array(picture) + noise, 0, 255).astype(np.uint8))


def test_the_more_a_picture_is_blurred_the_further_it_is() -> None:
    found = [metrics.quality(scene(), scene().filter(ImageFilter.GaussianBlur(radius))) for radius in (1, 2, 4)]
    assert [one.psnr_db for one in found] == sorted((one.psnr_db for one in found), reverse=True)
    assert [one.ssim for one in found] == sorted((one.ssim for one in found), reverse=True)


def test_pictures_of_other_modes_are_compared_as_people_see_them() -> None:
    assert metrics.quality(scene(), scene().convert("RGBA")).is_identical


@pytest.mark.parametrize("function", [metrics.rms_levels, metrics.ssim, metrics.difference, metrics.quality])
def test_pictures_of_different_size_get_one_sentence(function: object) -> None:
    with pytest.raises(InputError) as error:
        function(flat(0, (32, 24)), flat(0, (24, 32)))  # type: ignore[operator]
    assert error.value.message == (
        "A picture of 24×32 cannot be compared with one of 32×24, their sizes must be the same: compare runs of one "
        "size."
    )


def test_a_picture_smaller_than_the_window_of_ssim_gets_one_sentence() -> None:
    with pytest.raises(InputError, match="10×40 is too small to compare"):
        metrics.ssim(flat(0, (10, 40)), flat(0, (10, 40)))


# Latents


def test_latents_that_are_doubled_are_as_far_away_as_the_reference_is_long() -> None:
    latents = np.random.default_rng(0).normal(size=(1, 4, 8, 8)).astype(np.float16)
    assert metrics.relative_l2(latents, latents) == 0.0
    assert metrics.relative_l2(latents, 2 * latents) == pytest.approx(1.0)
    assert metrics.relative_l2(latents, np.zeros_like(latents)) == pytest.approx(1.0)
    assert metrics.relative_l2(np.array([3.0, 4.0]), np.array([3.0, 4.5])) == pytest.approx(0.1)


def test_latents_beside_nothing_or_with_no_number_are_infinitely_far() -> None:
    zeros, ones = np.zeros(4), np.ones(4)
    assert metrics.relative_l2(zeros, ones) == math.inf
    assert metrics.relative_l2(zeros, zeros) == 0.0
    assert metrics.relative_l2(ones, np.array([1, 1, math.nan, 1])) == math.inf


def test_latents_of_different_shape_get_one_sentence() -> None:
    with pytest.raises(InputError, match="1×4×16×8 cannot be compared with latents of 1×4×8×16"):
        metrics.relative_l2(np.zeros((1, 4, 8, 16)), np.zeros((1, 4, 16, 8)))


# Embeddings


def text(states: list[list[float]], tokens: str, mask: list[int] | None = None) -> EncodedText:
    return EncodedText(np.array(states), tuple(tokens.split()), None if mask is None else np.array(mask))


def test_an_embedding_turned_by_a_right_angle_in_one_token_says_which() -> None:
    reference = text([[1, 0], [0, 2], [3, 0]], "a red fox")
    other = text([[1, 0], [2, 0], [3, 0]], "a red fox")
    found = metrics.embedding_error(reference, other)
    assert (found.worst_token, found.worst_cosine, found.num_tokens) == ("red", 0.0, 3)
    assert found.cosine == pytest.approx(2 / 3)
    assert found.relative_l2 == pytest.approx(math.sqrt(8 / 14))


def test_padding_has_no_say_in_an_embedding() -> None:
    padded = text([[1, 0], [0, 2], [99, 99]], "a fox", mask=[1, 1, 0])
    trimmed = text([[1, 0], [0, 2]], "a fox")
    found = metrics.embedding_error(trimmed, padded)
    assert (found.cosine, found.relative_l2, found.num_tokens) == (1.0, 0.0, 2)
    assert metrics.embedding_error(padded, trimmed) == found


def test_a_longer_embedding_of_the_same_direction_is_far_but_not_turned() -> None:
    found = metrics.embedding_error(text([[3, 4]], "fox"), text([[6, 8]], "fox"))
    assert (found.cosine, found.relative_l2) == (pytest.approx(1.0), pytest.approx(1.0))


def test_an_embedding_without_length_or_numbers_is_at_a_right_angle() -> None:
    found = metrics.embedding_error(text([[1, 0], [1, 0]], "a b"), text([[0, 0], [math.nan, 0]], "a b"))
    assert (found.cosine, found.relative_l2) == (0.0, math.inf)
    assert metrics.embedding_error(text([[0, 0]], "a"), text([[0, 0]], "a")).cosine == 1.0


@pytest.mark.parametrize(
    "other",
    [text([[1, 0]], "a"), text([[1, 0], [0, 1]], "a b"), text([[1, 0, 0], [0, 1, 0]], "a fox")],
)
def test_embeddings_of_other_tokens_get_one_sentence(other: EncodedText) -> None:
    with pytest.raises(InputError, match="are not of the same tokens"):
        metrics.embedding_error(text([[1, 0], [0, 1]], "a fox"), other)


# The heat map


def test_a_heat_map_is_black_where_nothing_differs_and_brightest_from_its_scale_on() -> None:
    other = flat(50)
    other.paste((66, 66, 66), (0, 0, 16, 24))
    other.paste((250, 250, 250), (0, 0, 4, 4))
    levels = metrics.difference(flat(50), other)
    drawn = metrics.heat_map(levels, 16)
    assert drawn.size == other.size
    stops = [tuple(bytes.fromhex(stop[1:])) for stop in metrics.heat_stops()]
    assert drawn.getpixel((31, 23)) == stops[0]
    assert drawn.getpixel((10, 10)) == drawn.getpixel((1, 1)) == stops[-1]
    assert sum(stops[0]) < 10


def test_a_heat_map_grows_brighter_with_every_level() -> None:
    ramp = np.arange(0, 65, dtype=float)[None, :].repeat(4, axis=0)
    drawn = np.asarray(metrics.heat_map(ramp, 64).convert("L")).astype(int)
    assert (np.diff(drawn[0]) >= 0).all()
    assert drawn[0, -1] - drawn[0, 0] > 200


@pytest.mark.parametrize(("level", "scale"), [(0, 8), (8, 8), (9, 16), (60, 64), (200, 255)])
def test_maps_share_the_smallest_scale_that_holds_them(level: int, scale: int) -> None:
    assert metrics.heat_scale([np.zeros((8, 8)), np.full((8, 8), float(level))]) == scale


def test_a_few_pixels_do_not_set_the_scale() -> None:
    levels = np.zeros((100, 100))
    levels[0, :20] = 255
    assert metrics.heat_scale([levels]) == 8


def test_pixels_are_told_apart_by_their_hash_and_files_are_not() -> None:
    other = scene()
    other.info["made"] = "yesterday"
    assert metrics.pixels_sha256(scene()) == metrics.pixels_sha256(other)
    other.putpixel((0, 0), (1, 2, 3))
    assert metrics.pixels_sha256(scene()) != metrics.pixels_sha256(other)
    assert metrics.pixels_sha256(flat(0, (8, 4))) != metrics.pixels_sha256(flat(0, (4, 8)))


def test_infinity_is_a_string_in_json_and_comes_back() -> None:
    found = metrics.quality(scene(), scene(), latents=(np.zeros(4), np.ones(4)))
    document = json.loads(found.model_dump_json())
    assert (document["psnr_db"], document["latent_relative_l2"]) == ("Infinity", "Infinity")
    assert Quality.model_validate(document) == found
