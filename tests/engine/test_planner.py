"""Plans as plain arithmetic: hand-made shapes whose every byte can be counted, and the published checkpoints."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from pixart_ui.byte_size import GIB, MIB
from pixart_ui.catalog import Checkpoint, Component, hub_checkpoints, tiny
from pixart_ui.engine import reasons
from pixart_ui.engine.calibration import Calibration, Point, Rates
from pixart_ui.engine.costs import UNIT_SECONDS, Costs, Demand, Limits, stall
from pixart_ui.engine.layout import lay_out, spread
from pixart_ui.engine.planner import choose_plan, observe, smallest_budget, step_down
from pixart_ui.engine.shapes import (
    ComponentShape,
    folder_shapes,
    published_shapes,
    shape_of,
    t5_xxl_tensors,
    tensors_of,
    transformer_tensors,
    vae_decoder_tensors,
)
from pixart_ui.engine.tensorfile import read_folder
from pixart_ui.errors import BudgetTooSmall, OutOfMemory
from pixart_ui.events import Phase, Plan, Residency
from pixart_ui.request import Numerics, Precision, TransformerPrecision

STREAMED, STAGED, RESIDENT = Residency.STREAMED, Residency.STAGED, Residency.RESIDENT
CHECKPOINTS = {checkpoint.name: checkpoint for checkpoint in hub_checkpoints()}
SIGMA = CHECKPOINTS["sigma-1024"]
TINY = tiny(Path(__file__).resolve().parents[2] / "pixart_ui" / "tiny" / "weights")
# Ten units for T5 and eight blocks, 100 bytes each; a VAE of 50.
SMALL: dict[Component, ComponentShape] = {
    "text_encoder": ComponentShape(10, (100,) * 10, width=1),
    "transformer": ComponentShape(20, (100,) * 8, width=1),
    "vae": ComponentShape(50, width=1),
}
ENCODE_BYTES, DENOISE_BYTES, DECODE_BYTES, TILED_BYTES = 30, 40, 400, 60


def small_demand(**changes: object) -> Demand:
    return replace(Demand(SMALL, 512, 512, steps=5, num_texts=2, num_tokens=8), **changes)  # type: ignore[arg-type]


def small_limits(budget: int, demand: Demand | None = None, *, step: float = 0.001, **changes: object) -> Limits:
    """A device of which everything was measured: one byte a microsecond, so that a unit takes 100 µs."""
    demand = demand if demand is not None else small_demand()
    points = {
        demand.kind(Phase.ENCODE): (Point(16, ENCODE_BYTES, 0.0002),),
        demand.kind(Phase.DENOISE): (Point(demand.pixels, DENOISE_BYTES, step),),
        demand.kind(Phase.DECODE): (Point(demand.pixels, DECODE_BYTES, 0.002),),
        demand.kind(Phase.DECODE, 384): (Point(demand.pixels, 2 * TILED_BYTES, 0.003),),
        demand.kind(Phase.DECODE, 256): (Point(demand.pixels, TILED_BYTES, 0.004),),
    }
    calibration = Calibration(points, Rates(link=1e6, disk=1e6, host=1e6))
    return replace(Limits(budget, calibration=calibration), **changes)  # type: ignore[arg-type]


def full_demand(
    checkpoint: Checkpoint = SIGMA, side: int = 1024, precision: Precision = Precision.FP16, **changes: object
) -> Demand:
    shapes = published_shapes(checkpoint, precision, is_cpu=False)
    return replace(Demand(shapes, side, side, precision=precision), **changes)  # type: ignore[arg-type]


def residencies(plan: Plan) -> list[Residency]:
    return [entry.residency for entry in plan.phases]


# Shapes


@pytest.mark.parametrize(
    ("precision", "is_cpu", "mib"),
    [
        (Precision.FP16, False, 10752.4),
        (Precision.BF16, False, 8832.4),
        (Precision.FP16, True, 17664.8),
        (Precision.INT8, False, 7299.8),
        (Precision.NF4, False, 5784.4),
        (Precision.FP4, False, 5784.4),
    ],
)
def test_t5_takes_what_its_precision_says(precision: Precision, is_cpu: bool, mib: float) -> None:
    shape = published_shapes(SIGMA, precision, is_cpu=is_cpu)["text_encoder"]
    assert shape.total_bytes / MIB == pytest.approx(mib, abs=0.1)
    assert shape.num_units == 72


def test_the_published_checkpoints_have_their_known_sizes() -> None:
    def count(tensors: Iterator[tuple[str, tuple[int, ...]]]) -> int:
        return sum(math.prod(shape) for _, shape in tensors)

    assert count(t5_xxl_tensors()) == 4_762_310_656
    assert count(transformer_tensors(False)) == 610_856_096
    assert count(transformer_tensors(True)) == 611_349_152
    shapes = published_shapes(SIGMA, Precision.FP16, is_cpu=False)
    assert [size // MIB for size in shapes["text_encoder"].unit_bytes[3:6]] == [128, 160, 160]
    assert shapes["vae"].total_bytes / MIB == pytest.approx(94.4, abs=0.05)
    assert shapes["text_encoder"].largest_matrix == 10240 * 4096


def test_the_listed_tensors_are_those_of_the_libraries() -> None:
    import torch
    from diffusers import AutoencoderKL, PixArtTransformer2DModel
    from transformers import T5Config, T5EncoderModel

    from bench.full_size import SIGMA_TRANSFORMER, T5_XXL, VAE

    with torch.device("meta"):
        pairs = [
            (T5EncoderModel(T5Config(**T5_XXL)), t5_xxl_tensors()),
            (PixArtTransformer2DModel(**SIGMA_TRANSFORMER, sample_size=128), transformer_tensors(False)),
            (
                PixArtTransformer2DModel(**(SIGMA_TRANSFORMER | {"use_additional_conditions": True}), sample_size=128),
                transformer_tensors(True),
            ),
            (AutoencoderKL(**VAE), vae_decoder_tensors()),
        ]
    for module, listed in pairs:
        unused = ("encoder.conv", "encoder.down", "encoder.mid", "quant_conv.", "encoder.embed_tokens")
        real = {name: tuple(value.shape) for name, value in module.state_dict().items() if not name.startswith(unused)}
        assert dict(listed) == real


def test_the_table_of_positions_grows_with_the_sample_size() -> None:
    tensors = dict(transformer_tensors(False))
    sizes = [
        shape_of("transformer", tensors, Precision.FP16, is_cpu=False, sample_size=side).root_bytes
        for side in (None, 128, 256)
    ]
    assert sizes[1] - sizes[0] == 64 * 64 * 1152 * 4
    assert sizes[2] - sizes[0] == 128 * 128 * 1152 * 4


@pytest.mark.parametrize(
    ("precision", "mib"),
    [
        (TransformerPrecision.FP16, 1183.1),
        (TransformerPrecision.BF16, 1183.1),
        (TransformerPrecision.FP8, 610.0),
        (TransformerPrecision.INT8, 602.8),
        (TransformerPrecision.NF4, 346.6),
    ],
)
def test_the_transformer_takes_what_its_precision_says(precision: TransformerPrecision, mib: float) -> None:
    shapes = published_shapes(SIGMA, Precision.FP16, is_cpu=False, transformer_precision=precision)
    assert shapes["transformer"].total_bytes / MIB == pytest.approx(mib, abs=0.1)
    assert shapes["transformer"].num_units == (28 if precision.is_16_bit else 0)
    assert shapes["transformer"].depth == 28
    assert shapes["text_encoder"] == published_shapes(SIGMA, Precision.FP16, is_cpu=False)["text_encoder"]


def below_16_bits(precision: TransformerPrecision, **changes: object) -> Demand:
    shapes = published_shapes(SIGMA, Precision.FP16, is_cpu=False, transformer_precision=precision)
    return full_demand(shapes=shapes, transformer_precision=precision, **changes)


@pytest.mark.parametrize("precision", [precision for precision in TransformerPrecision if not precision.is_16_bit])
@pytest.mark.parametrize("budget", [1400 * MIB, 2 * GIB, 8 * GIB, 24 * GIB])
def test_a_transformer_below_16_bits_is_never_streamed(precision: TransformerPrecision, budget: int) -> None:
    demand, limits = below_16_bits(precision), Limits(budget)
    plan = choose_plan(demand, limits)
    denoise = plan.phase(Phase.DENOISE)
    assert denoise.residency in (RESIDENT, STAGED)
    assert (denoise.kept_units, denoise.slots) == (0, 0)
    while (smaller := step_down(demand, limits, plan, Phase.DENOISE)) is not None:
        plan = smaller
        assert plan.phase(Phase.DENOISE).residency in (RESIDENT, STAGED)
    assert demand.shape(Phase.DENOISE).total_bytes < smallest_budget(demand, limits)


def test_what_one_precision_of_the_transformer_took_says_nothing_of_another() -> None:
    kinds = [below_16_bits(precision).kind(Phase.DENOISE) for precision in TransformerPrecision]
    assert kinds == [f"denoise/1152x28/{precision}/fast/batch2" for precision in TransformerPrecision]
    assert full_demand().kind(Phase.DENOISE) == kinds[0]
    assert full_demand(precision=Precision.BF16).kind(Phase.DENOISE) == kinds[1]
    assert len({below_16_bits(precision).kind(Phase.DECODE) for precision in TransformerPrecision}) == 1


@pytest.mark.parametrize("component", ["text_encoder", "transformer", "vae"])
def test_files_that_hold_the_precision_take_what_their_layout_says(component: Component) -> None:
    assert TINY.folder is not None
    entries = read_folder(TINY.folder / component)
    layout = lay_out(component, entries, is_widened=True)
    shape = shape_of(component, tensors_of(entries), Precision.FP16, is_cpu=True)
    assert shape.root_bytes == layout.root.device_bytes
    assert shape.unit_bytes == tuple(unit.device_bytes for unit in layout.units)
    for kept, slots in ((0, 2), (3, 2), (shape.num_units, 0)):
        assert shape.device_bytes(kept, slots) == layout.arena_bytes(spread(kept, shape.num_units), slots)


def test_a_folder_is_planned_by_its_own_headers() -> None:
    assert TINY.folder is not None
    shapes = folder_shapes(TINY.folder, TINY, Precision.FP16, is_cpu=False)
    assert [shapes[name].num_units for name in ("text_encoder", "transformer", "vae")] == [12, 8, 0]
    assert sum(shape.total_bytes for shape in shapes.values()) < 40 * MIB


# Exact arithmetic


def test_each_byte_of_a_small_plan_can_be_counted() -> None:
    plan = choose_plan(small_demand(), small_limits(450))
    encode, denoise, decode = plan.phases
    assert (encode.residency, encode.slots, encode.predicted_peak_bytes) == (STREAMED, 4, 10 + 400 + ENCODE_BYTES)
    assert (denoise.residency, denoise.kept_units, denoise.slots) == (STREAMED, 0, 2)
    assert denoise.predicted_peak_bytes == 20 + 200 + DENOISE_BYTES
    assert (decode.residency, decode.tile, decode.predicted_peak_bytes) == (STAGED, None, 50 + DECODE_BYTES)
    assert plan.is_estimate is False


def test_a_processor_reads_through_two_slots_that_count_where_its_weights_do() -> None:
    demand = small_demand()
    shapes = {name: replace(shape, largest_segment=30) for name, shape in demand.shapes.items()}
    without, with_ring = (
        choose_plan(replace(demand, shapes=found), replace(small_limits(10**6), is_cpu=True))
        for found in (demand.shapes, shapes)
    )
    for before, after in zip(without.phases, with_ring.phases, strict=True):
        assert after.predicted_peak_bytes - before.predicted_peak_bytes == 2 * 30
    on_a_card = choose_plan(replace(demand, shapes=shapes), small_limits(10**6))
    assert on_a_card == choose_plan(demand, small_limits(10**6))


def test_one_byte_less_changes_what_just_fitted() -> None:
    plan = choose_plan(small_demand(), small_limits(449))
    assert (plan.phase(Phase.DECODE).tile, plan.residency(Phase.DECODE)) == (384, STAGED)
    more = choose_plan(small_demand(), small_limits(459)).phase(Phase.DENOISE)
    assert (more.kept_units, more.slots) == (0, 2)
    more = choose_plan(small_demand(), small_limits(460)).phase(Phase.DENOISE)
    assert (more.kept_units, more.slots, more.predicted_peak_bytes) == (2, 2, 460)  # six pass in whole rounds of two


def test_each_second_of_a_small_plan_can_be_counted() -> None:
    demand = small_demand(num_images=3)
    plan = choose_plan(demand, small_limits(10**6))
    assert residencies(plan) == [RESIDENT] * 3
    t5, transformer = (10 + 100 + 1010) / 1e6 + 10 * UNIT_SECONDS, (20 + 100) / 1e6 + 8 * UNIT_SECONDS
    assert plan.phase(Phase.ENCODE).predicted_seconds == pytest.approx(t5)  # 2 texts in 200 µs hide behind its 1010 µs
    assert plan.phase(Phase.DENOISE).predicted_seconds == pytest.approx(transformer + 15 * 0.001)
    assert plan.phase(Phase.DECODE).predicted_seconds == pytest.approx(50 / 1e6 + 3 * 0.002)


def test_what_lies_on_the_device_already_is_not_loaded_again() -> None:
    everything = frozenset[Component]({"text_encoder", "transformer", "vae"})
    plan = choose_plan(small_demand(num_images=3), small_limits(10**6, on_device=everything))
    assert [entry.predicted_seconds for entry in plan.phases] == pytest.approx([0.0002, 0.015, 0.006])


def test_a_streamed_step_takes_as_long_as_its_transfers_or_its_computing() -> None:
    demand, costs = small_demand(), Costs(small_demand(), small_limits(0))
    waiting = choose_plan(demand, small_limits(315, step=0.0001)).phase(Phase.DENOISE)
    assert (waiting.residency, waiting.kept_units, waiting.slots) == (STREAMED, 0, 2)
    first = (20 + 100) / 1e6 + 820 / 1e6 + 8 * UNIT_SECONDS
    assert waiting.predicted_seconds == pytest.approx(first + 4 * (800 / 1e6 * stall(2) + 8 * UNIT_SECONDS))
    assert costs.pass_seconds(Phase.DENOISE, 0, 2) == pytest.approx(800 / 1e6 * stall(2))
    computing = choose_plan(demand, small_limits(315, step=0.1)).phase(Phase.DENOISE)
    assert computing.predicted_seconds == pytest.approx(5 * 0.1 + 120 / 1e6 + 5 * 8 * UNIT_SECONDS)


def test_every_picture_of_a_group_brings_a_staged_component_again() -> None:
    one, four = (
        choose_plan(small_demand(num_images=count), small_limits(1000)).phase(Phase.DENOISE) for count in (1, 4)
    )
    assert (one.residency, four.residency) == (STAGED, STAGED)
    assert four.predicted_seconds == pytest.approx(4 * one.predicted_seconds)


def test_a_ring_that_holds_the_streamed_units_spares_reading_them_again() -> None:
    limits = small_limits(315, step=0.0001)
    slow = Rates(link=1e6, disk=1e6, host=1e5)
    limits = replace(limits, calibration=replace(limits.calibration, rates=slow))
    held, read = (
        choose_plan(small_demand(), replace(limits, ring_bytes=size)).phase(Phase.DENOISE).predicted_seconds
        for size in (800, 799)
    )
    assert read - held == pytest.approx(4 * 800 * (1 / 1e5 - 1 / 1e6) * stall(2))


def test_files_larger_than_ram_are_read_at_the_speed_of_the_disk() -> None:
    demand = full_demand()
    small, large = (
        choose_plan(demand, Limits(2 * GIB, ram_bytes=count * GIB)).phase(Phase.ENCODE).predicted_seconds
        for count in (8, 32)
    )
    assert small > 4 * large


# Which residency at which budget


@pytest.mark.parametrize(
    ("gib", "expected"),
    [
        (0.55, [STREAMED, STREAMED, STAGED]),
        (1, [STREAMED, STREAMED, STAGED]),
        (2, [STREAMED, STAGED, RESIDENT]),
        (6, [STREAMED, RESIDENT, RESIDENT]),
        (12, [STAGED, RESIDENT, RESIDENT]),
        (16, [RESIDENT, RESIDENT, RESIDENT]),
        (140, [RESIDENT, RESIDENT, RESIDENT]),
    ],
)
def test_each_residency_has_its_budgets(gib: float, expected: list[Residency]) -> None:
    assert residencies(choose_plan(full_demand(), Limits(int(gib * GIB)))) == expected


def test_a_picture_is_decoded_whole_where_it_fits_and_in_the_largest_pieces_elsewhere() -> None:
    tiles = [choose_plan(full_demand(), Limits(int(gib * GIB))).phase(Phase.DECODE).tile for gib in (0.55, 1, 2, 4)]
    assert tiles == [256, 512, 768, None]
    assert choose_plan(full_demand(side=256), Limits(GIB // 2)).phase(Phase.DECODE).tile is None


@pytest.mark.parametrize("pace", [0.01, 0.05, 1.0])
def test_blocks_pass_in_whole_rounds_of_their_slots(pace: float) -> None:
    limits = Limits(GIB, calibration=Calibration(pace={"denoise/1152x28": pace}))
    for gib in (0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.3, 1.4):
        denoise = choose_plan(full_demand(), replace(limits, budget_bytes=int(gib * GIB))).phase(Phase.DENOISE)
        assert denoise.residency is STREAMED
        assert (28 - denoise.kept_units) % denoise.slots == 0
        assert 28 - denoise.kept_units > denoise.slots


def test_nothing_to_encode_takes_no_time_and_leaves_t5_where_it_may_stay() -> None:
    plan = choose_plan(full_demand(num_texts=0), Limits(24 * GIB))
    assert plan.phase(Phase.ENCODE).predicted_seconds == 0
    assert plan.residency(Phase.ENCODE) is RESIDENT


def test_four_bit_weights_are_widened_one_matrix_at_a_time() -> None:
    plain, four_bit = (
        Costs(full_demand(precision=precision), Limits(0)).activation_bytes(Phase.ENCODE).value
        for precision in (Precision.INT8, Precision.NF4)
    )
    assert four_bit - plain == pytest.approx(1.1 * 80 * MIB)


# Promises


def cases() -> Iterator[tuple[Demand, bool]]:
    sides = (("sigma-256", 256), ("alpha-512", 512), ("sigma-1024", 1024), ("sigma-2k", 2048))
    for (name, side), precision in itertools.product(sides, (Precision.FP16, Precision.INT8, Precision.NF4)):
        for guided, images in ((True, 1), (False, 5)):
            yield full_demand(CHECKPOINTS[name], side, precision, is_guided=guided, num_images=images), False
    yield replace(full_demand(), shapes=published_shapes(SIGMA, Precision.FP16, is_cpu=True)), True


def test_more_budget_is_never_slower_and_no_peak_is_above_it() -> None:
    budgets = [int(GIB * 0.3 * 1.13**power) for power in range(50)]
    for demand, is_cpu in cases():
        seconds = float("inf")
        least = smallest_budget(demand, Limits(0, is_cpu=is_cpu))
        for budget in sorted([*budgets, least]):
            limits = Limits(budget, is_cpu=is_cpu)
            if budget < least:
                with pytest.raises(BudgetTooSmall):
                    choose_plan(demand, limits)
                continue
            plan = choose_plan(demand, limits)
            assert all(0 < entry.predicted_peak_bytes <= budget for entry in plan.phases)
            assert plan.predicted_seconds <= seconds + 1e-9, (demand, budget)
            seconds = plan.predicted_seconds
        assert residencies(plan) == [RESIDENT] * 3


def test_what_stays_fits_beside_every_phase_of_the_next_group() -> None:
    """With everything that stays on the device from the beginning the same plan must hold."""
    for budget in range(1, 16):
        demand, limits = full_demand(num_images=2), Limits(budget * GIB)
        plan = choose_plan(demand, limits)
        stays = frozenset(
            component
            for phase, component in zip(Phase, ("text_encoder", "transformer", "vae"), strict=True)
            if plan.residency(phase) is RESIDENT
        )
        again = choose_plan(demand, replace(limits, on_device=stays))
        assert again.predicted_peak_bytes <= limits.budget_bytes
        assert again.predicted_seconds <= plan.predicted_seconds
        assert residencies(again) == residencies(plan)


def test_the_same_question_has_the_same_answer() -> None:
    assert choose_plan(full_demand(), Limits(2 * GIB)) == choose_plan(full_demand(), Limits(2 * GIB))


def test_reasons_say_figures() -> None:
    plan = choose_plan(full_demand(), Limits(GIB))
    reasons = {entry.phase: entry.reason for entry in plan.phases}
    assert reasons[Phase.DENOISE] == (
        "streamed: 16 of 28 blocks pass through 2 slots, since keeping all would need 1.5 GiB of 1.0 GiB"
    )
    assert reasons[Phase.ENCODE].startswith("streamed: all 72 parts pass through 5 slots, since")
    assert "in pieces of 512 pixels" in reasons[Phase.DECODE]


@pytest.mark.parametrize(
    ("need", "shown"),
    [
        (2 * GIB, "2.0 GiB of 1.0 GiB"),
        (GIB + 46 * MIB, "1070 MiB of 1024 MiB"),
        (GIB + 1000, "1,073,742,824 bytes of 1,073,741,824 bytes"),
    ],
)
def test_a_reason_uses_finer_units_where_rounded_ones_would_look_alike(need: int, shown: str) -> None:
    assert reasons._of(need, Limits(GIB)) == shown


# Nothing fits


def test_a_budget_too_small_names_the_one_that_would_do() -> None:
    demand = full_demand(CHECKPOINTS["sigma-2k"], 2048)
    with pytest.raises(BudgetTooSmall) as raised:
        choose_plan(demand, Limits(GIB))
    assert raised.value.message == (
        "1.0 GiB of memory are too little: 2048×2048 in fp16 needs at least 1.5 GiB; 576 MiB would do for 1024×1024."
    )
    assert raised.value.exit_code == 2
    assert isinstance(raised.value, OutOfMemory)
    assert choose_plan(demand, Limits(int(1.5 * GIB)))
    assert choose_plan(replace(demand, width=1024, height=1024), Limits(576 * MIB))


def test_a_smaller_size_is_not_offered_where_it_does_not_help() -> None:
    demand = full_demand(num_tokens=300, num_texts=8)  # a pass of T5 takes more than any picture
    with pytest.raises(BudgetTooSmall, match=r"any smaller size\.$"):
        choose_plan(demand, Limits(300 * MIB))


def test_the_smallest_budget_is_exact() -> None:
    for demand, is_cpu in cases():
        least = smallest_budget(demand, Limits(0, is_cpu=is_cpu))
        assert choose_plan(demand, Limits(least, is_cpu=is_cpu)).predicted_peak_bytes == least
        with pytest.raises(BudgetTooSmall):
            choose_plan(demand, Limits(least - 1, is_cpu=is_cpu))


# The ladder


def ladder(demand: Demand, limits: Limits, phase: Phase) -> list[Plan]:
    plans = [choose_plan(demand, limits)]
    while (lower := step_down(demand, limits, plans[-1], phase)) is not None:
        plans.append(lower)
        assert len(plans) < 40
    return plans


@pytest.mark.parametrize("phase", list(Phase))
@pytest.mark.parametrize("gib", [0.6, 1, 2, 6, 12, 24])
@pytest.mark.parametrize("images", [1, 3])
def test_each_step_of_the_ladder_is_smaller_and_it_ends(phase: Phase, gib: float, images: int) -> None:
    demand, limits = full_demand(num_images=images), Limits(int(gib * GIB))
    plans = ladder(demand, limits, phase)
    peaks = [plan.phase(phase).predicted_peak_bytes for plan in plans]
    assert all(after < before for before, after in itertools.pairwise(peaks))
    assert peaks[-1] <= smallest_budget(demand, limits)
    assert all(plan.predicted_peak_bytes <= limits.budget_bytes for plan in plans)
    assert all(plan.budget_bytes == limits.budget_bytes for plan in plans)


def test_the_ladder_takes_smaller_pieces() -> None:
    plans = ladder(full_demand(num_images=2), Limits(24 * GIB), Phase.DECODE)
    assert residencies(plans[0]) == [RESIDENT, RESIDENT, RESIDENT]
    assert residencies(plans[1]) == [STAGED, STAGED, RESIDENT]
    assert [plan.phase(Phase.DECODE).tile for plan in plans] == [None, None, 768, 512, 384, 256]
    assert "memory ran out" in plans[1].phase(Phase.ENCODE).reason
    assert plans[2].phase(Phase.DECODE).reason == (
        "resident in pieces of 768 pixels, since memory ran out when resident"
    )


def test_the_ladder_streams_the_transformer() -> None:
    plans = ladder(full_demand(num_images=2), Limits(24 * GIB), Phase.DENOISE)
    steps = [(plan.phase(Phase.DENOISE).kept_units, plan.phase(Phase.DENOISE).slots) for plan in plans]
    assert steps == [(28, 0), (28, 0), (14, 2), (6, 2), (2, 2), (0, 2)]
    assert plans[-1].phase(Phase.DENOISE).reason == (
        "streamed: all 28 blocks pass through 2 slots, since memory ran out when "
        "streamed: 26 of 28 blocks pass through 2 slots"
    )


def test_the_ladder_takes_slots_away_last() -> None:
    plan = choose_plan(full_demand(), Limits(GIB))
    wide = replace(plan.phase(Phase.DENOISE), kept_units=8, slots=4)
    plans = [replace(plan, phases=(plan.phases[0], wide, plan.phases[2]))]
    while (lower := step_down(full_demand(), Limits(GIB), plans[-1], Phase.DENOISE)) is not None:
        plans.append(lower)
    steps = [(plan.phase(Phase.DENOISE).kept_units, plan.phase(Phase.DENOISE).slots) for plan in plans]
    assert steps == [(8, 4), (4, 4), (0, 4), (0, 3), (0, 2)]


def test_the_ladder_streams_t5() -> None:
    plans = ladder(full_demand(), Limits(12 * GIB), Phase.ENCODE)
    assert [(plan.residency(Phase.ENCODE), plan.phase(Phase.ENCODE).slots) for plan in plans] == [
        (STAGED, 0),
        (STREAMED, 6),
        (STREAMED, 5),
        (STREAMED, 4),
        (STREAMED, 3),
        (STREAMED, 2),
    ]


def test_a_component_too_small_to_stream_has_no_ladder() -> None:
    two: dict[Component, ComponentShape] = SMALL | {"transformer": ComponentShape(20, (100, 100), width=1)}
    demand = small_demand(shapes=two)
    plans = ladder(demand, small_limits(400, demand), Phase.DENOISE)
    assert plans[-1].phase(Phase.DENOISE).kept_units == 2


def test_texts_that_are_known_take_no_memory_to_encode() -> None:
    known = small_demand(num_texts=0)
    streamed = choose_plan(known, small_limits(600))
    assert streamed.residency(Phase.ENCODE) is not RESIDENT
    assert streamed.phase(Phase.ENCODE).predicted_peak_bytes == 0
    everything = frozenset[Component]({"text_encoder", "transformer", "vae"})
    resident = choose_plan(known, small_limits(3000, on_device=everything))
    assert resident.phase(Phase.ENCODE).predicted_peak_bytes == 1010 + 820 + 50
    new = choose_plan(small_demand(), small_limits(3000, on_device=everything))
    assert new.phase(Phase.ENCODE).predicted_peak_bytes == 1010 + 820 + 50 + ENCODE_BYTES


# Learning


def test_a_measured_phase_is_predicted_exactly() -> None:
    demand, limits = full_demand(), Limits(24 * GIB)
    plan = choose_plan(demand, limits)
    weights = {phase: demand.shape(phase).total_bytes for phase in Phase}
    measured = {Phase.ENCODE: 70 * MIB, Phase.DENOISE: 245 * MIB, Phase.DECODE: 2400 * MIB}
    for phase, seconds in ((Phase.ENCODE, 0.1), (Phase.DENOISE, 0.0384), (Phase.DECODE, 0.086)):
        calibration = observe(demand, limits, plan.phase(phase), activation_bytes=measured[phase], unit_seconds=seconds)
        limits = replace(limits, calibration=calibration)
    everything = frozenset[Component]({"text_encoder", "transformer", "vae"})
    plan = choose_plan(demand, replace(limits, on_device=everything))
    assert not plan.is_estimate
    for phase in Phase:
        assert plan.phase(phase).predicted_peak_bytes == sum(weights.values()) + measured[phase]
    assert plan.phase(Phase.DENOISE).predicted_seconds == pytest.approx(20 * 0.0384)


def test_a_plan_is_no_estimate_although_the_time_to_encode_was_never_measured() -> None:
    demand, limits = small_demand(), small_limits(GIB)
    points = dict(limits.calibration.points)
    points[demand.kind(Phase.ENCODE)] = (Point(16, ENCODE_BYTES, None),)
    assert not choose_plan(demand, replace(limits, calibration=replace(limits.calibration, points=points))).is_estimate
    del points[demand.kind(Phase.ENCODE)]
    assert choose_plan(demand, replace(limits, calibration=replace(limits.calibration, points=points))).is_estimate


def test_a_phase_that_waited_for_its_weights_teaches_nothing_about_time() -> None:
    demand, limits = full_demand(), Limits(GIB)
    denoise = choose_plan(demand, limits).phase(Phase.DENOISE)
    transfers = Costs(demand, limits).pass_seconds(Phase.DENOISE, denoise.kept_units, denoise.slots)
    kind = demand.kind(Phase.DENOISE)
    waited = observe(demand, limits, denoise, activation_bytes=MIB, unit_seconds=transfers * 1.1)
    assert waited.points[kind] == (Point(1024 * 1024, MIB, None),)
    computed = observe(demand, limits, denoise, activation_bytes=MIB, unit_seconds=transfers * 2)
    assert computed.points[kind] == (Point(1024 * 1024, MIB, transfers * 2),)


def test_what_is_measured_alike_shares_a_name() -> None:
    demand = full_demand()
    assert demand.kind(Phase.ENCODE) == "encode/4096x72/fp16/fast"
    assert demand.kind(Phase.DENOISE) == "denoise/1152x28/fp16/fast/batch2"
    assert demand.kind(Phase.DECODE, 512) == "decode/128/fp16/fast/tile512"
    quantized = replace(demand, precision=Precision.NF4, numerics=Numerics.EXACT, is_guided=False)
    assert quantized.kind(Phase.ENCODE) == "encode/4096x72/nf4/exact"
    assert quantized.kind(Phase.DENOISE) == "denoise/1152x28/fp16/exact/batch1"
    assert replace(demand, precision=Precision.BF16).kind(Phase.DECODE) == "decode/128/bf16/fast/whole"


def test_the_formulas_give_the_published_operations_and_bytes() -> None:
    """TFLOP of a guided step from torch's own counter on the real modules; bytes reserved at 1024²."""
    for side, tflop in ((512, 2.577), (1024, 13.27), (2048, 104.7)):
        seconds = Costs(full_demand(side=side), Limits(0)).seconds_formula(Phase.DENOISE, None, side * side)
        assert seconds * 25 == pytest.approx(tflop, rel=0.01)
    costs = Costs(full_demand(), Limits(0))
    assert costs.activation_bytes(Phase.DENOISE).value / MIB == pytest.approx(1.1 * 341, rel=0.1)
    assert costs.activation_bytes(Phase.DECODE).value / MIB == pytest.approx(1.1 * 2956, rel=0.1)
    assert costs.activation_bytes(Phase.DECODE, 512).value / MIB == pytest.approx(1.1 * 728, rel=0.15)


def test_a_short_text_that_was_measured_says_little_of_long_ones() -> None:
    """What a pass takes however short its texts are is no part of what each token takes."""
    shape = ComponentShape(0, (MIB,) * 12, num_parameters=5_000_000, width=256)
    demand = replace(full_demand(num_texts=7, num_tokens=77), shapes={"text_encoder": shape})
    limits = Limits(GIB, is_cpu=True)
    formula = partial(Costs(demand, limits).seconds_formula, Phase.ENCODE, None)
    kind = demand.kind(Phase.ENCODE)
    known = Calibration().learn(kind, 20, activation_bytes=None, seconds=0.06, formula=formula)
    seconds = Costs(demand, replace(limits, calibration=known)).unit_seconds(Phase.ENCODE).value
    assert 0.06 < seconds < 0.6


@pytest.mark.parametrize(
    ("num_texts", "num_tokens", "mib", "within"),
    [(5, 300, 326, 0.05), (2, 300, 174, 0.05), (32, 75, 364, 0.05), (5, 75, 94, 0.2), (2, 75, 66, 0.3)],
)
def test_what_t5_takes_beside_its_weights_is_near_what_was_measured(
    num_texts: int, num_tokens: int, mib: int, within: float
) -> None:
    """On a GPU, reserved. Of few short texts torch's own steps are the larger part."""
    costs = Costs(full_demand(num_texts=num_texts, num_tokens=num_tokens), Limits(0))
    assert costs.activation_bytes(Phase.ENCODE).value / MIB == pytest.approx(1.1 * mib, rel=within)
