"""What is said of a comparison: the sentence, each column's own, and which one to use."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from pixart_ui.compare.advice import advise
from pixart_ui.compare.axes import AxisName
from pixart_ui.compare.comparison import Comparison, PhaseFigures, Result, State
from pixart_ui.compare.summary import columns, floor
from pixart_ui.compare.sweep import Cell, Role
from pixart_ui.compare.verdict import headline, sentences, share_in_short, share_in_words
from tests.compare.parts import GIB, apart, comparison, done, ended, precision, precisions, sweep


@pytest.fixture
def made() -> Comparison:
    return comparison(sweep(), precisions)


def test_the_sentence_says_what_the_smallest_saves_and_costs(made: Comparison) -> None:
    assert headline(made) == (
        "nf4 holds 5.2 GiB less than fp16; its picture differs from fp16 about a fifth as much as another seed does."
    )


def test_every_column_has_its_sentence(made: Comparison) -> None:
    eight_bit, nf4, fp4 = sentences(made)
    assert eight_bit == (
        "8-bit holds 3.5 GiB less than fp16; its picture differs from fp16 about a fiftieth as much as another seed "
        "does."
    )
    assert nf4 == headline(made)
    assert (
        fp4
        == "fp4 holds 5.1 GiB less than fp16; its picture differs from fp16 about half as much as another seed does."
    )


@pytest.mark.parametrize(
    ("share", "words"),
    [
        (0.001, "less than a hundredth as much"),
        (0.0098, "about a hundredth as much"),
        (0.21, "about a fifth as much"),
        (0.26, "about a quarter as much"),
        (0.5, "about half as much"),
        (0.68, "about two thirds as much"),
        (0.97, "about as much"),
        (1.15, "about as much"),
        (1.4, "about 1.4 times as much"),
    ],
)
def test_shares_are_told_as_people_tell_them(share: float, words: str) -> None:
    assert share_in_words(share) == f"{words} as another seed does"


def test_shares_are_short_beside_a_picture() -> None:
    assert [share_in_short(share) for share in (None, 0.0, 0.004, 0.21)] == [
        "", "identical to the reference", "differs under 0.01 × another seed", "differs 0.21 × another seed",
    ]  # fmt: skip


def test_pictures_that_are_identical_are_said_to_be() -> None:
    made = comparison(
        sweep("strategy=resident,staged,streamed"),
        lambda cell: done(cell, {"resident": 14.5, "staged": 10.9, "streamed": 1.1}[cell.strategy], 0.0),
    )
    assert headline(made) == "streamed holds 13.4 GiB less than resident; its picture is identical to resident's."


def test_memory_that_hardly_differs_is_said_to_be_the_same() -> None:
    made = comparison(sweep("precision=fp16,bf16"), lambda cell: done(cell, 10.0, 3.0))
    assert headline(made).startswith("bf16 holds as much memory as fp16; its picture differs from fp16")


def test_more_memory_is_said_too() -> None:
    made = comparison(
        sweep("numerics=fast,exact"),
        lambda cell: done(cell, 10.0 if cell.values[AxisName.NUMERICS] == "fast" else 11.5, 0.0),
    )
    assert headline(made).startswith("exact numerics holds 1.5 GiB more than fast numerics")


def test_of_memory_nothing_is_said_where_only_the_seed_differs() -> None:
    made = comparison(sweep("seed=1,2"), lambda cell: apart(cell, 10.0, 50.0))
    assert headline(made) == "seed 2's picture differs from seed 1 about as much as another seed does."


def test_a_difference_no_larger_than_the_reference_repeated_is_told_by_that() -> None:
    def outcome(cell: Cell) -> Result:
        return done(cell, 5.0, {Role.REPEATED: 2.0, Role.OTHER_SEED: 50.0, Role.CELL: 1.5}[cell.role])

    assert headline(comparison(sweep("precision=fp16,nf4"), outcome)).endswith(
        "its picture differs from fp16 no more than fp16 repeated does."
    )


def test_without_a_noise_floor_the_difference_is_in_levels() -> None:
    made = comparison(replace(sweep("precision=fp16,nf4"), has_noise_floor=False), lambda cell: done(cell, 5.0, 12.34))
    assert headline(made).endswith("its picture differs from fp16 by 12.3 levels of 255.")


def test_over_several_prompts_the_mean_and_the_worst_are_said() -> None:
    levels = {0: 2.0, 1: 2.0, 2: 25.0}

    def outcome(cell: Cell) -> Result:
        gib = 11.0 if precision(cell) == "fp16" else 5.8
        return apart(cell, gib, levels[cell.prompt_index])

    made = comparison(sweep("precision=fp16,nf4", prompts=["one", "two", "the third of them"]), outcome)
    assert headline(made) == (
        "nf4 holds 5.2 GiB less than fp16; its pictures differ from fp16 about a third as much as another seed does "
        "on average, and at worst about half as much (“the third of them”)."
    )


def test_on_a_processor_the_weights_are_said_to_be_what_is_less() -> None:
    def outcome(cell: Cell) -> Result:
        encoder = 11 if precision(cell) == "fp16" else 4
        bytes_ = {"text_encoder": encoder * 2**20, "transformer": 35 * 2**20}
        phases = (PhaseFigures(name="denoise", seconds=2.0, peak_rss_bytes=7 * GIB),)
        return done(cell, 0.0, 10.0).model_copy(update={"phases": phases, "component_bytes": bytes_})

    made = comparison(sweep("precision=fp16,nf4"), outcome)
    assert headline(made).startswith("nf4's weights take 7 MiB less than fp16's; its picture differs")


def test_with_random_weights_nothing_is_said_of_quality() -> None:
    made = comparison(sweep(), lambda cell: precisions(cell).model_copy(update={"has_random_weights": True}))
    assert headline(made) == "nf4 holds 5.2 GiB less than fp16."
    assert all(not column.figures for column in columns(made))
    assert advise(made, None).sentence.endswith("The weights are random, so nothing is said about quality.")


def test_a_reference_that_failed_is_said_first() -> None:
    def outcome(cell: Cell) -> Result:
        is_reference = precision(cell) == "fp16"
        return ended(cell, State.FAILED, "The disk is full.") if is_reference else done(cell, 5.0)

    made = comparison(sweep(), outcome)
    assert headline(made) == (
        "The reference has no picture to measure the others against: fp16 failed: The disk is full."
    )
    assert advise(made, None).sentence.startswith("Use 8-bit: of the 3 that fit")


def test_what_cannot_run_and_what_needs_more_memory_says_why() -> None:
    def outcome(cell: Cell) -> Result:
        if cell.strategy == "diffusers:balanced":
            return ended(cell, State.UNAVAILABLE, "RuntimeError: needs 2 GPUs, this machine has 1")
        if cell.strategy == "diffusers:resident":
            return ended(cell, State.OUT_OF_MEMORY, "needs more than 6.0 GiB")
        return done(cell, 1.5, 0.0)

    made = comparison(sweep("strategy=staged,diffusers:balanced,diffusers:resident"), outcome)
    assert sentences(made) == (
        "diffusers balanced cannot run here: RuntimeError: needs 2 GPUs, this machine has 1.",
        "diffusers resident ran out of memory: needs more than 6.0 GiB.",
    )
    assert headline(made).startswith("Only staged has a picture, there is nothing to compare it with: diffusers")
    assert advise(made, None).sentence == "Use staged: it is the only one that fits, with 1.5 GiB and 4.0 s a picture."


def test_runs_that_are_still_to_come_are_said_to_be() -> None:
    made = comparison(sweep(), lambda cell: precisions(cell) if precision(cell) in ("fp16", "nf4") else None)
    assert [cell.label for cell in made.missing] == ["8-bit", "fp4"]
    assert "8-bit is still to be run." in sentences(made)
    assert headline(made).startswith("nf4 holds 5.2 GiB less")


def test_before_anything_ran_the_sentences_say_so() -> None:
    made = comparison(sweep(), lambda _: None)
    assert headline(made) == "The reference is still to be run, so nothing can be measured against it yet."
    assert advise(made, GIB).sentence == "No run has been measured yet, so there is nothing to recommend."
    only = comparison(sweep(), lambda cell: precisions(cell) if cell.is_reference else None)
    assert headline(only) == "Only fp16 has been run so far, there is nothing to compare it with."


def test_a_column_with_one_failure_keeps_its_other_rows() -> None:
    def outcome(cell: Cell) -> Result:
        is_second = cell.prompt_index == 1 and precision(cell) == "nf4"
        return ended(cell, State.OUT_OF_MEMORY, "needs more than 2.0 GiB") if is_second else precisions(cell)

    made = comparison(sweep("precision=fp16,nf4", prompts=["one", "two"]), outcome)
    assert headline(made).endswith(" 1 of its 2 runs gave no picture (ran out of memory: needs more than 2.0 GiB).")


# Summaries


def test_spreads_have_their_mean_their_ends_and_their_worst_row() -> None:
    levels = [1.0, 2.0, 6.0]

    def outcome(cell: Cell) -> Result:
        return apart(cell, 5.0, levels[cell.prompt_index])

    made = comparison(sweep("precision=fp16,nf4", prompts=["one", "two", "three"]), outcome)
    nf4 = columns(made)[1]
    spread = nf4.figures["rms_levels"]
    assert (spread.mean, spread.low, spread.high, spread.count) == (3.0, 1.0, 6.0, 3)
    assert spread.deviation == pytest.approx(math.sqrt(7))
    assert made.prompt(spread.worst) == "three"
    assert nf4.figures["psnr_db"].worst == spread.worst
    assert nf4.rms_levels == pytest.approx(math.sqrt(41 / 3))
    assert floor(made).share(nf4.rms_levels) == pytest.approx(math.sqrt(41 / 3) / 50)


def test_one_identical_pair_does_not_make_the_mean_psnr_infinite() -> None:
    made = comparison(
        sweep("precision=fp16,nf4", prompts=["one", "two"]), lambda cell: done(cell, 5.0, cell.prompt_index * 10.0)
    )
    spread = columns(made)[1].figures["psnr_db"]
    assert spread.high == math.inf
    assert spread.deviation is None
    assert spread.mean == pytest.approx(20 * math.log10(255 / math.sqrt(50)))


def test_seeds_beside_another_axis_are_rows() -> None:
    made = comparison(sweep("precision=fp16,nf4", "seed=1,2,3"), precisions_or_half)
    assert [(column.label, column.num_rows) for column in columns(made)] == [("fp16", 3), ("nf4", 3)]
    assert advise(made, None).column is not None


def precisions_or_half(cell: Cell) -> Result:
    return done(cell, 11.0 if precision(cell) == "fp16" else 5.5, 10.0)


def test_sizes_beside_another_axis_are_columns_with_a_reference_each() -> None:
    made = comparison(sweep("precision=fp16,nf4", "size=256x256,304x208"), precisions_or_half)
    found = columns(made)
    assert [column.label for column in found if column.is_reference] == ["fp16 · 256×256", "fp16 · 304×208"]
    assert sentences(made)[1].startswith("nf4 · 304×208 holds 5.5 GiB less than fp16 · 304×208")


def test_the_largest_peak_of_a_column_is_its_memory() -> None:
    made = comparison(
        sweep("precision=fp16,nf4", prompts=["one", "two"]), lambda cell: done(cell, 5.0 + cell.prompt_index, 1.0)
    )
    assert [column.memory.bytes for column in columns(made) if column.memory is not None] == [6 * GIB, 6 * GIB]


# Which should I use?


@pytest.mark.parametrize(
    ("free_gib", "name", "reason", "would_be"),
    [
        (None, "fp16", "it fits, and the others are measured against it, with 11.0 GiB", ""),
        (11, "fp16", "it fits, and the others are measured against it, with 11.0 GiB", ""),
        (8, "8-bit", "of those that fit its pictures are nearest to the reference's, with 7.5 GiB", "8.0 GiB"),
        (6, "nf4", "of those that fit its pictures are nearest to the reference's, with 5.8 GiB", "6.0 GiB"),
        (5.85, "nf4", "it is the only one that fits, with 5.8 GiB", "5.8 GiB"),
    ],
)
def test_what_to_use_follows_the_memory_that_is_free(
    made: Comparison, free_gib: float | None, name: str, reason: str, would_be: str
) -> None:
    found = advise(made, None if free_gib is None else round(free_gib * GIB))
    nearer = f" fp16 would be nearer, but takes 11.0 GiB where {would_be} are free." if would_be else ""
    assert found.sentence == f"Use {name}: {reason} and 4.0 s a picture.{nearer}"
    assert found.column is not None
    assert found.column.label == name


def test_where_nothing_fits_the_smallest_is_named(made: Comparison) -> None:
    found = advise(made, 5 * GIB)
    assert found.column is None
    assert found.sentence == "Nothing here fits in 5.0 GiB: nf4 takes the least, 5.8 GiB."


def test_of_equal_pictures_the_quickest_is_recommended() -> None:
    figures = {"resident": (14.5, 2.0), "staged": (10.9, 3.0), "ours@2GiB": (1.9, 1.0)}
    made = comparison(
        sweep("strategy=staged,resident,ours@2GiB"),
        lambda cell: done(cell, figures[cell.strategy][0], 0.0, seconds=figures[cell.strategy][1]),
    )
    assert advise(made, 24 * GIB).sentence == (
        "Use ours in 2 GiB: of the 3 that draw the same picture it is the quickest, with 1.9 GiB and 1.0 s a picture."
    )


def test_of_those_that_are_as_quick_the_smallest_is_recommended() -> None:
    figures = {"resident": (14.5, 2.0), "staged": (10.9, 2.05), "streamed": (1.1, 2.1)}
    made = comparison(
        sweep("strategy=resident,staged,streamed"),
        lambda cell: done(cell, figures[cell.strategy][0], 0.0, seconds=figures[cell.strategy][1]),
    )
    found = advise(made, None)
    assert found.column is not None
    assert found.sentence.startswith(
        "Use streamed: of the 3 that draw the same picture it is the smallest of the quickest"
    )


def test_a_matter_of_taste_is_left_to_the_eye() -> None:
    made = comparison(sweep("guidance=4.5,2"), lambda cell: done(cell, 5.0, 30.0))
    assert advise(made, None).column is None
    assert advise(made, None).sentence == "Memory and time do not choose a guidance: look at the pictures."
