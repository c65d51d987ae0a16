"""Where things are and how the program was started: read once at the edge, then passed in.

`Settings.read` is the only place that looks at the environment. Flags win over environment variables.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from pixart_ui.byte_size import parse_bytes
from pixart_ui.errors import InputError

DATA_DIR_VARIABLE = "PIXART_UI_DATA_DIR"
DEVICE_VARIABLE = "PIXART_UI_DEVICE"
BUDGET_VARIABLE = "PIXART_UI_VRAM_BUDGET"


@dataclass(frozen=True)
class Settings:
    """`device` is `auto`, `cpu`, `cuda`, `cuda:N` or `mps`; the worker resolves `auto`.

    `vram_budget` is how many bytes of a GPU tensors may use, None for what is free.
    """

    data_dir: Path
    device: str = "auto"
    host: str = "127.0.0.1"
    port: int = 7860
    vram_budget: int | None = None

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
    ) -> Settings:
        """Combine flags and environment. Raises InputError for a port or device that cannot be."""
        folder = data_dir if data_dir is not None else environ.get(DATA_DIR_VARIABLE)
        chosen = device if device is not None else environ.get(DEVICE_VARIABLE, "auto")
        _check_device(chosen)
        budget = vram_budget if vram_budget is not None else environ.get(BUDGET_VARIABLE)
        if port is not None and not 0 < port < 65536:
            raise InputError(f"Port {port} is out of range, it must be from 1 to 65535: try 7860.")
        return cls(
            data_dir=Path(folder).expanduser().resolve() if folder else _default_data_dir(),
            device=chosen,
            host=host if host is not None else _default_host(environ),
            port=port if port is not None else cls.port,
            vram_budget=parse_bytes(budget, "Budget") if budget else None,
        )

    @property
    def images_dir(self) -> Path:
        return self.data_dir / "images"

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


def _default_data_dir() -> Path:
    return Path(platformdirs.user_data_dir("pixart-ui", appauthor=False))


def _default_host(environ: Mapping[str, str]) -> str:
    """This machine alone; on Hugging Face Spaces, whose proxy stands before the container, every address of it."""
    return "0.0.0.0" if "SPACE_ID" in environ else Settings.host


def _check_device(device: str) -> None:
    kind, _, index = device.partition(":")
    if kind not in ("auto", "cpu", "cuda", "mps") or (index and not (kind == "cuda" and index.isdigit())):
        raise InputError(f"Device {device[:40]!r} is unknown, it must be auto, cpu, cuda, cuda:N or mps: try auto.")
