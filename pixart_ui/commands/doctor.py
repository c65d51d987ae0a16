"""`doctor`: whether pictures can be made here, and if not, what to do about it, in plain words.

It looks and changes nothing: no torch is imported, no folder is made, nothing is fetched.
Exit code 0 if pictures can be made, 1 otherwise.
"""

from __future__ import annotations

import argparse
import json
import platform
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

import psutil

from pixart_ui import __version__, prediction
from pixart_ui.byte_size import show_bytes
from pixart_ui.commands.doctor_spaces import run_spaces
from pixart_ui.commands.meter import human
from pixart_ui.commands.models import Standing
from pixart_ui.engine.calibration import Table
from pixart_ui.engine.weights import WeightStore
from pixart_ui.errors import PixArtError
from pixart_ui.hub import Hub
from pixart_ui.jobs.journal import Journal
from pixart_ui.ram import ram
from pixart_ui.services import catalog
from pixart_ui.settings import Settings

# What each package is for; None if no picture can be made without it.
PACKAGES: Mapping[str, str | None] = {
    "torch": None,
    "diffusers": None,
    "transformers": None,
    "accelerate": None,
    "safetensors": None,
    "sentencepiece": None,
    "protobuf": None,
    "huggingface_hub": None,
    "numpy": None,
    "pillow": None,
    "pydantic": None,
    "gradio": "the page",
    "bitsandbytes": "the precisions int8, nf4 and fp4",
    "nvidia-ml-py": "what the driver says about NVIDIA cards",
    "ftfy": "cleaning prompts",
    "beautifulsoup4": "cleaning prompts",
}
INSTALL = "`pip install -r requirements.txt`"
MIN_PYTHON = (3, 11)
MIN_FREE_DISK_BYTES = 100_000_000
MIN_FREE_MEMORY_BYTES = 1_500_000_000


@dataclass(frozen=True)
class Card:
    """One NVIDIA card as its driver tells it."""

    name: str
    total_bytes: int
    free_bytes: int


@dataclass
class Report:
    """What was found. `problems` stop pictures from being made, `advice` does not; each is a sentence with a remedy."""

    version: str
    python: str
    system: str
    packages: dict[str, str | None] = field(default_factory=dict)
    driver: str | None = None
    cards: list[Card] = field(default_factory=list)
    uses_gpu: bool = False
    processors: int = 0
    memory_bytes: int = 0
    free_memory_bytes: int = 0
    data_dir: str = ""
    free_disk_bytes: int = 0
    cache_dir: str = ""
    free_cache_bytes: int = 0
    budget_bytes: int | None = None
    context_bytes: int | None = None
    weight_store_bytes: int = 0
    measured_kinds: dict[str, int] = field(default_factory=dict)
    checkpoints: list[Standing] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    advice: list[str] = field(default_factory=list)

    @property
    def can_make_pictures(self) -> bool:
        return not self.problems


def add_parser(
    subparsers: argparse._SubParsersAction[argparse.ArgumentParser], parents: Sequence[argparse.ArgumentParser]
) -> None:
    parser = subparsers.add_parser(
        "doctor",
        parents=parents,
        help="say whether pictures can be made here, and what is missing",
        description=__doc__,
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument(
        "--spaces", action="store_true", help="say instead whether this repository would run as a Hugging Face Space"
    )
    parser.set_defaults(run=run)


def run(settings: Settings, args: argparse.Namespace) -> int:
    if args.spaces:
        return run_spaces(is_json=args.json)
    report = examine(settings)
    if args.json:
        value = {"can_make_pictures": report.can_make_pictures, **asdict(report)}
        print(json.dumps(value, indent=2, ensure_ascii=False))
    else:
        print("\n".join(_lines(report)))
    return 0 if report.can_make_pictures else 1


def text(settings: Settings) -> str:
    """The same as it is printed for people."""
    return "\n".join(_lines(examine(settings)))


def examine(settings: Settings) -> Report:
    """Look at everything that a picture needs."""
    report = Report(
        __version__,
        platform.python_version(),
        f"{platform.system()} {platform.machine()}",
        budget_bytes=settings.vram_budget,
    )
    _look_at_packages(report)
    _look_at_devices(report, settings.device)
    _look_at_memory(report)
    _look_at_data_dir(report, settings.data_dir)
    _look_at_what_was_learned(report, settings)
    hub = Hub(settings.checkpoints_dir)
    _look_at_cache_dir(report, hub.cache_dir)
    _look_at_checkpoints(report, hub)
    return report


def _look_at_packages(report: Report) -> None:
    if sys.version_info < MIN_PYTHON:
        report.problems.append(f"Python {report.python} is too old, 3.11 or later is needed: install a newer one.")
    for name, purpose in PACKAGES.items():
        report.packages[name] = _version(name)
        if report.packages[name] is not None:
            continue
        if purpose is None:
            report.problems.append(f"{name} is not installed, no picture can be made without it: run {INSTALL}.")
        else:
            report.advice.append(f"{name} is not installed, {purpose} will not work: run {INSTALL}.")


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _look_at_devices(report: Report, asked: str) -> None:
    report.processors = psutil.cpu_count() or 1
    report.driver, report.cards = _nvidia()
    report.uses_gpu = bool(report.cards) and asked != "cpu"
    torch_version = report.packages.get("torch")
    if report.cards and torch_version is not None and torch_version.endswith("+cpu"):
        report.advice.append(
            f"torch {torch_version} is the build for the CPU, though an NVIDIA card is here: install the CUDA build, "
            "as PyTorch's own page says, to use it."
        )
    if asked.startswith("cuda") and not report.cards:
        report.problems.append(
            f"Device {asked} was asked for, but no NVIDIA driver was found: install one, or choose the device cpu."
        )


def _nvidia() -> tuple[str | None, list[Card]]:
    """The driver's version and its cards; none where there is no driver."""
    try:
        import pynvml  # part of nvidia-ml-py, which need not be there
    except ImportError:
        return None, []
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return None, []
    try:
        cards = []
        for index in range(pynvml.nvmlDeviceGetCount()):
            handle = pynvml.nvmlDeviceGetHandleByIndex(index)
            memory = pynvml.nvmlDeviceGetMemoryInfo(handle)
            cards.append(Card(pynvml.nvmlDeviceGetName(handle), memory.total, memory.free))
        return str(pynvml.nvmlSystemGetDriverVersion()), cards
    except pynvml.NVMLError:
        return None, []
    finally:
        pynvml.nvmlShutdown()


def _look_at_memory(report: Report) -> None:
    memory = ram()
    report.memory_bytes, report.free_memory_bytes = memory.total, memory.available
    if memory.available < MIN_FREE_MEMORY_BYTES:
        report.advice.append(
            f"Only {human(memory.available)} of memory are free, the worker alone takes about "
            f"{human(MIN_FREE_MEMORY_BYTES)}: close other programs."
        )


def _look_at_data_dir(report: Report, data_dir: Path) -> None:
    report.data_dir = str(data_dir)
    try:
        there = _nearest(data_dir)
        report.free_disk_bytes = shutil.disk_usage(there).free
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as error:
        report.problems.append(
            f"Data folder {data_dir} cannot be written ({error.strerror}): choose another with --data-dir, or correct "
            "its permissions."
        )
        return
    if report.free_disk_bytes < MIN_FREE_DISK_BYTES:
        report.problems.append(
            f"The disk of the data folder {data_dir} has {human(report.free_disk_bytes)} free, at least "
            f"{human(MIN_FREE_DISK_BYTES)} are needed: make room, or choose another folder with --data-dir."
        )


def _look_at_what_was_learned(report: Report, settings: Settings) -> None:
    """What workers of this data folder stored, measured and say."""
    report.weight_store_bytes = sum(stored.nbytes for stored in WeightStore(settings.weights_dir).files())
    devices = Table.load(settings.calibration_path).devices
    report.measured_kinds = {key: len(calibration.points) for key, calibration in devices.items()}
    for info in _running_workers(settings.journal_path):
        if not prediction.is_cpu(info):
            report.budget_bytes, report.context_bytes = info.get("budget_bytes"), info.get("context_bytes")


def _running_workers(path: Path) -> list[Mapping[str, Any]]:
    """What they say of themselves; a journal that is not there is not made."""
    if not path.exists():
        return []
    try:
        journal = Journal(path)
    except PixArtError:
        return []
    try:
        return [worker.info for worker in journal.workers()]
    finally:
        journal.close()


def _nearest(folder: Path) -> Path:
    """The folder, or the first above it that is there."""
    return next(there for there in (folder, *folder.parents) if there.exists())


def _look_at_cache_dir(report: Report, cache_dir: Path) -> None:
    report.cache_dir = str(cache_dir)
    try:
        report.free_cache_bytes = shutil.disk_usage(_nearest(cache_dir)).free
    except OSError as error:
        report.advice.append(
            f"The Hub's cache {cache_dir} cannot be read ({error.strerror}), nothing can be downloaded: correct its "
            "permissions, or set HF_HOME to another folder."
        )


def _look_at_checkpoints(report: Report, hub: Hub) -> None:
    report.checkpoints = [Standing.of(checkpoint, hub) for checkpoint in catalog()]
    damaged = [standing.problem for standing in report.checkpoints if standing.problem is not None]
    if any(standing.is_on_disk for standing in report.checkpoints):
        report.advice += damaged
    else:
        report.problems += damaged or [f"No checkpoint is on this disk: run `{report.checkpoints[-1].command}`."]


def _lines(report: Report) -> list[str]:
    there = [standing for standing in report.checkpoints if standing.is_on_disk]
    absent = [standing for standing in report.checkpoints if not standing.is_on_disk and standing.problem is None]
    lines = [f"PixArt UI {report.version}, Python {report.python}, {report.system}", "", "Packages"]
    lines += [f"  {name:<17}{version or 'not installed'}" for name, version in report.packages.items()]
    lines += ["", "Devices", *(f"  {text}" for text in _device_lines(report))]
    lines += [
        "",
        "Memory and disk",
        f"  {human(report.free_memory_bytes)} of {human(report.memory_bytes)} of memory are free",
        f"  {human(report.free_disk_bytes)} are free on the disk of the data folder {report.data_dir}",
        f"  {human(report.free_cache_bytes)} are free on the disk of downloaded checkpoints {report.cache_dir}",
        f"  {human(report.weight_store_bytes)} of converted weights are kept in the data folder",
        "",
        "Plans",
        *(f"  {text}" for text in _plan_lines(report)),
        "",
        "Checkpoints on this disk",
        *([f"  {standing.name:<17}{human(standing.bytes_on_disk)}" for standing in there] or ["  none"]),
    ]
    if absent:
        lines += ["", "Checkpoints that can be fetched"]
        lines += [f"  {standing.name:<17}{standing.command}" for standing in absent]
    if report.problems:
        lines += ["", "Problems", *(f"  {sentence}" for sentence in report.problems)]
    if report.advice:
        lines += ["", "Worth knowing", *(f"  {sentence}" for sentence in report.advice)]
    return [*lines, "", "Pictures can be made." if report.can_make_pictures else "Pictures cannot be made yet."]


def _plan_lines(report: Report) -> list[str]:
    """What predictions stand on."""
    asked = show_bytes(report.budget_bytes) if report.budget_bytes is not None else None
    if report.uses_gpu:
        budget = f"{asked} of the GPU" if asked is not None else "all that is free on the GPU"
        known = report.context_bytes
        context = show_bytes(known) if known is not None else "not known until a worker runs"
    else:
        budget = "none, it is for GPUs only" + (f": the {asked} that are set are left aside" if asked else "")
        context = "none on a CPU"
    measured = [
        f"kinds of work measured on {key.partition(' |')[0]}: {count}" for key, count in report.measured_kinds.items()
    ]
    return [
        f"budget: {budget}",
        f"CUDA context, beside the budget: {context}",
        *(measured or ["nothing was measured yet: the first predictions are estimates"]),
    ]


def _device_lines(report: Report) -> list[str]:
    processor = f"CPU with {report.processors} processors"
    if not report.cards:
        return [f"no NVIDIA driver found; the CPU is used ({processor})"]
    cards = [f"{card.name}: {human(card.free_bytes)} of {human(card.total_bytes)} are free" for card in report.cards]
    return [*cards, f"NVIDIA driver {report.driver}", processor]
