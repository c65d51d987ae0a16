"""How quick the gallery is with many pictures: `python -m bench.gallery [--count 10000] [--side 256]`.

Writes that many pictures into a temporary folder, as a copy of a data folder would be, and measures what a page waits
for: taking them up for the first time, a look that finds nothing new, the pages of the grid, a search in the prompts,
and a page of thumbnails. Prints one line each, in milliseconds.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from PIL import Image

from pixart_ui import tiny
from pixart_ui.catalog import tiny as tiny_checkpoint
from pixart_ui.gallery import images
from pixart_ui.request import GenerationRequest, resolve
from pixart_ui.services import Services
from pixart_ui.settings import Settings
from pixart_ui.ui.gallery_live import gallery_regions
from pixart_ui.ui.gallery_look import GalleryLook
from pixart_ui.ui.gallery_routes import THUMBNAIL_SIDE
from pixart_ui.ui.gallery_tiles import PAGE_SIZE
from pixart_ui.ui.routes import thumbnail_of

REPEATS = 20
WORDS = ("red", "blue", "yellow", "house", "boat", "moon", "tree", "hill", "star", "circle")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--side", type=int, default=256)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        services = Services.open(Settings(data_dir=Path(folder)))
        fill(services, args.count, args.side)
        measure(services, args.count)
        services.journal.close()


def fill(services: Services, count: int, side: int) -> None:
    checkpoint = tiny_checkpoint(tiny.checkpoint_dir())
    picture = Image.effect_noise((side, side), 40).convert("RGB")
    for number in range(count):
        prompt = " ".join(WORDS[number // 10**place % 10] for place in range(4))
        asked = GenerationRequest.parse({"prompt": f"a {prompt}", "seed": number})
        (request,) = resolve(asked, checkpoint, None, random_seed=0)
        images.save(picture, services.settings.images_dir / f"20260101-{number:06d}-{number}.png", request, {})


def measure(services: Services, count: int) -> None:
    started = time.perf_counter()
    while services.journal.picture_choices().total < count:
        services.gallery.refresh()
    say(f"taking up {count:,} pictures for the first time, in turns of 0.4 s", time.perf_counter() - started)
    services.gallery.refresh()
    first = services.settings.images_dir / f"20260101-{0:06d}-0.png"

    def scan() -> None:
        first.rename(first.with_suffix(".aside"))
        first.with_suffix(".aside").rename(first)
        services.gallery.refresh()

    say("looking at the folder again after a change", median(scan))
    say("asking whether anything changed", median(services.gallery.refresh))
    for what, look in (
        (f"the first page of {PAGE_SIZE}", GalleryLook()),
        ("the last page", GalleryLook(page=10**6)),
        ("a search for two words", GalleryLook(text="Boat moon")),
        ("the first page with a picture open", GalleryLook(picture=1)),
    ):
        regions = gallery_regions(services, look)
        size = sum(len(html) for html in regions.values())
        say(f"{what} ({size / 1000:.0f} kB)", median(lambda look=look: gallery_regions(services, look)))  # type: ignore[misc]
    started = time.perf_counter()
    for number in range(PAGE_SIZE):
        name = f"20260101-{number:06d}-{number}.png"
        thumbnail_of(services.settings.images_dir / name, services.gallery.thumbnail_path(name), THUMBNAIL_SIDE)
    say(f"the thumbnails of {PAGE_SIZE} pictures, the first time", time.perf_counter() - started)


def median(work: Callable[[], object]) -> float:
    seconds = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds)


def say(what: str, seconds: float) -> None:
    print(f"{seconds * 1000:10.1f} ms  {what}", flush=True)


if __name__ == "__main__":
    main()
