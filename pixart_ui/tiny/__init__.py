"""PixArt-Tiny: the embedded checkpoint, the small world it was trained on, and the script that trains it.

Importing this module imports neither torch nor Pillow and reads no file.
"""

from pathlib import Path


def checkpoint_dir() -> Path:
    """The folder that holds PixArt-Tiny in the Hub's diffusers layout."""
    return Path(__file__).resolve().parent / "weights"
