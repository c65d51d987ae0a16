"""Small files in the Hub's layout: real safetensors, a zip of PyTorch's kind, JSON, a SentencePiece-shaped file."""

from __future__ import annotations

import io
import json
import os
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path

from pixart_ui.catalog import COMPONENTS, Checkpoint, Component

MAIN = "somebody/painter"
SIBLING = "somebody/small-painter"


def safetensors(tensors: Mapping[str, int], seed: int = 0) -> bytes:
    """A safetensors file with one-dimensional uint8 tensors of these lengths."""
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    at = 0
    for name, length in tensors.items():
        header[name] = {"dtype": "U8", "shape": [length], "data_offsets": [at, at + length]}
        at += length
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + bytes((index * 31 + seed) % 251 for index in range(at))


def pickled(seed: int = 0) -> bytes:
    """A zip as torch.save writes it; nothing here reads what is inside."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        for name, data in (("archive/data.pkl", b"\x80\x02}q\x00."), ("archive/data/0", bytes([seed]) * 5000)):
            archive.writestr(zipfile.ZipInfo(name), data)  # ZipInfo: always the same date
    return target.getvalue()


def json_bytes(**values: object) -> bytes:
    return json.dumps(values).encode()


SPIECE = b"".join(
    b"\x0a" + bytes([len(piece)]) + piece for piece in (b"\x0a\x05<pad>", b"\x0a\x04</s>", b"\x0a\x03sun")
)


def component_files(component: Component, seed: int = 0) -> dict[str, bytes]:
    """The files of one component by name, with some that nobody needs."""
    if component == "tokenizer":
        return {"spiece.model": SPIECE, "tokenizer_config.json": json_bytes(kind="t5"), "README.md": b"read me"}
    if component == "scheduler":
        return {"scheduler_config.json": json_bytes(_class_name="DPMSolverMultistepScheduler", seed=seed)}
    if component == "text_encoder":
        return {
            "config.json": json_bytes(d_model=64),
            "model-00001-of-00002.safetensors": safetensors({"shared": 70_000, "block.0": 30_000}, seed + 1),
            "model-00002-of-00002.safetensors": safetensors({"block.1": 60_000}, seed + 2),
            "model.safetensors.index.json": json_bytes(
                weight_map={
                    "shared": "model-00001-of-00002.safetensors",
                    "block.0": "model-00001-of-00002.safetensors",
                    "block.1": "model-00002-of-00002.safetensors",
                }
            ),
            "model.fp16.safetensors": safetensors({"shared": 40}, seed),
            "pytorch_model.bin": pickled(seed),
        }
    return {
        "config.json": json_bytes(sample_size=32, component=component),
        "diffusion_pytorch_model.safetensors": safetensors({"weight": 20_000}, seed + 3 + len(component)),
        "diffusion_pytorch_model.fp16.safetensors": safetensors({"weight": 10_000}, seed),
        "diffusion_pytorch_model.bin": pickled(seed),
    }


def repository(*components: Component, seed: int = 0) -> dict[str, bytes]:
    """A repository's files by path; all components if none is named."""
    files = {"README.md": b"# A painter", "sample.png": b"png"}
    if not components:
        files["model_index.json"] = json_bytes(_class_name="PixArtSigmaPipeline")
    for component in components or COMPONENTS:
        for name, data in component_files(component, seed).items():
            files[f"{component}/{name}"] = data
    return files


def write_folder(folder: Path) -> Path:
    """A sound local checkpoint."""
    for path, data in repository().items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
    return folder


def flip(path: Path) -> None:
    """Change one byte as a failing disk does: size and time stay."""
    stat = path.stat()
    data = bytearray(path.read_bytes())
    data[-7] ^= 1
    path.write_bytes(data)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def checkpoint(
    name: str = "painter",
    repo: str = MAIN,
    siblings: Mapping[Component, str] | None = None,
    *,
    pickled: tuple[Component, ...] = (),
) -> Checkpoint:
    repos: dict[Component, str] = dict.fromkeys(COMPONENTS, repo)
    return Checkpoint(name, "The Painter", "sigma", 32, repos | dict(siblings or {}), pickled=pickled)


# A checkpoint whose own repository holds only a transformer.
SMALL = checkpoint(
    "small-painter",
    SIBLING,
    {"tokenizer": MAIN, "text_encoder": MAIN, "vae": MAIN, "scheduler": MAIN},
)
