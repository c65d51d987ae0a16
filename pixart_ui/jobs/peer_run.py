"""A run by one of diffusers' own strategies: the benchmark's process for one cell, watched from here.

Stock code draws the picture, so what it cannot do (another scheduler, a negative prompt, a size that is no square) is
said and not tried. What it raises is in its row, and is the run's reason. torch is in that process alone.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

from PIL import Image

import pixart_ui
from pixart_ui.byte_size import show_bytes
from pixart_ui.catalog import Component
from pixart_ui.compare import metrics
from pixart_ui.compare.comparison import IMAGES, Baseline, PhaseFigures, Result, State, Timeline
from pixart_ui.compare.recording import Surroundings
from pixart_ui.compare.strategies import Strategy
from pixart_ui.compare.sweep import Cell
from pixart_ui.errors import Cancelled, DeviceError, InputError, OutOfMemory, PixArtError
from pixart_ui.gallery import images
from pixart_ui.gpus import num_gpus
from pixart_ui.jobs.trial_result import RSS_NOISE_BYTES, device_of
from pixart_ui.prediction import is_cpu
from pixart_ui.request import ResolvedRequest, Scheduler

ROOT = Path(pixart_ui.__file__).resolve().parent.parent
CELL = ROOT / "bench" / "cell.py"
POLL_SECONDS = 0.1
# Nobody predicts what stock code takes, and it says nothing meanwhile: the slowest strategies of a full-size checkpoint
# take minutes on a slow disk.
MOST_SECONDS = 3600.0
MAX_LAST_CHARS = 300
WARM_FRACTION = 0.99
# What passes between the phases, where it is worth a line.
OTHER, LEAST_OTHER_SECONDS = "other", 0.05
# Stock code does not say what it moves, nor which weights are those of a phase.
UNCOUNTED: Mapping[str, Any] = MappingProxyType({"bytes_moved": None, "weight_bytes": None})
# A GPU's driver counts other programs too, and a process that has ended a moment longer.
DEVICE_NOISE_BYTES, PATIENCE_SECONDS = 64 * 2**20, 3.0
PIPELINES: Mapping[str, str] = {"alpha": "PixArtAlphaPipeline", "sigma": "PixArtSigmaPipeline"}
OUT_OF_MEMORY = ("out of memory", "OutOfMemory")
# Those that are about several GPUs; the others must not spread over them by themselves.
SPREAD = frozenset({"balanced", "balanced-max-memory"})
VISIBLE = "CUDA_VISIBLE_DEVICES"


class PeerRun:
    """Runs once. `info` is what our engine says of the device, `budget_bytes` what torch may reserve of a GPU."""

    def __init__(
        self,
        strategy: Strategy,
        request: ResolvedRequest,
        folders: Mapping[Component, Path],
        info: Mapping[str, Any],
        *,
        budget_bytes: int | None,
        device_used_bytes: Callable[[], int | None],
    ) -> None:
        """Raises DeviceError where the benchmark is absent, InputError for what stock code is not asked here."""
        self._strategy = strategy
        self._request = request
        self._folders = folders
        self._info = info
        self._budget_bytes = None if is_cpu(info) else budget_bytes
        self._device_used_bytes = device_used_bytes
        self._used_before = device_used_bytes()
        _check(strategy, request)

    def run(self, scratch: Path, is_cancelled: Callable[[], bool]) -> Mapping[str, Any]:
        """The row that its process wrote. Raises Cancelled, OutOfMemory, DeviceError, or PixArtError if it died."""
        row, log = scratch / "row.json", scratch / "log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                self._command(scratch, row),
                cwd=ROOT,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=self._environ(),
                start_new_session=True,  # Ctrl+C in a terminal is for us, who end it; by itself it would be a failure
            )
            with _ended(process):
                _wait(process, is_cancelled)
        if not row.exists():
            last = log.read_text(encoding="utf-8", errors="replace").strip().rpartition("\n")[2][:MAX_LAST_CHARS]
            raise PixArtError(f"Its process ended with code {process.returncode}: {last}")
        found: dict[str, Any] = json.loads(row.read_text(encoding="utf-8"))
        if (error := found["error"]) is not None:
            total = self._info["memory_total_bytes"]
            raise refusal(error, self._budget_bytes if self._budget_bytes is not None else int(total))
        return found

    def result(
        self,
        cell: Cell,
        row: Mapping[str, Any],
        scratch: Path,
        folder: Path,
        *,
        own: tuple[int, int],
        is_random: bool,
    ) -> tuple[Result, Surroundings]:
        """Put its picture into the comparison's folder and say what was measured. Raises DiskFullError.

        `own` is what our process held before it and after it.
        """
        with Image.open(next((scratch / "pictures").glob("*.png"))) as drawn:
            picture = drawn.convert("RGB")
        name = f"{IMAGES}/{cell.key}.png"
        facts = {"strategy": self._strategy.name, "versions": row["versions"], "device": {"name": row["device"]}}
        images.save(picture, folder / name, self._request, facts)
        result = Result.of(
            cell,
            State.DONE,
            request=self._request,
            image=name,
            pixels_sha256=metrics.pixels_sha256(picture),
            phases=tuple(_phases(row)),
            peak_rss_bytes=row["peak_rss_bytes"],
            timeline=Timeline.model_validate(row["timeline"]),
            baseline=self._baseline(own),
            was_warm=None if row["cached_fraction"] is None else row["cached_fraction"] >= WARM_FRACTION,
            has_random_weights=is_random,
            notes=(f"Drawn by diffusers: {self._strategy.description}; a process of its own.",),
        )
        return result, Surroundings(device_of(self._info), row["versions"])

    def _command(self, scratch: Path, row: Path) -> list[str]:
        request = self._request
        return [
            *(sys.executable, "-m", "bench.cell", "--strategy", str(self._strategy.peer)),
            *("--checkpoint", str(_one_folder(self._folders, request, scratch)), "--out", str(scratch / "pictures")),
            *("--json", str(row), "--device", str(self._info["device"]).partition(":")[0], "--images", "1"),
            *("--size", str(request.width), "--steps", str(request.steps), "--guidance", str(request.guidance_scale)),
            *("--seed", str(request.seed), f"--prompt={request.full_prompt}", "--watch"),
            *(("--cap", f"{self._budget_bytes}B") if self._budget_bytes is not None else ()),
        ]

    def _environ(self) -> dict[str, str]:
        if is_cpu(self._info):
            return dict(os.environ)
        index = str(self._info["device"]).partition(":")[2]
        return visible_gpus(os.environ, int(index or 0), is_spread=self._strategy.peer in SPREAD)

    def _baseline(self, own: tuple[int, int]) -> Baseline:
        """Of a GPU what the driver counts on all of it, since the other process is what could have left something."""
        if self._used_before is None:
            before, after = own
            return Baseline(before_bytes=before, after_bytes=after, is_kept=after <= before + RSS_NOISE_BYTES)
        after = settled(self._device_used_bytes, self._used_before + DEVICE_NOISE_BYTES)
        limit = self._used_before + DEVICE_NOISE_BYTES
        return Baseline(before_bytes=self._used_before, after_bytes=after, is_kept=after <= limit)


def _check(strategy: Strategy, request: ResolvedRequest) -> None:
    if not CELL.is_file():
        raise DeviceError(
            "The strategies of diffusers are run by the benchmark, and its folder bench/ is not beside this app: "
            "run the app from its repository."
        )
    wrong = {
        "a scheduler other than dpm++": request.scheduler is not Scheduler.DPM_SOLVER,
        "a negative prompt": bool(request.full_negative_prompt),
        "a size that is not a square": request.width != request.height,
    }
    if found := next((what for what, is_so in wrong.items() if is_so), None):
        raise InputError(f"Strategy {strategy.name} is run without {found}: leave that out to compare it.", "strategy")


def refusal(error: str, budget_bytes: int) -> OutOfMemory | DeviceError:
    """What a strategy raised, as a result's reason: memory that was too little, or a device that cannot."""
    if any(words in error for words in OUT_OF_MEMORY):
        return OutOfMemory(f"needs more than {show_bytes(budget_bytes)} ({error})")
    return DeviceError(error)


def visible_gpus(environ: Mapping[str, str], index: int, *, is_spread: bool) -> dict[str, str]:
    """The environment for a process whose first GPU is our `index`-th, and whose only one unless it is to spread."""
    given = environ.get(VISIBLE)
    names = given.split(",") if given is not None else [str(number) for number in range(num_gpus(environ))]
    own = names[index] if index < len(names) else str(index)
    others = [name for place, name in enumerate(names) if place != index] if is_spread else []
    return {**environ, VISIBLE: ",".join([own, *others])}


def _wait(process: subprocess.Popen[bytes], is_cancelled: Callable[[], bool]) -> None:
    """Raises Cancelled, and PixArtError for one that seems never to end."""
    until = time.monotonic() + MOST_SECONDS
    while True:
        try:
            process.wait(timeout=POLL_SECONDS)
        except subprocess.TimeoutExpired:
            if is_cancelled():
                raise Cancelled from None
            if time.monotonic() > until:
                raise PixArtError(
                    f"Its process did not end within {MOST_SECONDS / 60:g} minutes and was ended."
                ) from None
        else:
            return


@contextmanager
def _ended(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """It does not outlive the block."""
    try:
        yield
    finally:
        process.kill()
        process.wait()


def _one_folder(folders: Mapping[Component, Path], request: ResolvedRequest, scratch: Path) -> Path:
    """The checkpoint in diffusers' layout; links where its components come from several repositories."""
    parents = {folder.parent for folder in folders.values()}
    if len(parents) == 1 and ((parent := next(iter(parents))) / "model_index.json").is_file():
        return parent
    linked = scratch / "checkpoint"
    linked.mkdir()
    for component, folder in folders.items():
        (linked / component).symlink_to(folder.resolve(), target_is_directory=True)
    scheduler = json.loads((folders["scheduler"] / "scheduler_config.json").read_text(encoding="utf-8"))
    index = {
        "_class_name": PIPELINES[request.family],
        "tokenizer": ["transformers", "T5Tokenizer"],
        "text_encoder": ["transformers", "T5EncoderModel"],
        "transformer": ["diffusers", "PixArtTransformer2DModel"],
        "vae": ["diffusers", "AutoencoderKL"],
        "scheduler": ["diffusers", scheduler["_class_name"]],
    }
    (linked / "model_index.json").write_text(json.dumps(index), encoding="utf-8")
    return linked


def settled(read: Callable[[], int | None], limit: int) -> int:
    """What is used once that is no more than the limit, or when patience ends."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while (used := read() or 0) > limit and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
    return used


def _phases(row: Mapping[str, Any]) -> Iterator[PhaseFigures]:
    for name, seconds in row["phases"].items():
        load = seconds if name == "load" else 0.0
        figures = UNCOUNTED | row["phase_peaks"].get(name, {})
        yield PhaseFigures(name=name, seconds=seconds, load_seconds=load, **figures)
    other = row["wall_seconds"] - sum(row["phases"].values())
    if other > LEAST_OTHER_SECONDS:
        yield PhaseFigures(name=OTHER, seconds=other, **UNCOUNTED)
