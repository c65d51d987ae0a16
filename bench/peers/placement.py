"""Strategies that differ in where a whole pipeline's weights are: resident, offloaded, spread over GPUs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from diffusers import DiffusionPipeline, PixArtTransformer2DModel
from diffusers.hooks import apply_group_offloading, apply_layerwise_casting
from transformers import T5EncoderModel

from bench.job import CellJob
from bench.peers.parts import Function, Strategy, draw, dtype, load, on_device, whole
from bench.recorder import Recorder

FP8 = torch.float8_e4m3fn
SHARD_SIZE = "500MB"
# T5 casts what it computes to the type of its `wo`, and the pipeline asks for the type of its embedding.
T5_NOT_IN_FP8 = ("norm", "wo", "shared", "embed")
NUM_GPUS = 2
DEFAULT_BYTES_A_GPU = 10 * 2**30
LEAF: dict[str, Any] = {"offload_type": "leaf_level"}
BLOCK: dict[str, Any] = {"offload_type": "block_level", "num_blocks_per_group": 1}
STREAM: dict[str, Any] = {"use_stream": True}


def _model_offload(pipeline: Any, job: CellJob) -> None:
    pipeline.enable_model_cpu_offload(device=job.device)


def _sequential_offload(pipeline: Any, job: CellJob) -> None:
    pipeline.enable_sequential_cpu_offload(device=job.device)


def _in_groups(*, is_tiled: bool = False, is_on_disk: bool = False, **arguments: Any) -> Function:
    """`enable_group_offload` on the whole pipeline."""

    def place(pipeline: Any, job: CellJob) -> None:
        if is_tiled:
            pipeline.vae.enable_tiling()
        disk = {"offload_to_disk_path": str(job.out / "offload")} if is_on_disk else {}
        pipeline.enable_group_offload(onload_device=torch.device(job.device), **arguments, **disk)

    return whole(place)


def _t5_by_block(pipeline: Any, job: CellJob) -> None:
    """Block by block also in T5, whose blocks lie one level deeper than the pipeline's own call looks."""
    device = torch.device(job.device)
    shared = BLOCK | STREAM
    apply_group_offloading(pipeline.text_encoder, onload_device=device, block_modules=["encoder"], **shared)
    pipeline.transformer.enable_group_offload(onload_device=device, **shared)
    pipeline.vae.enable_group_offload(onload_device=device, **shared)


def _cast_transformer(pipeline: Any, job: CellJob) -> None:
    pipeline.transformer.enable_layerwise_casting(storage_dtype=FP8, compute_dtype=dtype(job))
    pipeline.to(job.device)


def _cast_t5_too(pipeline: Any, job: CellJob) -> None:
    apply_layerwise_casting(
        pipeline.text_encoder, storage_dtype=FP8, compute_dtype=dtype(job), skip_modules_pattern=T5_NOT_IN_FP8
    )
    _cast_transformer(pipeline, job)


def _balanced(*, has_max_memory: bool) -> Function:
    """Components spread over several GPUs by the pipeline's own `device_map`."""

    def function(job: CellJob, recorder: Recorder) -> None:
        found = torch.cuda.device_count()
        if found < NUM_GPUS:
            raise RuntimeError(f"needs {NUM_GPUS} GPUs, this machine has {found}")
        limit = job.cap_bytes or DEFAULT_BYTES_A_GPU
        with recorder.phase("load"):
            pipeline = load(
                job,
                device_map="balanced",
                max_memory=dict.fromkeys(range(found), limit) if has_max_memory else None,
            )
        draw(pipeline, job, recorder)

    return function


def _device_map_auto(job: CellJob, recorder: Recorder) -> None:
    """The line that the guides print: `from_pretrained(…, device_map="auto")` on the pipeline."""
    with recorder.phase("load"):
        pipeline = DiffusionPipeline.from_pretrained(job.checkpoint, dtype=dtype(job), device_map="auto")
    draw(pipeline, job, recorder)


def _shard(job: CellJob, folder: Path) -> Path:
    """The checkpoint with its two large components in many small files; the rest is linked."""
    encoder = T5EncoderModel.from_pretrained(job.checkpoint / "text_encoder", dtype=dtype(job))
    encoder.save_pretrained(folder / "text_encoder", max_shard_size=SHARD_SIZE)
    transformer = PixArtTransformer2DModel.from_pretrained(job.checkpoint / "transformer", dtype=dtype(job))
    transformer.save_pretrained(folder / "transformer", max_shard_size=SHARD_SIZE)
    for name in ("tokenizer", "vae", "scheduler", "model_index.json"):
        (folder / name).symlink_to((job.checkpoint / name).resolve())
    return folder


STRATEGIES = (
    Strategy("resident", whole(on_device)),
    Strategy("model-offload", whole(_model_offload)),
    Strategy("sequential-offload", whole(_sequential_offload)),
    Strategy("group-leaf", _in_groups(**LEAF)),
    Strategy("group-leaf-stream", _in_groups(**LEAF, **STREAM)),
    Strategy("group-leaf-record", _in_groups(**LEAF, **STREAM, record_stream=True)),
    Strategy("group-leaf-low-cpu", _in_groups(**LEAF, **STREAM, low_cpu_mem_usage=True)),
    Strategy("group-leaf-disk", _in_groups(**LEAF, is_on_disk=True)),
    Strategy("group-leaf-tiling", _in_groups(**LEAF, **STREAM, is_tiled=True)),
    Strategy("group-block", _in_groups(**BLOCK)),
    Strategy("group-block-stream", _in_groups(**BLOCK, **STREAM)),
    Strategy("group-block-t5", whole(_t5_by_block)),
    Strategy("layerwise-fp8", whole(_cast_transformer)),
    Strategy("layerwise-fp8-t5", whole(_cast_t5_too)),
    Strategy("sharded", whole(on_device), prepare=_shard),
    Strategy("balanced", _balanced(has_max_memory=False)),
    Strategy("balanced-max-memory", _balanced(has_max_memory=True)),
    Strategy("pipeline-auto", _device_map_auto),
)
