"""Tiny checkpoints with random weights in the Hub's layout, for tests that need a file structure and not a picture.

Dimensions are multiples of 64, as bitsandbytes wants them. The same seed gives the same weights.
"""

from __future__ import annotations

import io
import json
from pathlib import Path

WIDTH = 64
WORDS = "a red blue green circle square above below left right of the at night sunset house tree moon picture " * 3


def make_toy_checkpoint(folder: Path, family: str = "sigma", *, sample_size: int = 32, seed: int = 0) -> Path:
    """Write a complete PixArt checkpoint; `sample_size` 128 with family alpha has α's micro-conditions."""
    import torch
    from diffusers import DPMSolverMultistepScheduler

    torch.manual_seed(seed)
    write_tokenizer(folder / "tokenizer")
    _text_encoder(folder / "text_encoder")
    _transformer(folder / "transformer", family, sample_size)
    _vae(folder / "vae")
    DPMSolverMultistepScheduler(beta_schedule="linear", beta_start=1e-4, beta_end=0.02).save_pretrained(
        folder / "scheduler"
    )
    index = {
        "_class_name": f"PixArt{family.title()}Pipeline",
        "_diffusers_version": "0.42.1",
        "tokenizer": ["transformers", "T5Tokenizer"],
        "text_encoder": ["transformers", "T5EncoderModel"],
        "transformer": ["diffusers", "PixArtTransformer2DModel"],
        "vae": ["diffusers", "AutoencoderKL"],
        "scheduler": ["diffusers", "DPMSolverMultistepScheduler"],
    }
    (folder / "model_index.json").write_text(json.dumps(index))
    return folder


def write_tokenizer(folder: Path) -> None:
    """A bare `spiece.model`, as the Hub's PixArt repositories have it."""
    import sentencepiece

    folder.mkdir(parents=True)
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(WORDS.split() + list("abcdefghijklmnopqrstuvwxyz0123456789,.-'")),
        model_writer=model,
        vocab_size=96,
        hard_vocab_limit=False,
        model_type="unigram",
        pad_id=0,
        eos_id=1,
        unk_id=2,
        bos_id=-1,
        minloglevel=2,
    )
    (folder / "spiece.model").write_bytes(model.getvalue())


def _text_encoder(folder: Path) -> None:
    from transformers import T5Config, T5EncoderModel

    config = T5Config(
        vocab_size=256,
        d_model=WIDTH,
        d_kv=32,
        d_ff=128,
        num_layers=2,
        num_heads=2,
        feed_forward_proj="gated-gelu",
        tie_word_embeddings=False,
    )
    T5EncoderModel(config).save_pretrained(folder)


def _transformer(folder: Path, family: str, sample_size: int) -> None:
    from diffusers import PixArtTransformer2DModel

    has_conditions = family == "alpha" and sample_size == 128
    num_heads = 6 if has_conditions else 2  # the conditions take a third of the width each
    PixArtTransformer2DModel(
        num_attention_heads=num_heads,
        attention_head_dim=32,
        in_channels=4,
        out_channels=8,
        num_layers=4,
        cross_attention_dim=num_heads * 32,
        caption_channels=WIDTH,
        sample_size=sample_size,
        patch_size=2,
        use_additional_conditions=has_conditions,
    ).save_pretrained(folder)


def _vae(folder: Path) -> None:
    from diffusers import AutoencoderKL

    AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=(8, 8, 8, 8),
        norm_num_groups=4,
        latent_channels=4,
        layers_per_block=1,
        sample_size=256,
    ).save_pretrained(folder)
