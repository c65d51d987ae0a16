"""Every strategy's name, and what it is: `python -m bench list`. No torch: naming them takes no time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pixart_ui.compare.strategies import DIFFUSERS_DESCRIPTIONS

OURS: Mapping[str, str] = {
    "ours@2GiB": "PixArt UI with that budget, or another one",
    "ours-exact@2GiB": "the same in exact numerics: latents equal stock diffusers bit for bit",
    "ours-compiled@24GiB": "the same with the transformer's blocks compiled",
    "ours-int8@8GB": "the same with T5 in int8",
    "ours-nf4@7GB": "the same with T5 in nf4",
    "ours-t5": "T5 alone: streamed in little memory, and whole from the store",
    "ours-leaks@2GiB": "50 runs of several sizes and precisions: what is left behind",
}
STOCK: Mapping[str, str] = {
    "stock-t5": "T5 alone: fp16, int8 and nf4, loaded by transformers",
    **DIFFUSERS_DESCRIPTIONS,
}
SLOW = frozenset(
    {
        "sequential-offload",
        "group-leaf",
        "group-leaf-low-cpu",
        "group-leaf-disk",
        "group-block",
        "group-block-stream",
        "compile-blocks",
        "compile",
        "traced",
    }
)


def main(_arguments: Sequence[str] | None = None) -> None:
    for name, description in {**OURS, **STOCK}.items():
        print(f"{name:22} {description}{' (slow)' if name in SLOW else ''}")


if __name__ == "__main__":
    main()
