"""Figures: PNG files that show what they are told, in both schemes, whatever the names and numbers are."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from pixart_ui.compare import figures
from pixart_ui.compare.comparison import Band, Timeline
from pixart_ui.compare.figure_parts import Words
from pixart_ui.compare.figure_style import DARK, LIGHT, Scheme, writable
from pixart_ui.compare.figures import Bar
from pixart_ui.compare.guides import MANY, Shown, guides
from pixart_ui.compare.scales import memory_scale, round_steps
from pixart_ui.compare.timelines import Run

GIB = 2**30
WORDS = Words("nf4 holds 5.2 GiB less than fp16.", "NVIDIA Imaginary", "peak GPU memory, reserved by torch")
RED, GREEN, BLUE = (230, 40, 40), (40, 200, 60), (40, 60, 230)


def plain(colour: tuple[int, int, int], size: tuple[int, int] = (64, 64)) -> Image.Image:
    return Image.new("RGB", size, colour)


def shown(*memory_gib: float) -> list[Shown]:
    colours = (RED, GREEN, BLUE)
    return [Shown(f"run {index}", round(gib * GIB), plain(colours[index % 3])) for index, gib in enumerate(memory_gib)]


def line(seconds: float, gib: float, name: str = "run") -> Run:
    half = seconds / 2
    bands = (
        Band(name="encode", start_seconds=0, end_seconds=half),
        Band(name="denoise", start_seconds=half, end_seconds=seconds),
    )
    held = (0, round(gib * GIB), round(gib * GIB / 2))
    return Run(name, Timeline(kind="reserved", at_seconds=(0, half, seconds), held_bytes=held, bands=bands))


def opened(png: bytes) -> Image.Image:
    picture = Image.open(io.BytesIO(png))
    assert picture.format == "PNG"
    return picture.convert("RGB")


def columns_of(picture: Image.Image, colour: tuple[int, int, int]) -> np.ndarray:
    """Where a colour is, from left to right."""
    found = (np.abs(np.asarray(picture).astype(int) - colour) < 4).all(axis=-1)
    return np.flatnonzero(found.any(axis=0))


def test_pictures_stand_in_the_order_of_their_memory() -> None:
    picture = opened(guides(shown(5.8, 11.0, 7.5), WORDS))
    green, blue, red = (columns_of(picture, colour).mean() for colour in (GREEN, BLUE, RED))
    assert green < blue < red


def test_what_gave_no_picture_comes_last_and_is_not_left_out() -> None:
    alone = opened(guides(shown(5.8, 11.0), WORDS))
    failed = Shown("diffusers balanced", None, None, problem="cannot run here: needs 2 GPUs, this machine has 1")
    both = opened(guides([failed, *shown(5.8, 11.0)], WORDS))
    assert both.width > alone.width
    assert columns_of(both, RED).max() < 2 * both.width / 3


def test_many_runs_go_on_in_further_rows() -> None:
    few, many, uneven = (opened(guides(shown(*range(1, count + 1)), WORDS)) for count in (5, 10, 8))
    assert many.width == few.width
    assert many.height > 1.5 * few.height
    assert uneven.width < many.width, "two rows of four rather than of five and three"
    assert uneven.height == many.height


def test_very_many_runs_have_smaller_pictures_and_names_under_them() -> None:
    runs = shown(*range(MANY + 1, 1, -1))
    many, more = opened(guides(runs, WORDS)), opened(guides([*runs, *shown(1.0)], WORDS))
    assert more.height < many.height
    large, small = ((np.abs(np.asarray(picture).astype(int) - BLUE) < 4).all(axis=-1).sum() for picture in (many, more))
    assert small < large / 2, "as many pictures are blue in both"
    named = [Shown("a longer name than there is room for", one.memory_bytes, one.picture) for one in runs]
    assert opened(guides([*named, *shown(1.0)], WORDS)).height > more.height


def test_in_every_row_memory_is_told_beside_the_most() -> None:
    """The second row's pictures are far below the figure's first, and their shares say so."""
    halves = guides(shown(8, 8, 8, 4, 4, 4), WORDS)
    alone = guides(shown(8, 8, 8, 8, 8, 8), WORDS)
    quiet = bytes.fromhex(LIGHT.quiet[1:])
    colour = (quiet[0], quiet[1], quiet[2])
    found = [opened(figure).crop((0, 700, 600, opened(figure).height)) for figure in (halves, alone)]
    assert len(columns_of(found[0], colour)) > len(columns_of(found[1], colour))


def test_a_wide_picture_is_shown_whole() -> None:
    wide, square = Shown("wide", GIB, plain(RED, (304, 208))), Shown("square", GIB, plain(BLUE))
    picture = opened(guides([wide, square], WORDS))
    reds = (np.abs(np.asarray(picture).astype(int) - RED) < 4).all(axis=-1)
    assert reds.any(axis=0).sum() / reds.any(axis=1).sum() == pytest.approx(304 / 208, abs=0.06)


@pytest.mark.parametrize("scheme", [LIGHT, DARK])
@pytest.mark.parametrize(
    "draw",
    [
        lambda scheme: guides(shown(11.0, 5.8), WORDS, budget_bytes=8 * GIB, scheme=scheme),
        lambda scheme: figures.timeline([line(4, 11.0)], WORDS, budget_bytes=8 * GIB, scheme=scheme),
        lambda scheme: figures.timeline([line(4, 11.0), line(5, 6.0, "another")], WORDS, scheme=scheme),
        lambda scheme: figures.bars([Bar("fp16", 11 * GIB, 1.0, 3.0, 0.0)], WORDS, budget_bytes=GIB, scheme=scheme),
    ],
)
def test_every_figure_is_on_the_paper_of_its_scheme(scheme: Scheme, draw: Callable[[Scheme], bytes]) -> None:
    picture = opened(draw(scheme))
    paper = tuple(bytes.fromhex(scheme.paper[1:]))
    assert {picture.getpixel(corner) for corner in ((1, 1), (picture.width - 2, picture.height - 2))} == {paper}
    ink = bytes.fromhex(scheme.ink[1:])
    assert len(columns_of(picture, (ink[0], ink[1], ink[2]))) > 50


def test_a_run_twice_as_long_has_a_line_twice_as_wide() -> None:
    picture = opened(figures.timeline([line(8, 4.0, "long"), line(4, 8.0, "short")], WORDS))
    colours = [tuple(bytes.fromhex(colour[1:])) for colour in LIGHT.runs[:2]]
    top = picture.crop((190, 100, picture.width, 665))
    long, short = (columns_of(top, (colour[0], colour[1], colour[2])) for colour in colours)
    assert np.ptp(long) == pytest.approx(2 * np.ptp(short), rel=0.03)


def test_the_budget_is_drawn_where_there_is_one() -> None:
    warn = bytes.fromhex(LIGHT.warn[1:])
    colour = (warn[0], warn[1], warn[2])
    without, within = (
        opened(figures.timeline([line(4, 4.0)], WORDS, budget_bytes=budget)) for budget in (None, 6 * GIB)
    )
    assert len(columns_of(without, colour)) == 0
    assert len(columns_of(within, colour)) > within.width / 3


def test_a_bar_twice_as_much_is_twice_as_long() -> None:
    accent = bytes.fromhex(LIGHT.accent[1:])
    rows = [Bar("all", 8 * GIB, None, None, None), Bar("half", 4 * GIB, None, None, None)]
    pixels = np.asarray(opened(figures.bars(rows, WORDS))).astype(int)
    lengths = (np.abs(pixels - list(accent)) < 4).all(axis=-1).sum(axis=1)
    bars = sorted({int(length) for length in lengths if length > 20})
    assert bars[-1] == pytest.approx(2 * bars[0], abs=4)


def test_names_of_any_script_and_mathematics_fail_nothing() -> None:
    assert writable("nf4 · 東京 $x^2$ ∞") == r"nf4 · ?? \$x^2\$ ?"
    words = Words("東京 $\\frac{1}{0}$ " * 30, "$", "memory")
    opened(guides([Shown("$\\undefined", GIB, plain(RED)), Shown("東京", None, None, problem="$$")], words))


@pytest.mark.parametrize("run", [Timeline(kind="rss", at_seconds=(), held_bytes=()), line(0, 0).timeline])
def test_a_run_without_samples_or_length_is_drawn(run: Timeline) -> None:
    opened(figures.timeline([Run("nothing", run)], WORDS))


def test_the_same_figure_is_the_same_file() -> None:
    assert guides(shown(11.0, 5.8), WORDS) == guides(shown(11.0, 5.8), WORDS)


@pytest.mark.parametrize("highest", [0.004, 0.3, 1, 7.4, 14.5, 80, 999, 1500])
def test_scales_have_few_round_steps_and_hold_the_highest(highest: float) -> None:
    steps = round_steps(highest)
    assert steps[0] == 0
    assert steps[-2] < highest <= steps[-1]
    assert 3 <= len(steps) <= 6
    ticks, names = memory_scale(highest * GIB)
    assert len(ticks) == len(names)
    assert names[-1].endswith(("GiB", "MiB"))
