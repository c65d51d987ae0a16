"""The sizes of PixArt-Tiny's parts. Every width is a multiple of 64, as bitsandbytes wants it."""

from __future__ import annotations

from typing import Any

from diffusers import AutoencoderKL, DPMSolverMultistepScheduler, PixArtTransformer2DModel
from transformers import T5Config, T5EncoderModel

from pixart_ui.tiny.tokens import VOCABULARY

WIDTH = 256
IMAGE_SIZE = 256
LATENT_SIZE = 32


def autoencoder() -> Any:
    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=(32, 64, 128, 128),
        layers_per_block=1,
        latent_channels=4,
        norm_num_groups=16,
        sample_size=IMAGE_SIZE,
        mid_block_add_attention=False,
    )


def text_encoder() -> Any:
    return T5EncoderModel(
        T5Config(
            vocab_size=VOCABULARY,
            d_model=WIDTH,
            d_kv=64,
            d_ff=512,
            num_layers=4,
            num_heads=4,
            feed_forward_proj="gated-gelu",
            dropout_rate=0.0,
            pad_token_id=0,
            eos_token_id=1,
            tie_word_embeddings=False,
        )
    )


def transformer() -> Any:
    return PixArtTransformer2DModel(
        num_attention_heads=4,
        attention_head_dim=64,
        in_channels=4,
        out_channels=4,
        num_layers=8,
        cross_attention_dim=WIDTH,
        caption_channels=WIDTH,
        sample_size=LATENT_SIZE,
        patch_size=2,
        use_additional_conditions=False,
        interpolation_scale=1,
    )


def scheduler() -> Any:
    """The published checkpoints' noise, with v-prediction."""
    return DPMSolverMultistepScheduler(
        beta_start=0.0001, beta_end=0.02, beta_schedule="linear", prediction_type="v_prediction"
    )
