"""The page alone, without a worker: what `bench/watching.py` measures. `python -m bench.watched FOLDER PORT`."""

from __future__ import annotations

import sys
from pathlib import Path

from pixart_ui.access.opening import open_door
from pixart_ui.access.sharing import Sharing
from pixart_ui.services import Services
from pixart_ui.settings import Settings
from pixart_ui.ui.build import serve


class NoSupervisor:
    """Workers are somebody else's."""

    def status(self) -> str | None:
        return None


def main(folder: str, port: str) -> None:
    settings = Settings(data_dir=Path(folder), port=int(port))
    serve(Services.open(settings), NoSupervisor(), open_door(settings, Sharing(), {}))


if __name__ == "__main__":
    main(*sys.argv[1:])
