"""Where things are and how the program was started: read once at the edge, then passed in.

`Settings.read` is the only place that looks at the environment. Flags win over environment variables.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import platformdirs

from pixart_ui.byte_size import parse_bytes
from pixart_ui.cluster.address import parse_cluster
from pixart_ui.devices import check_device, parse_devices
from pixart_ui.errors import InputError

DATA_DIR_VARIABLE = "PIXART_UI_DATA_DIR"
DEVICE_VARIABLE = "PIXART_UI_DEVICE"
DEVICES_VARIABLE = "PIXART_UI_DEVICES"
CLUSTER_VARIABLE = "PIXART_UI_CLUSTER"
BUDGET_VARIABLE = "PIXART_UI_VRAM_BUDGET"
MOST_IN_A_GROUP = 64


class _Whole(NamedTuple):
    """A setting that is a whole number, or left out."""

    words: str
    most: int
    example: int

    def parse(self, text: str) -> int:
        if not (text.isascii() and text.isdigit() and len(text) <= 12 and 1 <= int(text) <= self.most):
            raise InputError(
                f"{self.words} {text[:40]!r} is out of range, it must be a whole number from 1 to {self.most:,}: "
                f"try {self.example}."
            )
        return int(text)


# By name; the environment variable of each is PIXART_UI_ and the name in capitals.
_WHOLES: Mapping[str, _Whole] = {
    "group_size": _Whole("Group size", MOST_IN_A_GROUP, 8),
    "keep_images": _Whole("Number of images to keep", 1_000_000_000, 1000),
    "keep_days": _Whole("Number of days to keep images", 100_000, 30),
    "max_jobs": _Whole("Number of jobs", 1_000_000_000, 1000),
    "max_jobs_per_owner": _Whole("Number of jobs of an owner", 1_000_000_000, 100),
}


@dataclass(frozen=True)
class Settings:
    """`device` is `auto`, `cpu`, `cpu:N`, `cuda`, `cuda:N` or `mps`, which the worker resolves, or a pair with a plus.

    The page starts a worker for each of `devices`, where none is named one on `device`; with a `cluster`, which is
    `auto` or an address, workers are Ray's.

    `vram_budget` is how many bytes of a GPU tensors may use, None for what is free. `group_size` is how many jobs a
    worker claims at a time, None for what the planner predicts. Beyond the newest `keep_images`, and after `keep_days`,
    pictures are deleted that have no star. `max_jobs` and `max_jobs_per_owner` may wait or run at a time. None is
    without end.
    """

    data_dir: Path
    device: str = "auto"
    host: str = "127.0.0.1"
    port: int = 7860
    vram_budget: int | None = None
    group_size: int | None = None
    keep_images: int | None = None
    keep_days: int | None = None
    max_jobs: int | None = None
    max_jobs_per_owner: int | None = None
    devices: tuple[str, ...] = ()
    cluster: str | None = None

    @classmethod
    def read(
        cls,
        environ: Mapping[str, str],
        *,
        data_dir: str | None = None,
        device: str | None = None,
        host: str | None = None,
        port: int | None = None,
        vram_budget: str | None = None,
        devices: str | None = None,
        cluster: str | None = None,
        **wholes: str | None,
    ) -> Settings:
        """Combine flags and environment; `wholes` are the settings from `group_size` on, as text.

        Raises InputError for what cannot be.
        """
        folder = data_dir if data_dir is not None else environ.get(DATA_DIR_VARIABLE)
        chosen = device if device is not None else environ.get(DEVICE_VARIABLE, "auto")
        check_device(chosen)
        places = _places(environ, device, devices, cluster)
        budget = vram_budget if vram_budget is not None else environ.get(BUDGET_VARIABLE)
        if port is not None and not 0 < port < 65536:
            raise InputError(f"Port {port} is out of range, it must be from 1 to 65535: try 7860.")
        return cls(
            data_dir=Path(folder).expanduser().resolve() if folder else _default_data_dir(),
            device=chosen,
            host=host if host is not None else _default_host(environ),
            port=port if port is not None else cls.port,
            vram_budget=parse_bytes(budget, "Budget") if budget else None,
            devices=parse_devices(places["devices"]) if places["devices"] else (),
            cluster=parse_cluster(places["cluster"]) if places["cluster"] else None,
            **{name: _whole(name, environ, wholes.get(name)) for name in _WHOLES},
        )

    @property
    def images_dir(self) -> Path:
        return self.data_dir / "images"

    @property
    def trash_dir(self) -> Path:
        """Pictures that somebody deleted, for as long as that can be taken back."""
        return self.data_dir / "trash"

    @property
    def thumbnails_dir(self) -> Path:
        """Small copies of pictures; a cache, safe to delete."""
        return self.temp_dir / "thumbnails"

    def thumbnail_path(self, image: str) -> Path:
        """Where the thumbnail of the picture of that name is, once somebody has looked at it."""
        return self.thumbnails_dir / f"{Path(image).stem}.webp"

    @property
    def previews_dir(self) -> Path:
        return self.data_dir / "previews"

    @property
    def journal_path(self) -> Path:
        return self.data_dir / "journal.sqlite3"

    @property
    def calibration_path(self) -> Path:
        """What was measured on the devices here; predictions come from it."""
        return self.data_dir / "calibration.json"

    @property
    def embeddings_dir(self) -> Path:
        """Prompts that were encoded already; a cache, safe to delete."""
        return self.data_dir / "embeddings"

    @property
    def latents_dir(self) -> Path:
        """Pictures that are drawn and not yet recorded."""
        return self.data_dir / "latents"

    @property
    def comparisons_dir(self) -> Path:
        """A folder for each comparison, which is a report that can be opened without this app."""
        return self.data_dir / "comparisons"

    @property
    def compile_dir(self) -> Path:
        """What torch and Triton compiled for the devices here; a cache, safe to delete."""
        return self.data_dir / "compiled"

    @property
    def logs_dir(self) -> Path:
        return self.data_dir / "logs"

    @property
    def checkpoints_dir(self) -> Path:
        """One small JSON record for each checkpoint that was fetched; the weights are in the Hub's own cache."""
        return self.data_dir / "checkpoints"

    @property
    def weights_dir(self) -> Path:
        """Weights in the form that a precision wants them in, where a checkpoint has them otherwise."""
        return self.data_dir / "weights"

    @property
    def temp_dir(self) -> Path:
        return self.data_dir / "tmp"


def _whole(name: str, environ: Mapping[str, str], given: str | None) -> int | None:
    text = given if given is not None else environ.get(f"PIXART_UI_{name.upper()}")
    return _WHOLES[name].parse(text) if text else None


def _default_data_dir() -> Path:
    return Path(platformdirs.user_data_dir("pixart-ui", appauthor=False))


def _default_host(environ: Mapping[str, str]) -> str:
    """This machine alone; on Hugging Face Spaces, whose proxy stands before the container, every address of it."""
    return "0.0.0.0" if "SPACE_ID" in environ else Settings.host


def _places(
    environ: Mapping[str, str], device: str | None, devices: str | None, cluster: str | None
) -> Mapping[str, str | None]:
    """Where to draw, beyond one device: any flag of the three outdoes the environment. Raises InputError for two."""
    flags = {"device": device, "devices": devices, "cluster": cluster}
    given = [f"--{name}" for name, value in flags.items() if value is not None]
    if len(given) > 1:
        raise InputError(f"{' and '.join(given)} each say where to draw: give one of them.")
    if given:
        return flags
    found = {"devices": environ.get(DEVICES_VARIABLE), "cluster": environ.get(CLUSTER_VARIABLE)}
    if all(found.values()):
        raise InputError(f"{DEVICES_VARIABLE} and {CLUSTER_VARIABLE} each say where to draw: set one of them.")
    return found
