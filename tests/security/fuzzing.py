"""Requests that nobody would write, to every endpoint, and such as somebody would write who gets a thing or two wrong.

The first have values of every kind, in every number, and hardly pass the checks. The others are forms that are right
but for a field or none, and what people do with their jobs and presets, so that what is behind the checks is met too.
"""

from __future__ import annotations

from dataclasses import dataclass
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


@dataclass(frozen=True)
class Ask:
    """`name` is an endpoint, a verb or a button; `picks` say which jobs are meant: the last of one's own."""

    kind: str
    name: str
    values: Any = None
    picks: tuple[int, ...] = ()


# Small enough for a member's hour.
RIGHT: dict[str, st.SearchStrategy[Any]] = {
    "prompt": st.sampled_from(["a red circle", "a blue house at night", "émeraude 緑 <b>&amp;</b>", "{prompt} __x__"]),
    "negative_prompt": st.sampled_from(["", "blurry", 'ugly, "quoted"']),
    "style": st.sampled_from(["Watercolour", "Neon"]),
    "checkpoint": st.just("tiny"),
    "precision": st.sampled_from(["fp16", "bf16"]),
    "numerics": st.sampled_from(["exact", "fast"]),
    "size": st.sampled_from([(64, 64), (256, 256), (128, 256)]),
    "guidance_scale": st.sampled_from([0, 1, 4.5, 30]),
    "scheduler": st.sampled_from(["dpm++", "ddim", "unipc", "euler"]),
    "seed": st.sampled_from([0, 1, 2**32, 2**64 - 8]),
    "num_images": st.sampled_from([1, 2]),
}
ODD = st.lists(st.tuples(st.sampled_from(FIELDS), ANYTHING), min_size=1, max_size=2).map(dict)
NEARLY = {name: LIKELY[name] for name in FIELDS if name != "request"}


@st.composite
def _forms(draw: st.DrawFn) -> dict[str, Any]:
    """By the names of the request's fields; one or two of them odd in half of the forms."""
    chosen = draw(st.sets(st.sampled_from(sorted(RIGHT)), max_size=5)) | {"prompt"}
    values = {name: draw(RIGHT[name]) for name in sorted(chosen)}
    if (size := values.pop("size", None)) is not None:
        values["width"], values["height"] = size
    values["steps"] = draw(st.sampled_from([2, 3]))
    how = draw(st.integers(0, 5))
    if how == 0:
        values |= draw(ODD)
    elif how < 3:
        name = draw(st.sampled_from(sorted(NEARLY)))
        values[name] = draw(NEARLY[name])
    return values


# Among the picks it stands for somebody else's job.
ANOTHER = 11
PICKS = st.lists(st.one_of(st.integers(0, 10), st.just(ANOTHER)), min_size=1, max_size=3).map(tuple)
VERBS = (
    "cancel",
    "retry",
    "restore",
    "duplicate",
    "first",
    "last",
    "up",
    "down",
    "cancel-all",
    "retry-failed",
    "clear",
    "x",
)
PRESETS = ("save", "save", "use", "rename", "delete", "save-style", "save-style", "delete-style", "to-all", "x")
KEPT = {
    **dict.fromkeys(("preset", "own_style"), st.sampled_from(["one", "two", "three"])),
    **dict.fromkeys(("preset_name", "style_name"), st.sampled_from(["one", "two", "three", "Ünï 3"])),
    "style_prompt": st.sampled_from(["drawing of {prompt}", "{prompt}, in oil"]),
    "style_negative": st.sampled_from(["", "photo"]),
}
ODDLY_KEPT = st.one_of(
    st.just({}), st.dictionaries(st.sampled_from(sorted(KEPT)), st.one_of(TEXTS, ANYTHING), max_size=1)
)
PRESET_FORMS = st.tuples(_forms(), st.fixed_dictionaries(KEPT), ODDLY_KEPT)
ASKS: dict[str, st.SearchStrategy[Ask]] = {
    "any": BODIES.map(lambda asked: Ask("any", *asked)),
    "submit": _forms().map(lambda values: Ask("submit", "submit", values)),
    "own": st.builds(Ask, st.just("own"), st.sampled_from(["status", "result", "cancel"]), picks=PICKS),
    "press": st.builds(Ask, st.just("press"), st.sampled_from(VERBS), picks=PICKS),
    "enqueue": st.builds(Ask, st.just("enqueue"), st.sampled_from(["generate", "enqueue"]), _forms()),
    "edit": st.builds(Ask, st.just("edit"), st.sampled_from(["save", "add_as_new", "leave"]), _forms(), PICKS),
    "preset": st.builds(
        Ask,
        st.just("preset"),
        st.sampled_from(PRESETS),
        PRESET_FORMS.map(lambda drawn: {**drawn[0], **drawn[1], **drawn[2]}),
    ),
}
# A good part of them is such as nobody would write.
KINDS = (*["any"] * 3, *["submit"] * 2, "own", "press", "enqueue", "edit", "preset")
EVERY = st.tuples(st.sampled_from(["ada", "bob"]), st.sampled_from(KINDS).flatmap(ASKS.__getitem__))
