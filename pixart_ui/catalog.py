"""The checkpoints that can be asked for: a table of values, and local folders in diffusers' layout.

A `Checkpoint` says what it is and where each component comes from, never whether it is on this disk (see `hub.py`).
Repositories that ship only a transformer take the rest from a sibling, and every checkpoint takes T5 from one shared
source, so that its 19 GB are fetched once. No hash is written here: the revision that was fetched is recorded then.

Sources: the model cards of PixArt-α and PixArt-Σ, diffusers' pipelines for the token limits and the bins.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pixart_ui.bins import Size
from pixart_ui.errors import CheckpointError, InputError, unknown_name
from pixart_ui.request import Scheduler

Family = Literal["alpha", "sigma"]
Component = Literal["tokenizer", "text_encoder", "transformer", "vae", "scheduler"]

COMPONENTS: tuple[Component, ...] = ("tokenizer", "text_encoder", "transformer", "vae", "scheduler")
MAX_TOKENS: Mapping[Family, int] = {"alpha": 120, "sigma": 300}
GENERAL_SCHEDULERS = (
    Scheduler.DPM_SOLVER,
    Scheduler.SA_SOLVER,
    Scheduler.UNIPC,
    Scheduler.EULER,
    Scheduler.DDIM,
    Scheduler.DDPM,
)

ALPHA_1024 = "PixArt-alpha/PixArt-XL-2-1024-MS"
SIGMA_1024 = "PixArt-alpha/PixArt-Sigma-XL-2-1024-MS"
SHARED_T5 = SIGMA_1024


@dataclass(frozen=True)
class Checkpoint:
    """A named set of components. `repos` maps each component to its Hub repository; `folder` is a local one instead.

    `sample_size` is the side of the square latents in the transformer's config; it decides the resolution bins.
    `timesteps` is set for checkpoints distilled to fixed ones. `default_guidance` 0 means no guidance.
    """

    name: str
    title: str
    family: Family
    sample_size: int
    repos: Mapping[Component, str] = field(default_factory=dict)
    folder: Path | None = None
    default_scheduler: Scheduler = Scheduler.DPM_SOLVER
    schedulers: tuple[Scheduler, ...] = GENERAL_SCHEDULERS
    default_steps: int = 20
    default_guidance: float = 4.5
    has_guidance: bool = True
    timesteps: tuple[int, ...] | None = None
    pickled: tuple[Component, ...] = ()
    note: str = ""
    needs: str = ""
    licence: str = "CreativeML Open RAIL++-M"

    @property
    def max_tokens(self) -> int:
        """How many T5 tokens of a prompt are read."""
        return MAX_TOKENS[self.family]

    @property
    def default_size(self) -> Size:
        return Size(self.sample_size * 8, self.sample_size * 8)

    @property
    def is_local(self) -> bool:
        return self.folder is not None


def _hub(name: str, title: str, family: Family, sample_size: int, repo: str, **rest: Any) -> Checkpoint:
    """A checkpoint of the Hub: everything from `repo`, except what `siblings` names, and T5 from the shared source."""
    siblings: dict[Component, str] = rest.pop("siblings", {})
    repos: dict[Component, str] = dict.fromkeys(COMPONENTS, repo)
    repos["text_encoder"] = SHARED_T5
    return Checkpoint(name, title, family, sample_size, repos | siblings, **rest)


_REST_OF_SIGMA: dict[Component, str] = {"tokenizer": SIGMA_1024, "vae": SIGMA_1024, "scheduler": SIGMA_1024}
_REST_OF_ALPHA: dict[Component, str] = {"tokenizer": ALPHA_1024, "vae": ALPHA_1024, "scheduler": ALPHA_1024}
_T5_ONCE = "T5 (19 GB, once for all checkpoints) and 2.8 GB"


def tiny(folder: Path) -> Checkpoint:
    """PixArt-Tiny, the checkpoint that comes with this project."""
    return Checkpoint(
        "tiny",
        "PixArt-Tiny · 256",
        "sigma",
        32,
        folder=folder,
        note="A small world of shapes and houses. Comes with the app, runs on any processor.",
        needs="Nothing to download",
        licence="Apache-2.0",
    )


def hub_checkpoints() -> tuple[Checkpoint, ...]:
    """The published checkpoints, best first within a family."""
    return (
        _hub(
            "sigma-1024",
            "PixArt-Σ · 1024",
            "sigma",
            128,
            SIGMA_1024,
            note="The best all-round checkpoint; prompts up to 300 tokens.",
            needs=_T5_ONCE,
        ),
        _hub(
            "sigma-2k",
            "PixArt-Σ · 2K",
            "sigma",
            256,
            "PixArt-alpha/PixArt-Sigma-XL-2-2K-MS",
            siblings=_REST_OF_SIGMA,
            note="Pictures up to 2048 × 2048 and beyond; four times the work of 1024.",
            needs=_T5_ONCE,
        ),
        _hub(
            "sigma-512",
            "PixArt-Σ · 512",
            "sigma",
            64,
            "PixArt-alpha/PixArt-Sigma-XL-2-512-MS",
            note="Quick pictures of 512 × 512.",
            needs=_T5_ONCE,
        ),
        _hub(
            "sigma-256",
            "PixArt-Σ · 256",
            "sigma",
            32,
            "PixArt-alpha/PixArt-Sigma-XL-2-256x256",
            note="The quickest Σ: 256 × 256.",
            needs=_T5_ONCE,
        ),
        _hub(
            "alpha-1024",
            "PixArt-α · 1024",
            "alpha",
            128,
            ALPHA_1024,
            note="The first PixArt; prompts up to 120 tokens.",
            needs=_T5_ONCE,
        ),
        _hub(
            "alpha-512",
            "PixArt-α · 512",
            "alpha",
            64,
            "PixArt-alpha/PixArt-XL-2-512x512",
            note="Quick pictures of 512 × 512.",
            needs=_T5_ONCE,
        ),
        _hub(
            "alpha-256",
            "PixArt-α · 256",
            "alpha",
            32,
            "PixArt-alpha/PixArt-XL-2-256x256",
            note="The quickest α: 256 × 256.",
            needs=_T5_ONCE,
        ),
        _hub(
            "alpha-lcm-1024",
            "PixArt-δ · LCM 1024",
            "alpha",
            128,
            "PixArt-alpha/PixArt-LCM-XL-2-1024-MS",
            default_scheduler=Scheduler.LCM,
            schedulers=(Scheduler.LCM,),
            default_steps=4,
            default_guidance=0.0,
            has_guidance=False,
            note="Four steps, without guidance.",
            needs=_T5_ONCE,
        ),
        _hub(
            "alpha-dmd-512",
            "PixArt-α · DMD 512",
            "alpha",
            64,
            "PixArt-alpha/PixArt-Alpha-DMD-XL-2-512x512",
            siblings=_REST_OF_ALPHA,
            default_scheduler=Scheduler.DDPM,
            schedulers=(Scheduler.DDPM,),
            default_steps=1,
            default_guidance=0.0,
            has_guidance=False,
            timesteps=(400,),
            pickled=("transformer",),
            note="One step, without guidance.",
            needs=_T5_ONCE,
        ),
    )


class Catalog:
    """All checkpoints by name. A name that is a folder in diffusers' layout is a checkpoint too."""

    def __init__(self, entries: Iterable[Checkpoint]) -> None:
        self._entries = {entry.name: entry for entry in entries}

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._entries)

    def __iter__(self) -> Iterator[Checkpoint]:
        return iter(self._entries.values())

    def get(self, name: str) -> Checkpoint:
        """The checkpoint of that name, or of that folder. Raises InputError, or CheckpointError for a bad folder."""
        if name in self._entries:
            return self._entries[name]
        if "/" in name or "\\" in name or name.startswith("."):
            return from_folder(Path(name).expanduser())
        raise unknown_name("checkpoint", name, self._entries, "checkpoint")


def from_folder(folder: Path) -> Checkpoint:
    """Describe a local folder in diffusers' layout, reading its two small JSON files only.

    Raises InputError where the folder is no such thing, CheckpointError where a file of it is missing or unreadable.
    """
    if not folder.is_dir():
        raise InputError(
            f"Checkpoint {str(folder)!r} is not a folder: give the name of a checkpoint, or a folder "
            "that holds model_index.json.",
            "checkpoint",
        )
    folder = folder.resolve()
    family = _family(_read_json(folder / "model_index.json"), folder)
    config = _read_json(folder / "transformer" / "config.json")
    sample_size = config.get("sample_size")
    if sample_size not in (32, 64, 128, 256):
        raise CheckpointError(
            f"{folder / 'transformer' / 'config.json'} says sample_size {sample_size!r}, PixArt has 32, 64, 128 or "
            "256: this is not a PixArt transformer."
        )
    return Checkpoint(str(folder), folder.name, family, sample_size, folder=folder, note="A local folder.", licence="")


def _family(index: Mapping[str, Any], folder: Path) -> Family:
    pipeline = str(index.get("_class_name", ""))
    if pipeline.startswith("PixArtAlpha"):
        return "alpha"
    if pipeline.startswith("PixArtSigma"):
        return "sigma"
    raise CheckpointError(
        f"{folder / 'model_index.json'} describes a {pipeline[:60] or 'pipeline without a name'}, not a "
        "PixArtAlphaPipeline or PixArtSigmaPipeline: choose another folder."
    )


def _read_json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CheckpointError(f"{path} is missing: copy the whole checkpoint again.") from None
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{path} cannot be read ({error}): copy the whole checkpoint again.") from None
    if not isinstance(value, dict):
        raise CheckpointError(f"{path} is not a JSON object: copy the whole checkpoint again.")
    return value
