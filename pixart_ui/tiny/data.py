"""Drawn scenes and their captions as arrays, made by all cores into files that the trainer maps."""

from __future__ import annotations

import multiprocessing
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from pixart_ui.tiny.captions import describe
from pixart_ui.tiny.scenes import draw
from pixart_ui.tiny.tokens import MAX_TOKENS, Tokens
from pixart_ui.tiny.world import COLOURS, SHAPES, SIZES, STYLES, TIMES, WEATHERS, sample_scene

Mode = Literal["r+", "w+"]
Drawing = Any  # a multiprocessing result; `get()` waits for it
CAPTIONS_A_SCENE = 8
CHUNK = 250
GRID = 8  # cells a side for the place that the text encoder's pretraining asks for


@dataclass(frozen=True)
class Shelf:
    """`count` scenes of one size: `pictures` uint8 [count, height, width, 3], `captions` int16 [count, 8, tokens]."""

    folder: Path
    name: str
    count: int
    width: int
    height: int

    def pictures(self, mode: Mode = "r+") -> npt.NDArray[np.uint8]:
        shape = (self.count, self.height, self.width, 3)
        return np.memmap(self.folder / f"{self.name}.pictures", np.uint8, mode, shape=shape)

    def captions(self, mode: Mode = "r+") -> npt.NDArray[np.int16]:
        shape = (self.count, CAPTIONS_A_SCENE, MAX_TOKENS)
        return np.memmap(self.folder / f"{self.name}.captions", np.int16, mode, shape=shape)


def fill(shelf: Shelf, tokenizer: Path, processes: int) -> Drawing:
    """Start drawing in the background; `wait()` on what is returned."""
    shelf.folder.mkdir(parents=True, exist_ok=True)
    shelf.pictures("w+")
    shelf.captions("w+")
    pool = multiprocessing.get_context("spawn").Pool(processes)
    return pool.starmap_async(_fill_chunk, [(shelf, tokenizer, start) for start in range(0, shelf.count, CHUNK)], 1)


def _fill_chunk(shelf: Shelf, tokenizer: Path, start: int) -> None:
    rng = random.Random(f"{shelf.name}-{start}")
    tokens = Tokens(tokenizer)
    pictures, captions = shelf.pictures("r+"), shelf.captions("r+")
    for index in range(start, min(start + CHUNK, shelf.count)):
        scene = sample_scene(rng, shelf.width / shelf.height)
        pictures[index] = np.asarray(draw(scene, shelf.width, shelf.height))
        captions[index] = [tokens.row(describe(scene, rng).text) for _ in range(CAPTIONS_A_SCENE)]


def parsing_rows(tokenizer: Path, count: int, seed: int) -> tuple[npt.NDArray[np.int16], npt.NDArray[np.int16]]:
    """For the text encoder's pretraining: ids [count, tokens] and targets [count, tokens, 8].

    A token of an object's words is to say its shape, colour, size and cell; every token time, weather and style; -1
    where there is nothing to say.
    """
    rng = random.Random(seed)
    tokens = Tokens(tokenizer)
    ids = np.zeros((count, MAX_TOKENS), np.int16)
    targets = np.full((count, MAX_TOKENS, 8), -1, np.int16)
    for row in range(count):
        scene = sample_scene(rng)
        caption = describe(scene, rng)
        ids[row], owners = tokens.tagged_row(caption.words, caption.tags)
        for position, owner in enumerate(owners):
            if owner >= 0:
                item = scene.items[owner]
                targets[row, position, :5] = (
                    SHAPES.index(item.shape),
                    COLOURS.index(item.colour),
                    SIZES.index(item.size),
                    min(GRID - 1, int(item.x / scene.width * GRID)),
                    min(GRID - 1, int(item.y / scene.height * GRID)),
                )
        used = ids[row] != 0
        targets[row, used, 5] = TIMES.index(scene.time)
        targets[row, used, 6] = WEATHERS.index(scene.weather)
        targets[row, used, 7] = STYLES.index(scene.style)
    return ids, targets


PARSING_CLASSES = (len(SHAPES), len(COLOURS), len(SIZES), GRID, GRID, len(TIMES), len(WEATHERS), len(STYLES))


def parsing_rows_by_all_cores(tokenizer: Path, count: int) -> list[npt.NDArray[np.int16]]:
    """`parsing_rows`, drawn by all cores."""
    processes = multiprocessing.cpu_count()
    part = -(-count // processes)
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        parts = pool.starmap(parsing_rows, [(tokenizer, part, 1000 + index) for index in range(processes)])
    return [np.concatenate(column) for column in zip(*parts, strict=True)]
