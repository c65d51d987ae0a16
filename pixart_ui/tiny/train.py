"""Reproduces PixArt-Tiny: draws the scenes, trains VAE, text encoder and transformer, writes the checkpoint.

    python -m pixart_ui.tiny.train --out DIR                 # all of it: about half an hour on one H100 or H200
    python -m pixart_ui.tiny.train --out DIR --only parts    # or one stage: parts, transformer, more, samples

Stages keep their state in DIR/state, so that each can run by itself. Each ends on time by the wall clock. `--smoke`
runs all of it at toy length on a CPU.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pixart_ui.tiny import data, export, models, sampling, train_autoencoder, train_text, train_transformer
from pixart_ui.tiny.captions import evaluation_captions
from pixart_ui.tiny.tokens import train_tokenizer
from pixart_ui.tiny.training import Budget

FIRST_SHARE = 0.475  # of the transformer's time; `more` goes on from 0.5 with other scenes
STAGES = ("parts", "transformer", "more", "samples")
SHARES = (0.84, 0.08, 0.08)
HELD_BACK = 64


@dataclass(frozen=True)
class Lengths:
    """How much of everything. Times in seconds."""

    scenes: int
    other_scenes: int
    parsing_rows: int
    parts_seconds: float  # text encoder, drawing and VAE together: the VAE gets what the others leave
    vae_seconds: float
    text_seconds: float
    transformer_seconds: float  # what a share of 1 would take
    more_seconds: float
    vae_batch: int
    text_batch: int
    batch: int


FULL = Lengths(110_000, 20_000, 300_000, 510, 400, 70, 1110, 330, 128, 2048, 1024)
SMOKE = Lengths(500, 250, 500, 60, 10, 5, 12, 6, 8, 32, 16)


def shelves(out: Path, lengths: Lengths, prefix: str = "") -> list[data.Shelf]:
    """Square pictures, and some landscape and portrait ones; the prefix gives other scenes."""
    folder = out / "scenes"
    return [
        data.Shelf(folder, f"{prefix}square", lengths.scenes, 256, 256),
        data.Shelf(folder, f"{prefix}landscape", lengths.other_scenes, 304, 208),
        data.Shelf(folder, f"{prefix}portrait", lengths.other_scenes, 208, 304),
    ]


def stage_parts(out: Path, lengths: Lengths, device: torch.device) -> None:
    """Text encoder and VAE. All cores draw while the text encoder trains; then every picture becomes latents."""
    started = time.monotonic()

    def note(text: str) -> None:
        print(f"[{time.monotonic() - started:5.0f} s] {text}", flush=True)

    tokenizer = out / "checkpoint" / "tokenizer" / "spiece.model"
    train_tokenizer(tokenizer, 40_000 if lengths is FULL else 2_000)
    rows = data.parsing_rows_by_all_cores(tokenizer, lengths.parsing_rows)
    note("captions are parsed")
    processes = max(1, (os.cpu_count() or 2) - 1)
    drawing = [(shelf, data.fill(shelf, tokenizer, processes)) for shelf in shelves(out, lengths)]
    train_text_encoder(out, rows, lengths, device)
    for _, result in drawing:
        result.get()
    note("scenes are drawn")
    left = lengths.parts_seconds - (time.monotonic() - started)
    train_vae(out, [shelf for shelf, _ in drawing], min(lengths.vae_seconds, left), lengths.vae_batch, device)
    note("parts are trained")


def train_text_encoder(out: Path, rows: list[Any], lengths: Lengths, device: torch.device) -> None:
    ids, targets = (torch.from_numpy(values).to(device) for values in rows)
    torch.manual_seed(1)
    text_encoder = models.text_encoder().to(device)
    train_text.train(text_encoder, ids, targets, lengths.text_seconds, lengths.text_batch)
    torch.save(text_encoder.state_dict(), out / "state" / "text.pt")


def train_vae(out: Path, drawn: list[data.Shelf], seconds: float, batch: int, device: torch.device) -> None:
    square = torch.from_numpy(drawn[0].pictures()).to(device)
    torch.manual_seed(0)
    vae = models.autoencoder().to(device)
    vae = train_autoencoder.train(vae, square[:-HELD_BACK], seconds, batch)
    held_back = square[-HELD_BACK:].clone()
    del square
    latents = {shelf.name: train_autoencoder.to_latents(vae, shelf.pictures(), device) for shelf in drawn}
    scale = 1.0 / float(latents["square"].float().std())
    vae.register_to_config(scaling_factor=round(scale, 5))
    print(f"vae: PSNR {train_autoencoder.psnr(vae, held_back):.2f} dB, scaling factor {scale:.4f}", flush=True)
    export.save(out / "checkpoint", vae=vae)
    rgb = export.latent_rgb(vae, held_back)
    (out / "checkpoint" / "vae" / "latent_rgb.json").write_text(json.dumps(rgb) + "\n")
    torch.save({name: value.cpu() for name, value in latents.items()}, out / "state" / "latents.pt")
    (out / "state" / "scale.json").write_text(json.dumps(vae.config.scaling_factor))


def stage_transformer(out: Path, lengths: Lengths, device: torch.device, start: float, end: float) -> None:
    """Trains the share `start` … `end` of the transformer's time, going on from where the last part stopped."""
    torch.manual_seed(2 + int(100 * start))
    scale = float(json.loads((out / "state" / "scale.json").read_text()))
    latents = torch.load(out / "state" / "latents.pt", weights_only=True)
    sizes = []
    for shelf, share in zip(shelves(out, lengths), SHARES, strict=True):
        captions = torch.from_numpy(shelf.captions()).to(device)
        scaled = (latents[shelf.name].float() * scale).half().to(device)
        sizes.append((train_transformer.Latents(scaled, captions), share))
    transformer, text_encoder = models.transformer().to(device), models.text_encoder().to(device)
    text_encoder.load_state_dict(torch.load(out / "state" / "text.pt", weights_only=True))
    state = train_transformer.new_state(transformer, text_encoder, rate=1e-3)
    kept = out / "state" / "transformer.pt"
    if start > 0:
        train_transformer.load(state, torch.load(kept, map_location=device, weights_only=True))
    seconds = lengths.transformer_seconds * (end - start)
    train_transformer.train(state, sizes, models.scheduler(), Budget(seconds, start=start, end=end), lengths.batch)
    torch.save(train_transformer.dump(state), kept)
    export.save(out / "checkpoint", text_encoder=state.text_average.module, transformer=state.average.module)
    print(f"transformer: {state.pictures_seen / 1e6:.2f} M pictures seen", flush=True)


def stage_more(out: Path, lengths: Lengths, device: torch.device) -> None:
    """Goes on from the exported weights with freshly drawn scenes, while the learning rate falls to 0."""
    checkpoint = out / "checkpoint"
    tokenizer = checkpoint / "tokenizer" / "spiece.model"
    processes = max(1, (os.cpu_count() or 2) - 1)
    drawing = [(shelf, data.fill(shelf, tokenizer, processes)) for shelf in shelves(out, lengths, "more-")]
    pipeline = sampling.load_pipeline(checkpoint, str(device))
    for module in (pipeline.transformer, pipeline.text_encoder):
        module.train().requires_grad_(True)
    train_transformer.compile_ahead(pipeline.transformer, pipeline.text_encoder, shelves(out, lengths), lengths.batch)
    print("compiled", flush=True)
    state = train_transformer.new_state(pipeline.transformer, pipeline.text_encoder, rate=1e-3)
    sizes = []
    for (shelf, result), share in zip(drawing, SHARES, strict=True):
        result.get()
        latents = train_autoencoder.to_latents(pipeline.vae, shelf.pictures(), device)
        scaled = (latents.float() * pipeline.vae.config.scaling_factor).half()
        sizes.append((train_transformer.Latents(scaled, torch.from_numpy(shelf.captions()).to(device)), share))
    print("scenes are drawn", flush=True)
    budget = Budget(lengths.more_seconds, warm_up=0.05, start=0.5, end=1.0)
    train_transformer.train(state, sizes, models.scheduler(), budget, lengths.batch)
    export.save(checkpoint, text_encoder=state.text_average.module, transformer=state.average.module)
    print(f"more: {state.pictures_seen / 1e6:.2f} M pictures seen", flush=True)


def stage_samples(out: Path, device: torch.device, count: int) -> None:
    """A sheet of 64, and the held-out captions with the checker's verdict where there is one."""
    pipeline = sampling.load_pipeline(out / "checkpoint", str(device))
    captions = sampling.varied_captions(min(64, count))
    sampling.sheet(sampling.pictures(pipeline, captions)).save(out / "sheet.png")
    (out / "sheet.json").write_text(json.dumps(captions, indent=1))
    held_out = list(evaluation_captions(count))
    images = sampling.pictures(pipeline, held_out)
    sampling.sheet(images, columns=20).save(out / "held-out.png")
    (out / "held-out.json").write_text(json.dumps(held_out, indent=1))
    from pixart_ui.tiny.checker import check

    totals = np.zeros(6, int)
    for image, caption in zip(images, held_out, strict=True):
        verdict = check(image, caption)
        totals += (
            verdict.colours_right,
            verdict.colours_total,
            verdict.shapes_right,
            verdict.shapes_total,
            verdict.relations_right,
            verdict.relations_total,
        )
    for name, (right, total) in zip(("colours", "shapes", "relations"), totals.reshape(3, 2), strict=True):
        print(f"{name}: {right} of {total} = {right / max(1, total):.1%}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--only", choices=STAGES, nargs="*", default=STAGES)
    parser.add_argument(
        "--share", type=float, nargs=2, default=(0.0, FIRST_SHARE), help="part of the transformer's training"
    )
    parser.add_argument("--scenes", type=int, help="square scenes to draw, where not the usual number")
    parser.add_argument("--smoke", action="store_true")
    arguments = parser.parse_args()
    torch.set_float32_matmul_precision("high")
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    lengths = SMOKE if arguments.smoke else FULL
    if arguments.scenes is not None:
        lengths = replace(lengths, scenes=arguments.scenes, other_scenes=arguments.scenes // 6)
    (arguments.out / "state").mkdir(parents=True, exist_ok=True)
    if "parts" in arguments.only:
        stage_parts(arguments.out, lengths, device)
    if "transformer" in arguments.only:
        stage_transformer(arguments.out, lengths, device, *arguments.share)
    if "more" in arguments.only:
        stage_more(arguments.out, lengths, device)
    if "samples" in arguments.only:
        stage_samples(arguments.out, device, 4 if arguments.smoke else 300)


if __name__ == "__main__":
    main()
