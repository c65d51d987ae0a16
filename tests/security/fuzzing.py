"""Requests that nobody would write: every endpoint's values, of every kind, in every number."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from tests.security.parts import FIELDS

# Surrogates cannot be sent as UTF-8.
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
NUMBERS = st.one_of(
    st.integers(),
    st.sampled_from([0, -1, 1, 2**31, 2**53, 2**63, 2**64, -(2**63) - 1, 10**30]),
    st.floats(allow_nan=False, allow_infinity=False),
)
PLAIN = st.one_of(st.none(), st.booleans(), NUMBERS, TEXTS)
FILES = st.fixed_dictionaries({"path": TEXTS, "meta": st.just({"_type": "gradio.FileData"})})
ANYTHING = st.recursive(
    st.one_of(PLAIN, FILES),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(TEXTS, inner, max_size=4)),
    max_leaves=8,
)
# Right in its kind, mostly: so that it comes further than the first check.
LIKELY: dict[str, st.SearchStrategy[Any]] = {
    "prompt": TEXTS,
    "negative_prompt": TEXTS,
    "style": st.sampled_from(["none", "anime", "cinematic", ""]),
    "checkpoint": st.sampled_from(["tiny", "sigma-1024", "/etc", "../x"]),
    "precision": st.sampled_from(["fp16", "bf16", "int8", "nf4", "fp4", "fp8"]),
    "transformer_precision": st.sampled_from(["fp16", "bf16", "nf4"]),
    "numerics": st.sampled_from(["exact", "fast"]),
    "compile_blocks": st.booleans(),
    "width": st.sampled_from([64, 256, 255, 4096, 10**9, -1, 256.5, "256"]),
    "height": st.sampled_from([64, 256, 512, 0]),
    "steps": st.sampled_from([1, 2, 150, 151, 0, -1, 1.5, True]),
    "guidance_scale": st.floats(-1, 40, allow_nan=False),
    "scheduler": TEXTS,
    "seed": NUMBERS,
    "num_images": st.sampled_from([1, 2, 64, 65, 0]),
    "request": st.dictionaries(st.sampled_from([*FIELDS, "x"]), ANYTHING, max_size=5),
}
SUBMITS = st.tuples(*(st.one_of(st.none(), LIKELY[name], ANYTHING) for name in FIELDS)).map(list)
IDS = st.one_of(st.lists(st.one_of(st.integers(-1, 2**64), PLAIN), max_size=6), ANYTHING)
DATA = {
    "submit": st.one_of(SUBMITS, st.lists(ANYTHING, max_size=18)),
    "status": st.one_of(st.tuples(IDS).map(list), st.lists(ANYTHING, max_size=3)),
    "result": st.one_of(st.tuples(st.one_of(st.integers(-1, 200), ANYTHING)).map(list), st.lists(ANYTHING, max_size=3)),
    "cancel": st.one_of(st.tuples(IDS).map(list), st.lists(ANYTHING, max_size=3)),
    "list": st.one_of(
        st.tuples(st.one_of(st.none(), st.sampled_from(["queued", "done", "x"])), TEXTS, NUMBERS, NUMBERS).map(list),
        st.lists(ANYTHING, max_size=5),
    ),
}
BESIDE = ("fn_index", "session_hash", "event_data", "trigger_id", "simple_format", "batched", "request", "event_id")
MORE = st.dictionaries(st.sampled_from(BESIDE), ANYTHING, max_size=3)


def _bodies(name: str) -> st.SearchStrategy[tuple[str, Any]]:
    """For one endpoint: its values alone, beside what Gradio knows as well, and what is no body."""
    alone = DATA[name].map(lambda data: {"data": data})
    beside = st.tuples(DATA[name], MORE).map(lambda pair: {**pair[1], "data": pair[0]})
    return st.tuples(st.just(name), st.one_of(alone, beside, ANYTHING))


BODIES = st.sampled_from(sorted(DATA)).flatmap(_bodies)
