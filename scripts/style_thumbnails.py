"""Draws the little pictures of PixArt-Tiny's styles with PixArt-Tiny itself: `python -m scripts.style_thumbnails`.

One scene with one seed in every style and in none, kept small in `pixart_ui/assets/styles/tiny/`.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

from pixart_ui.presets import Styles
from pixart_ui.services import presets_dir
from pixart_ui.ui import theme
from pixart_ui.ui.style_pictures import FOLDER, NO_STYLE, file_name

CHECKPOINT = "tiny"
PROMPT = "a small red house to the left of a green tree at dawn"
SEED = 11
STEPS = 30
SIDE = 144


def main() -> None:
    out = theme.ASSETS / FOLDER / CHECKPOINT
    out.mkdir(parents=True, exist_ok=True)
    styles = [name for name in Styles.load(presets_dir()).names(CHECKPOINT) if is_own(name)]
    with tempfile.TemporaryDirectory() as folder:
        for style in (None, *styles):
            picture = draw(style, Path(folder))
            with Image.open(picture) as image:
                image.resize((SIDE, SIDE), Image.Resampling.LANCZOS).save(out / file_name(style or ""), quality=82)


def is_own(name: str) -> bool:
    """Whether the style is the checkpoint's own, as the form offers those alone."""
    style = Styles.load(presets_dir()).get(name, CHECKPOINT)
    return style is not None and style.checkpoints is not None


def draw(style: str | None, folder: Path) -> Path:
    picture = folder / f"{style or NO_STYLE}.png"
    command = [sys.executable, "-m", "pixart_ui", "generate", PROMPT, "--checkpoint", CHECKPOINT, "--device", "cpu"]
    settings = ["--seed", str(SEED), "--steps", str(STEPS), "--data-dir", str(folder / "data"), "--out", str(picture)]
    subprocess.run([*command, *settings, *(["--style", style] if style is not None else [])], check=True)
    return picture


if __name__ == "__main__":
    main()
