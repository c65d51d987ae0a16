"""Every strategy's name, and what it is: `python -m bench list`."""

from __future__ import annotations

from collections.abc import Sequence

from bench import peers
from bench.job import EXACT, OURS


def main(_arguments: Sequence[str] | None = None) -> None:
    print(f"{OURS + '@2GiB':22} PixArt UI with that budget, or another one")
    print(f"{EXACT + '@2GiB':22} the same in exact numerics: latents equal stock diffusers bit for bit")
    for strategy in peers.STRATEGIES.values():
        print(f"{strategy.name:22} {strategy.description}{' (slow)' if strategy.is_slow else ''}")


if __name__ == "__main__":
    main()
