"""Where the Hub's cache keeps a snapshot, and the command that fetches a checkpoint."""

from __future__ import annotations

from pathlib import Path

from pixart_ui.catalog import Checkpoint


def snapshot_folder(cache_dir: Path, repo: str, commit: str) -> Path:
    """The folder of one commit in the layout that all of the Hub's tools share."""
    return cache_dir / f"models--{repo.replace('/', '--')}" / "snapshots" / commit


def command(checkpoint: Checkpoint, *, allow_pickle: bool = False) -> str:
    """What a person types to fetch the checkpoint."""
    flag = " --allow-pickle" if allow_pickle or checkpoint.pickled else ""
    return f"python -m pixart_ui models download {checkpoint.name}{flag}"
