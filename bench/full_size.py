"""A full-size PixArt-Σ checkpoint with random weights, for measuring memory, time and equality without a download.

Memory and time do not depend on the values. Quality does: pictures made with it are noise, and say nothing.

    python -m bench.full_size /tmp/sigma-1024                                     # about 14 GB
    python -m bench.full_size /tmp/sigma-2k --sample-size 256 --rest-from /tmp/sigma-1024   # the transformer alone
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from tests.toy import write_tokenizer

# Configurations as published with the checkpoints on the Hub (`*/config.json`).
T5_XXL = {
    "vocab_size": 32128,
    "d_model": 4096,
    "d_kv": 64,
    "d_ff": 10240,
    "num_layers": 24,
    "num_heads": 64,
    "feed_forward_proj": "gated-gelu",
    "relative_attention_num_buckets": 32,
    "relative_attention_max_distance": 128,
    "tie_word_embeddings": False,
}
SIGMA_TRANSFORMER = {
    "num_attention_heads": 16,
    "attention_head_dim": 72,
    "in_channels": 4,
    "out_channels": 8,
    "num_layers": 28,
    "cross_attention_dim": 1152,
    "caption_channels": 4096,
    "patch_size": 2,
    "use_additional_conditions": False,
}
VAE = {
    "block_out_channels": [128, 256, 512, 512],
    "down_block_types": ["DownEncoderBlock2D"] * 4,
    "up_block_types": ["UpDecoderBlock2D"] * 4,
    "layers_per_block": 2,
    "latent_channels": 4,
    "sample_size": 512,
    "scaling_factor": 0.13025,
}
SCALE = 0.02


INDEX = {
    "_class_name": "PixArtSigmaPipeline",
    # Whoever compares pictures of it says nothing about quality.
    "_random_weights": True,
    "tokenizer": ["transformers", "T5Tokenizer"],
    "text_encoder": ["transformers", "T5EncoderModel"],
    "transformer": ["diffusers", "PixArtTransformer2DModel"],
    "vae": ["diffusers", "AutoencoderKL"],
    "scheduler": ["diffusers", "DPMSolverMultistepScheduler"],
}


def build(
    folder: Path, device: str, *, sample_size: int = 128, num_t5_layers: int = 24, rest_from: Path | None = None
) -> Path:
    """Write the checkpoint: T5 as fp16 with `wo` in fp32, the rest in fp16. Weights are drawn on `device`.

    `sample_size` 128 is Sigma-1024 and 256 Sigma-2K. Everything but the transformer can be linked `rest_from` another
    such folder, as the 2K repository takes it from its sibling.
    """
    from diffusers import PixArtTransformer2DModel

    folder.mkdir(parents=True, exist_ok=True)
    if rest_from is None:
        _write_rest(folder, device, num_t5_layers)
    else:
        for name in ("tokenizer", "text_encoder", "vae", "scheduler"):
            (folder / name).symlink_to((rest_from / name).resolve(), target_is_directory=True)
    transformer = SIGMA_TRANSFORMER | {"sample_size": sample_size, "interpolation_scale": sample_size // 64}
    _write(folder / "transformer", lambda: PixArtTransformer2DModel(**transformer), device)
    (folder / "model_index.json").write_text(json.dumps(INDEX))
    return folder


def _write_rest(folder: Path, device: str, num_t5_layers: int) -> None:
    from diffusers import AutoencoderKL, DPMSolverMultistepScheduler
    from transformers import T5Config, T5EncoderModel

    write_tokenizer(folder / "tokenizer")
    config = T5Config(**(T5_XXL | {"num_layers": num_t5_layers}))
    _write(folder / "text_encoder", lambda: T5EncoderModel(config), device)
    _write(folder / "vae", lambda: AutoencoderKL(**VAE), device)
    DPMSolverMultistepScheduler(beta_schedule="linear", beta_start=1e-4, beta_end=0.02).save_pretrained(
        folder / "scheduler"
    )


def _write(folder: Path, make: Callable[[], Any], device: str) -> None:
    """Make a module without spending time on its own initialisation, draw its weights, save it, forget it."""
    torch.manual_seed(0)
    previous = torch.get_default_dtype()
    torch.set_default_dtype(torch.float16)
    try:
        with torch.device("meta"):
            module = make()
    finally:
        torch.set_default_dtype(previous)
    module = module.to_empty(device=device)
    if hasattr(module, "tie_weights"):  # the meta device forgot that T5's two embeddings are one
        module.tie_weights()
    for name, parameter in module.named_parameters():
        if ".wo." in name:
            parameter.data = parameter.data.float()
        # Norm weights near one and small linear weights keep T5's states finite in fp16.
        is_norm = parameter.ndim == 1 and name.endswith("weight")
        torch.nn.init.constant_(parameter, 1.0) if is_norm else torch.nn.init.normal_(parameter, std=SCALE)
    module.save_pretrained(folder, max_shard_size="5GB")
    del module
    if device.startswith("cuda"):
        torch.cuda.empty_cache()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--t5-layers", type=int, default=24)
    parser.add_argument("--sample-size", type=int, default=128, choices=(32, 64, 128, 256), help="256 is Sigma-2K")
    parser.add_argument("--rest-from", type=Path, metavar="FOLDER", help="link all but the transformer from there")
    arguments = parser.parse_args()
    build(
        arguments.folder,
        arguments.device,
        sample_size=arguments.sample_size,
        num_t5_layers=arguments.t5_layers,
        rest_from=arguments.rest_from,
    )


if __name__ == "__main__":
    main()
