"""PNG files: written aside and renamed, with the facts in text chunks.

`pixart_ui` holds JSON (resolved request, plan, measurements, versions, component hashes); `parameters` holds the
common one-line form that other programs read. Names come from the job, never from a prompt.
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PIL import Image, PngImagePlugin, UnidentifiedImageError

from pixart_ui.errors import DiskFullError, InputError
from pixart_ui.gallery import png
from pixart_ui.request import ResolvedRequest

JSON_CHUNK = "pixart_ui"
PARAMETERS_CHUNK = "parameters"
FORMAT = 1
MAX_CHUNK_CHARS = 1_000_000
# Larger ones are not unpacked to look for texts behind the pixels.
MAX_PIXELS = 4096 * 4096


def save(image: Image.Image, path: Path, request: ResolvedRequest, facts: Mapping[str, Any]) -> Path:
    """Write `image` to `path` so that no reader ever sees half of it. Raises DiskFullError.

    Overwrites a file of that name: the same job makes the same picture.
    """
    info = PngImagePlugin.PngInfo()
    document = {"format": FORMAT, "request": request.model_dump(mode="json"), **facts}
    info.add_text(JSON_CHUNK, json.dumps(document, ensure_ascii=True))
    info.add_itxt(PARAMETERS_CHUNK, parameters(request))
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with aside.open("wb") as file:
            png.write(file, image, info)
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
    except OSError as error:
        aside.unlink(missing_ok=True)
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFullError(
                f"The picture {path.name} does not fit on the disk of {path.parent}: free some space and try again."
            ) from None
        raise
    return path


def parameters(request: ResolvedRequest) -> str:
    """The common text form: prompt, negative prompt, then settings on one line."""
    transformer = "" if request.is_transformer_usual else f", Transformer precision: {request.transformer_precision}"
    blocks = ", Blocks: compiled" if request.compile_blocks else ""
    settings = (
        f"Steps: {request.steps}, Sampler: {request.scheduler}, CFG scale: {request.guidance_scale:g}, "
        f"Seed: {request.seed}, Size: {request.width}x{request.height}, Model: {Path(request.checkpoint).name}, "
        f"T5 precision: {request.precision}{transformer}{blocks}"
    )
    return f"{request.full_prompt}\nNegative prompt: {request.full_negative_prompt}\n{settings}"


def read_facts(path: Path) -> dict[str, Any]:
    """The JSON that a picture of ours carries. Raises InputError for any other file."""
    try:
        text = texts(path).get(JSON_CHUNK)
    except FileNotFoundError:
        raise InputError(f"Picture {str(path)!r} does not exist: check the path.") from None
    except (OSError, UnidentifiedImageError, ValueError, SyntaxError) as error:
        raise InputError(f"Picture {path.name!r} is not a readable PNG ({error}): choose another file.") from None
    if text is None or len(text) > MAX_CHUNK_CHARS:
        raise InputError(f"Picture {path.name!r} carries no settings of PixArt UI: choose a PNG made by this app.")
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict) or not isinstance(document.get("request"), dict):
        raise InputError(f"Picture {path.name!r} carries damaged settings: choose another PNG made by this app.")
    if document.get("format") != FORMAT:
        raise InputError(
            f"Picture {path.name!r} has settings of format {document.get('format')!r}, this version reads "
            f"format {FORMAT}: update the app."
        )
    return document


def texts(path: Path) -> Mapping[str, str]:
    """All text chunks of a PNG. Ours stand before the pixels, which are then not read.

    Raises what Pillow raises for a file that is none, and ValueError for one that unpacks to too much.
    """
    try:
        with Image.open(path, formats=["PNG"]) as image:
            early = {str(name): text for name, text in image.info.items() if isinstance(text, str)}
            if early or image.width * image.height > MAX_PIXELS:
                return early
            return dict(getattr(image, "text", {}))
    except Image.DecompressionBombError:
        raise ValueError("it has too many pixels") from None


def read_request(path: Path) -> ResolvedRequest:
    """The resolved request that a picture of ours was made from. Raises InputError."""
    return ResolvedRequest.parse(read_facts(path)["request"])
