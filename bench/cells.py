"""Which measurements there are, and in which order they are worth having. No torch."""

from __future__ import annotations

from dataclasses import dataclass

from bench.job import COMPILED, EXACT, OURS, OURS_LEAKS, OURS_T5, STOCK_T5

BUDGETS = ("1GiB", "1.5GiB", "2GiB", "3GiB", "4GiB", "6GiB", "8GiB", "12GiB", "24GiB")
QUEUES = (1, 4, 32)
# What a 16 GB laptop leaves a worker.
LAPTOP_RAM = "12GB"


@dataclass(frozen=True)
class Cell:
    """What one process measures.

    `num_groups` 2 measures a cold group and a warm one after it. `is_2k` takes the 2K checkpoint. With `ram` the
    process may use that much of the machine's memory, page cache included, and nothing is in that cache when it begins.
    A peer with `tile_of` decodes in pieces as large as that strategy of ours took.
    """

    strategy: str
    num_images: int = 4
    steps: int = 20
    cap: str | None = None
    num_groups: int = 1
    size: int = 1024
    is_2k: bool = False
    ram: str | None = None
    tile_of: str | None = None

    @property
    def key(self) -> str:
        name = f"{self.strategy}, {'2K, ' if self.is_2k else ''}{self.size}², {self.steps} steps"
        cap = f", cap {self.cap}" if self.cap is not None else ""
        ram = f", {self.ram} RAM, from disk" if self.ram is not None else ""
        return f"{name}, {self.num_images} pictures{cap}{ram}"


def ours(budget: str, num_images: int = 4, *, kind: str = OURS, num_groups: int = 2) -> Cell:
    return Cell(f"{kind}@{budget}", num_images, cap=budget, num_groups=num_groups)


def _2k(strategy: str, cap: str | None = None, tile_of: str | None = None) -> Cell:
    return Cell(strategy, num_images=2, cap=cap, size=2048, is_2k=True, tile_of=tile_of)


# What the README's tables and the picture show. Quick and important ones first, and peers near what they stand beside.
FIGURES = (
    ours("2GiB"),
    ours("1GiB"),
    ours("8GiB"),
    ours("24GiB"),
    ours("24GiB", kind=EXACT),
    ours("24GiB", kind=COMPILED),
    ours("0.7GiB", kind=EXACT),
    Cell("resident"),
    Cell("staged"),
    Cell("group-leaf-tiling", cap="2GiB"),
    Cell(OURS_T5),
    Cell(STOCK_T5),
    _2k("ours@1.5GiB", "1.5GiB"),
    _2k("vae-tiling", tile_of="ours@1.5GiB"),
    _2k("ours-exact@1.5GiB", "1.5GiB"),
    ours("6.4GB", num_groups=1),
    ours("8GB", kind="ours-int8", num_groups=1),
    ours("7GB", kind="ours-nf4", num_groups=1),
    ours("8GiB", 1, num_groups=1),
    ours("8GiB", 32, num_groups=1),
    Cell("ours@4GiB", cap="4GiB", ram=LAPTOP_RAM),
    *(ours(budget) for budget in ("0.7GiB", "0.8GiB", "1.5GiB", "4GiB")),
    Cell("staged-max-memory", cap="8GiB"),
    Cell("staged-nf4"),
    Cell("staged-int8"),
    _2k("resident"),
    _2k("staged-tiling"),
    Cell(f"{OURS_LEAKS}@2GiB", cap="2GiB", num_images=50, steps=2),
    Cell("group-leaf-stream"),
    Cell("group-block-t5"),
    Cell("sequential-offload", num_images=1, steps=4),
    Cell("model-offload"),
    Cell("group-block-stream"),
)
# Every strategy that is not ours, the quick ones first.
PEERS = (
    Cell("resident"),
    Cell("at-once"),
    Cell("at-once-slicing"),
    Cell("vae-tiling"),
    Cell("vae-channels-last"),
    Cell("sharded"),
    Cell("attention-math"),
    Cell("attention-flash"),
    Cell("attention-efficient"),
    Cell("attention-cudnn"),
    Cell("attention-backend"),
    Cell("attention-slicing"),
    Cell("attention-xformers"),
    Cell("fuse-qkv"),
    Cell("layerwise-fp8"),
    Cell("layerwise-fp8-t5"),
    Cell("staged"),
    Cell("staged-latents"),
    Cell("staged-tiling"),
    Cell("staged-max-memory", cap="8GiB"),
    Cell("staged-int8"),
    Cell("staged-nf4"),
    Cell("staged-nf4", cap="6GiB"),
    Cell("staged-fp4"),
    Cell("staged-load-in-8bit"),
    Cell("pipeline-auto"),
    Cell("quantized-int8"),
    Cell("quantized-nf4"),
    Cell("quantized-fp4"),
    Cell("balanced"),
    Cell("balanced-max-memory"),
    Cell("group-leaf-stream"),
    Cell("group-leaf-record"),
    Cell("group-leaf-tiling", cap="2GiB"),
    Cell("group-block-t5"),
    Cell("sequential-offload", num_images=1, steps=4),
    Cell("traced"),
    Cell("compile-blocks"),
    Cell("model-offload"),
    Cell("group-leaf-low-cpu"),
    Cell("group-leaf", num_images=1, steps=4),
    Cell("group-block"),
    Cell("group-block-stream"),
    Cell("compile"),
    Cell("group-leaf-disk", num_images=1, steps=4),
)
ROWS = {
    "figures": FIGURES,
    "peers": PEERS,
    "matrix": tuple(ours(budget, num_images) for num_images in QUEUES for budget in BUDGETS),
}
