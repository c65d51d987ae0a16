"""What is compared: axes, their values, the runs that they come to, and one sentence for whatever cannot be."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from pydantic import TypeAdapter

from pixart_ui.compare import strategies
from pixart_ui.compare.axes import Axis, AxisName, canonical, parse_axis
from pixart_ui.compare.sweep import MAX_RUNS, Role, Sweep, default_sweep
from pixart_ui.errors import InputError
from pixart_ui.request import MAX_SEED, GenerationRequest
from tests.compare.parts import sweep

REQUEST = GenerationRequest.parse({"prompt": "a red circle", "checkpoint": "tiny"})


def test_the_default_is_four_precisions_staged_and_the_two_runs_of_the_noise_floor() -> None:
    runs = default_sweep(REQUEST).cells()
    assert [cell.label for cell in runs] == [
        "fp16", "fp16, repeated", "fp16, another seed", "8-bit", "nf4", "fp4",
    ]  # fmt: skip
    assert {cell.strategy for cell in runs} == {"staged"}
    assert [cell.request.precision for cell in runs] == ["fp16", "fp16", "fp16", "int8", "nf4", "fp4"]
    assert [cell.request.seed for cell in runs] == [0, 0, 1, 0, 0, 0]


def test_keys_are_the_same_each_time_and_different_for_every_run() -> None:
    keys = [cell.key for cell in default_sweep(REQUEST).cells()]
    assert keys == [cell.key for cell in default_sweep(REQUEST).cells()]
    assert len(set(keys)) == len(keys)
    assert keys[0] == "07255fabfd9ec1ad", "keys are in reports: a change of them makes old comparisons start again"


def test_a_longer_axis_keeps_the_keys_of_the_runs_that_were_there() -> None:
    short = {cell.key for cell in sweep("precision=fp16,nf4").cells()}
    long = {cell.key for cell in sweep("precision=fp16,int8,nf4").cells()}
    assert short < long


def test_every_run_is_measured_against_the_first_values_with_its_own_prompt() -> None:
    runs = sweep("precision=fp16,nf4", "steps=8,4", prompts=["one", "two"]).cells()
    by_key = {cell.key: cell for cell in runs}
    for cell in runs:
        reference = by_key[cell.reference]
        assert reference.values == {"precision": "fp16", "steps": "8"}
        assert reference.role is Role.CELL
        assert reference.prompt_index == cell.prompt_index
        assert cell.is_reference == (cell is reference)


def test_a_second_axis_of_seeds_gives_each_seed_a_reference_of_its_own() -> None:
    made = sweep("precision=fp16,nf4", "seed=3,4")
    references = {cell.request.seed for cell in made.cells() if cell.is_reference}
    assert references == {3, 4}
    assert made.num_runs == len(made.cells()) == 4 + 2 * 2


def test_seeds_alone_are_measured_against_the_first_of_them() -> None:
    (reference,) = [cell for cell in sweep("seed=3,4,5").cells() if cell.is_reference]
    assert reference.request.seed == 3


def test_prompts_of_one_column_follow_each_other_and_references_come_first() -> None:
    order = [(cell.label, cell.prompt_index) for cell in sweep("precision=fp16,nf4", prompts=["one", "two"]).cells()]
    assert order == [
        ("fp16", 0), ("fp16", 1),
        ("fp16, repeated", 0), ("fp16, repeated", 1),
        ("fp16, another seed", 0), ("fp16, another seed", 1),
        ("nf4", 0), ("nf4", 1),
    ]  # fmt: skip


def test_the_number_of_runs_is_known_without_making_them() -> None:
    made = sweep("precision=fp16,int8,nf4", "steps=4,8", prompts=["one", "two", "three"])
    assert made.num_runs == len(made.cells()) == 3 * (6 + 2)
    assert replace(made, has_noise_floor=False).num_runs == 18


def test_another_seed_of_the_largest_seed_is_the_one_before() -> None:
    seeds = [cell.request.seed for cell in sweep("precision=fp16", seed=MAX_SEED).cells()]
    assert seeds == [MAX_SEED, MAX_SEED, MAX_SEED - 1]


@pytest.mark.parametrize(
    ("axis", "field", "values"),
    [
        ("transformer-precision=fp16,fp8", "transformer_precision", ["fp16", "fp8"]),
        ("numerics=exact,fast", "numerics", ["exact", "fast"]),
        ("scheduler=dpm++,euler", "scheduler", ["dpm++", "euler"]),
        ("steps=20,8", "steps", [20, 8]),
        ("guidance=4.5,0", "guidance_scale", [4.5, 0.0]),
        ("size=256x256,304x208", "width", [256, 304]),
        ("checkpoint=tiny,sigma-512", "checkpoint", ["tiny", "sigma-512"]),
        ("seed=0,7", "seed", [0, 7]),
    ],
)
def test_every_axis_changes_its_part_of_the_request(axis: str, field: str, values: list[Any]) -> None:
    runs = [cell for cell in sweep(axis, seed=5).cells() if cell.role is Role.CELL]
    assert [getattr(cell.request, field) for cell in runs] == values


def test_a_strategy_is_no_part_of_the_request() -> None:
    runs = [cell for cell in sweep("strategy=staged,ours@2GiB,model-offload").cells() if cell.role is Role.CELL]
    assert [cell.strategy for cell in runs] == ["staged", "ours@2GiB", "diffusers:model-offload"]
    assert len({cell.request for cell in runs}) == 1
    assert [cell.label for cell in runs] == ["staged", "ours in 2 GiB", "diffusers model-offload"]


@pytest.mark.parametrize(
    ("name", "text", "spelling"),
    [
        (AxisName.STEPS, " 8.0 ", "8"),
        (AxisName.GUIDANCE, "4.50", "4.5"),
        (AxisName.GUIDANCE, "2", "2"),
        (AxisName.SIZE, "1024×512", "1024x512"),
        (AxisName.STRATEGY, "ours@2048MiB", "ours@2GiB"),
        (AxisName.STRATEGY, "staged-nf4", "diffusers:staged-nf4"),
    ],
)
def test_a_value_has_one_spelling(name: AxisName, text: str, spelling: str) -> None:
    assert canonical(name, text) == spelling


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("precision", "Axis precision has no values, it must have one or more: write it like precision=fp16,int8"),
        ("precision= ", "Axis precision has no values"),
        ("precision=fp16,,nf4", "Axis precision has an empty value"),
        ("precision=fp16,fp12", "Precision 'fp12' is not one of fp16, bf16, int8, nf4, fp4: try fp16"),
        ("precision=nf4,nf4", "Axis precision has nf4 twice, each value runs once: leave one of them out"),
        ("steps=8,8.0", "Axis steps has 8 twice"),
        ("prcision=fp16", "Unknown axis 'prcision', did you mean 'precision'"),
        ("", "Unknown axis ''"),
        ("steps=0", "Steps '0' is not a whole number from 1 to 150"),
        ("guidance=nan", "Guidance 'nan' is not a number from 0 to 30"),
        ("size=20", "Size '20' is not a width and a height"),
        ("seed=-1", "Seed '-1' is not a whole number"),
        ("strategy=stagged", "Unknown strategy 'stagged', did you mean 'staged'"),
        ("strategy=warp-drive", "Unknown strategy 'warp-drive': choose resident, staged, streamed, a budget"),
        ("strategy=ours", "Strategy 'ours' has no budget"),
        ("strategy=ours@2", "Budget '2' has no unit"),
    ],
)
def test_a_wrong_axis_gets_one_sentence(text: str, sentence: str) -> None:
    with pytest.raises(InputError) as error:
        parse_axis(text)
    assert error.value.message.startswith(sentence)
    assert len(error.value.message) < 260


def test_an_axis_made_in_code_is_checked_as_well() -> None:
    with pytest.raises(InputError, match="has no values"):
        Axis(AxisName.SEED, ())


def test_ten_thousand_runs_are_refused_before_any_is_made() -> None:
    seeds = parse_axis("seed=" + ",".join(map(str, range(10_000))))
    with pytest.raises(InputError) as error:
        Sweep(REQUEST, (seeds,))
    assert error.value.message == (
        "This comparison has 10,002 runs (1 prompt × 10,000 of seed, and the noise floor), at most 500 are allowed: "
        "take fewer values or fewer prompts."
    )


def test_the_most_that_is_allowed_is_allowed() -> None:
    prompts = [f"prompt {number}" for number in range(MAX_RUNS // 4)]
    assert sweep("precision=fp16,nf4", prompts=prompts).num_runs == MAX_RUNS


@pytest.mark.parametrize(
    ("axes", "asked", "sentence"),
    [
        (("seed=1", "seed=2"), {}, "Axis seed is there twice, an axis is given once"),
        (("seed=1", "steps=2", "guidance=3"), {}, "one axis or two, these are 3 (seed, steps, guidance)"),
        (("strategy=staged,diffusers:staged", "precision=fp16"), {}, "diffusers:staged brings its own precision"),
        (("strategy=staged,diffusers:staged",), {"precision": "nf4"}, "diffusers:staged brings its own precision"),
        (("seed=1",), {"num_images": 2}, "one picture a run, 2 were asked for"),
    ],
)
def test_axes_that_do_not_go_together_get_one_sentence(
    axes: tuple[str, ...], asked: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(InputError) as error:
        sweep(*axes, **asked)
    assert sentence in error.value.message


def test_without_an_axis_there_is_nothing_to_compare() -> None:
    with pytest.raises(InputError, match="needs an axis"):
        Sweep(REQUEST, ())


@pytest.mark.parametrize(("prompts", "sentence"), [(["a", " "], "prompt is empty"), (["a", "b", "a"], "'a' is there")])
def test_prompts_are_checked(prompts: list[str], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        sweep(prompts=prompts)


def test_a_sweep_comes_back_from_json_as_it_was() -> None:
    adapter = TypeAdapter(Sweep)
    made = sweep("strategy=staged,ours@1.5GiB", "seed=1,2", prompts=["one", "two"])
    again = adapter.validate_json(adapter.dump_json(made))
    assert again == made
    assert [cell.key for cell in again.cells()] == [cell.key for cell in made.cells()]


def test_a_sweep_with_too_much_in_its_json_is_refused() -> None:
    adapter = TypeAdapter(Sweep)
    document = json.loads(adapter.dump_json(sweep())) | {"surprise": 1}
    with pytest.raises(ValueError, match="surprise"):
        adapter.validate_python(document)


def test_every_name_of_a_strategy_is_its_own_spelling_but_for_the_two_that_are_also_ours() -> None:
    for name in strategies.names():
        assert strategies.parse(name).name == name
    assert strategies.parse("staged").is_ours
    assert not strategies.parse("diffusers:staged").is_ours
    assert strategies.parse("group-leaf-stream").peer == "group-leaf-stream"
