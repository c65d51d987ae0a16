"""What happens on a Space with ZeroGPU, told as JSON: run as a process of its own, since `spaces` is set at import.

    python -m tests.spaces.forked FOLDER

Real forks, real pickles, the real engine and PixArt-Tiny; only the GPU is a processor.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from PIL import Image

from pixart_ui.gallery import images
from pixart_ui.jobs.job import Job
from pixart_ui.request import GenerationRequest
from pixart_ui.settings import Settings
from pixart_ui.spaces.direct import DirectServices
from pixart_ui.spaces.zerogpu import ZeroGpu
from tests.spaces.lender import Lender, import_spaces

# Long enough to be interrupted, short enough for what a GPU is lent for, on a machine that is busy with other things.
LONG = 30
QUOTA = (429, '{"left": 3, "wait": "PT2H"}')


class Scene:
    """A Space with its visitors."""

    def __init__(self, folder: Path) -> None:
        self.lender = Lender()
        spaces = import_spaces(self.lender, folder)
        import pixart_ui.engine.engine  # noqa: F401 - before any fork, as on a Space

        self.services = DirectServices.open(Settings(data_dir=folder / "data", device="cpu"))
        self.zero = ZeroGpu(self.services, spaces.GPU, device="cpu")
        self.zero.start()

    def submit(self, owner: str, prompt: str = "a red circle", **values: Any) -> str:
        request = GenerationRequest(prompt=prompt, checkpoint="tiny", **{"steps": 4, "seed": 7, **values})
        return self.services.submit(request, owner)[0].batch

    def jobs(self, batch: str) -> list[Job]:
        return sorted(self.services.journal.jobs(batch=batch), key=lambda job: job.id)

    def draw_all(self, batch: str) -> int:
        return sum(1 for _ in self.zero.draw(batch))

    def draw_until_step(self, batch: str, step: int) -> Iterator[None]:
        drawing = self.zero.draw(batch)
        for _ in drawing:
            if self.jobs(batch)[0].step >= step:
                break
        return drawing

    def told(self, batch: str) -> list[dict[str, Any]]:
        return [
            {"state": job.state, "error": job.error, "owner": job.owner, "step": job.step, "image": self._image(job)}
            for job in self.jobs(batch)
        ]

    def _image(self, job: Job) -> dict[str, Any] | None:
        path = self.services.image_path(job)
        if path is None:
            return None
        with Image.open(path) as image:
            size, colours = image.size, len(image.getcolors(1 << 20) or [])
        return {
            "size": size,
            "colours": colours,
            "facts": images.read_facts(path),
            "bytes": path.read_bytes().hex()[:64],
            "name": path.name,
        }


def two_in_turn(scene: Scene) -> dict[str, Any]:
    first, second = scene.submit("anna"), scene.submit("ben", "a blue square")
    num_events = scene.draw_all(first)
    num_more = scene.draw_all(second)
    again = scene.draw_all(first)
    return {"first": scene.told(first), "second": scene.told(second), "events": [num_events, num_more, again]}


def several_at_once(scene: Scene) -> dict[str, Any]:
    batch = scene.submit("anna", num_images=2)
    scene.draw_all(batch)
    return {"jobs": scene.told(batch), "asked": scene.lender.asked("schedule")[-1]}


def cancelled(scene: Scene) -> dict[str, Any]:
    batch = scene.submit("anna", steps=LONG)
    drawing = scene.draw_until_step(batch, 3)
    scene.services.journal.cancel([job.id for job in scene.jobs(batch)])
    for _ in drawing:
        pass
    after = scene.submit("anna")
    scene.draw_all(after)
    return {"jobs": scene.told(batch), "after": scene.told(after), "lent": len(scene.lender.asked("schedule"))}


def left(scene: Scene) -> dict[str, Any]:
    """The page goes: Gradio closes the generator."""
    batch = scene.submit("anna", steps=LONG)
    drawing = scene.draw_until_step(batch, 3)
    begun_at = time.monotonic()
    drawing.close()  # type: ignore[attr-defined]
    return {"jobs": scene.told(batch), "given_back": _is_given_back(scene), "seconds": time.monotonic() - begun_at}


def never_asked_for(scene: Scene) -> dict[str, Any]:
    """The page goes before it asks for its drawing."""
    batch = scene.submit("anna")
    scene.zero._cancel_waiting(older_than_seconds=0.0)
    return {"jobs": scene.told(batch), "events": scene.draw_all(batch)}


def without_quota(scene: Scene) -> dict[str, Any]:
    scene.lender.refusal = QUOTA
    batch = scene.submit("anna")
    scene.draw_all(batch)
    return {"jobs": scene.told(batch)}


def killed(scene: Scene) -> dict[str, Any]:
    """The platform ends the forked process in the middle of a step."""
    batch = scene.submit("anna", steps=LONG)
    drawing = scene.draw_until_step(batch, 3)
    for child in _children():
        os.kill(child, signal.SIGKILL)
    for _ in drawing:
        pass
    after = scene.submit("anna")
    scene.draw_all(after)
    return {"jobs": scene.told(batch), "after": scene.told(after)}


def the_same_words(scene: Scene) -> dict[str, Any]:
    """A visitor asks what another asked before, and then that other again."""
    words = "a green star that anna alone thought of"
    first, other, again = (scene.submit(owner, words) for owner in ("anna", "ben", "anna"))
    for batch in (first, other, again):
        scene.draw_all(batch)
    return {"first": scene.told(first), "other": scene.told(other), "again": scene.told(again)}


def engine_says_no(scene: Scene) -> dict[str, Any]:
    """A sentence of the engine's crosses the fork: its store of weights is a file, not a folder."""
    folder = scene.services.settings.weights_dir
    aside = folder.with_name("aside")
    folder.rename(aside)
    folder.write_text("not a folder")
    scene.lender.keeps_warm = False
    batch = scene.submit("anna", precision="nf4")
    scene.draw_all(batch)
    folder.unlink()
    aside.rename(folder)
    scene.lender.keeps_warm = True
    return {"jobs": scene.told(batch)}


def state_of_things(scene: Scene) -> dict[str, Any]:
    workers = scene.services.journal.workers()
    with scene.services.journal._read() as db:
        check = db.execute("PRAGMA integrity_check").fetchone()[0]
    return {
        "workers": [worker.id for worker in workers],
        "info": dict(workers[0].info),
        "integrity": check,
        "durations": [int(query["durationSeconds"]) for query in scene.lender.asked("schedule")],
        "num_released": len(scene.lender.asked("release")),
        "num_allowed": len({query["pid"] for query in scene.lender.asked("allow")}),
        "own_pid": os.getpid(),
        "latents": [path.name for path in (scene.services.settings.latents_dir).glob("*")],
        "previews": [path.name for path in (scene.services.settings.previews_dir).glob("*")],
    }


def _is_given_back(scene: Scene) -> bool:
    for _ in range(100):
        if len(scene.lender.asked("release")) == len(scene.lender.asked("schedule")):
            return True
        time.sleep(0.05)
    return False


def _children() -> list[int]:
    tasks = Path(f"/proc/{os.getpid()}/task").iterdir()
    return [int(pid) for task in tasks for pid in (task / "children").read_text().split()]


SCENES = (
    two_in_turn, several_at_once, cancelled, left, never_asked_for, without_quota, the_same_words, engine_says_no,
    killed, state_of_things,
)  # fmt: skip


def main() -> None:
    scene = Scene(Path(sys.argv[1]))
    told = {play.__name__: play(scene) for play in SCENES}
    scene.zero.stop()
    scene.services.journal.close()
    Path(sys.argv[1], "told.json").write_text(json.dumps(told))
    for child in _children():  # they wait for their next call
        os.kill(child, signal.SIGKILL)
    os._exit(0)


if __name__ == "__main__":
    main()
