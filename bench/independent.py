"""The same strategies by another hand: stock diffusers as its guides print it, and torch's own count of the memory.

    python bench/independent.py /tmp/full --out independent.json [--at-once 3] [--seconds 200] [--only staged-nf4]

It imports nothing of this project, so that an error of the benchmark or of the comparison cannot be in it as well.
Each strategy is a process of its own; several may run at once, since torch counts what its own process holds. What a
strategy raises is its entry. Every finished one is in the file.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

PROMPT = "a red circle above a blue square at sunset"
MAX_ERROR_CHARS = 300
# What is spread over several GPUs is another strategy on one.
NUM_GPUS = 2
GIB = 2**30
POLL_SECONDS = 0.2


class Asked(argparse.Namespace):
    """The command line. `only` and `one` are names of strategies."""

    folder: Path
    out: Path | None
    only: list[str]
    one: str | None
    device: str
    size: int
    steps: int
    at_once: int
    seconds: float


# What the guides print


def resident(asked: Asked) -> None:
    draw(pipeline(asked).to(asked.device), asked)


def model_offload(asked: Asked) -> None:
    pipe = pipeline(asked)
    pipe.enable_model_cpu_offload(device=asked.device)
    draw(pipe, asked)


def sequential_offload(asked: Asked) -> None:
    pipe = pipeline(asked)
    pipe.enable_sequential_cpu_offload(device=asked.device)
    draw(pipe, asked)


def group_offload(*, is_tiled: bool = False, **arguments: Any) -> Callable[[Asked], None]:
    def strategy(asked: Asked) -> None:
        import torch

        pipe = pipeline(asked)
        pipe.enable_group_offload(
            onload_device=torch.device(asked.device), offload_device=torch.device("cpu"), **arguments
        )
        if is_tiled:
            pipe.vae.enable_tiling()
        draw(pipe, asked)

    return strategy


def group_block_t5(asked: Asked) -> None:
    import torch
    from diffusers.hooks import apply_group_offloading

    pipe = pipeline(asked)
    how = {"offload_type": "block_level", "num_blocks_per_group": 1, "use_stream": True}
    device = torch.device(asked.device)
    pipe.transformer.enable_group_offload(onload_device=device, **how)
    pipe.vae.enable_group_offload(onload_device=device, **how)
    apply_group_offloading(pipe.text_encoder, onload_device=device, block_modules=["encoder"], **how)
    draw(pipe, asked)


def layerwise_fp8(asked: Asked) -> None:
    import torch

    pipe = pipeline(asked)
    pipe.transformer.enable_layerwise_casting(storage_dtype=torch.float8_e4m3fn, compute_dtype=dtype(asked))
    draw(pipe.to(asked.device), asked)


def layerwise_fp8_t5(asked: Asked) -> None:
    """T5 computes in the type of its `wo` and of its embedding, which therefore stay as they are."""
    import torch
    from diffusers.hooks import apply_layerwise_casting

    pipe = pipeline(asked)
    fp8 = {"storage_dtype": torch.float8_e4m3fn, "compute_dtype": dtype(asked)}
    pipe.transformer.enable_layerwise_casting(**fp8)
    apply_layerwise_casting(pipe.text_encoder, skip_modules_pattern=("shared", "embed", "norm", "wo"), **fp8)
    draw(pipe.to(asked.device), asked)


def vae_tiling(asked: Asked) -> None:
    pipe = pipeline(asked).to(asked.device)
    pipe.vae.enable_tiling()
    draw(pipe, asked)


def vae_slicing(asked: Asked) -> None:
    pipe = pipeline(asked).to(asked.device)
    pipe.vae.enable_slicing()
    draw(pipe, asked)


def vae_channels_last(asked: Asked) -> None:
    import torch

    pipe = pipeline(asked).to(asked.device)
    pipe.vae.to(memory_format=torch.channels_last)
    draw(pipe, asked)


def attention_kernel(name: str) -> Callable[[Asked], None]:
    def strategy(asked: Asked) -> None:
        from torch.nn.attention import SDPBackend, sdpa_kernel

        pipe = pipeline(asked).to(asked.device)
        with sdpa_kernel(getattr(SDPBackend, name)):
            draw(pipe, asked)

    return strategy


def attention_backend(asked: Asked) -> None:
    pipe = pipeline(asked).to(asked.device)
    pipe.transformer.set_attention_backend("_native_cudnn")
    draw(pipe, asked)


def attention_slicing(asked: Asked) -> None:
    pipe = pipeline(asked).to(asked.device)
    pipe.enable_attention_slicing()
    draw(pipe, asked)


def attention_xformers(asked: Asked) -> None:
    pipe = pipeline(asked).to(asked.device)
    pipe.enable_xformers_memory_efficient_attention()
    draw(pipe, asked)


def fuse_qkv(asked: Asked) -> None:
    pipe = pipeline(asked).to(asked.device)
    pipe.transformer.fuse_qkv_projections()
    draw(pipe, asked)


def compile_transformer(asked: Asked) -> None:
    import torch

    pipe = pipeline(asked).to(asked.device)
    pipe.transformer = torch.compile(pipe.transformer)
    draw(pipe, asked)


def compile_blocks(asked: Asked) -> None:
    """Block by block, which diffusers does where a model names the class of its blocks; PixArt's does not."""
    pipe = pipeline(asked).to(asked.device)
    pipe.transformer._repeated_blocks = [type(pipe.transformer.transformer_blocks[0]).__name__]
    pipe.transformer.compile_repeated_blocks(fullgraph=True)
    draw(pipe, asked)


def traced(asked: Asked) -> None:
    """The pipeline calls what `torch.jit.trace` made of the transformer."""
    import torch

    pipe = pipeline(asked).to(asked.device)
    model = pipe.transformer

    class TensorsOnly(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, x: Any, text: Any, mask: Any, time: Any) -> Any:
            sizes = {"resolution": None, "aspect_ratio": None}
            return self.model(
                x,
                encoder_hidden_states=text,
                encoder_attention_mask=mask,
                timestep=time,
                added_cond_kwargs=sizes,
                return_dict=False,
            )[0]

    side, like = asked.size // 8, {"device": asked.device, "dtype": model.dtype}
    example = (
        torch.zeros(2, 4, side, side, **like),
        torch.zeros(2, 300, model.config.caption_channels, **like),
        torch.ones(2, 300, device=asked.device),
        torch.ones(2, device=asked.device, dtype=torch.int64),
    )
    with torch.no_grad():
        trace = torch.jit.trace(TensorsOnly(), example)  # type: ignore[no-untyped-call]
    model.forward = lambda x, **given: (
        trace(x, given["encoder_hidden_states"], given["encoder_attention_mask"], given["timestep"]),
    )
    draw(pipe, asked)


def sharded(asked: Asked) -> None:
    """From a copy that is saved in small files first, in a process of its own, so that it leaves nothing behind."""
    with tempfile.TemporaryDirectory() as folder:
        save = (
            "import sys, torch; from diffusers import DiffusionPipeline;"
            "pipe = DiffusionPipeline.from_pretrained(sys.argv[1], torch_dtype=getattr(torch, sys.argv[3]));"
            "pipe.save_pretrained(sys.argv[2], max_shard_size='500MB')"
        )
        kind = str(dtype(asked)).removeprefix("torch.")
        subprocess.run([sys.executable, "-c", save, str(asked.folder), folder, kind], check=True)
        asked.folder = Path(folder)
        draw(pipeline(asked).to(asked.device), asked)


def group_leaf_disk(asked: Asked) -> None:
    with tempfile.TemporaryDirectory() as folder:
        group_offload(**LEAF, offload_to_disk_path=folder)(asked)


def balanced(*, bytes_a_gpu: int | None = None) -> Callable[[Asked], None]:
    def strategy(asked: Asked) -> None:
        import torch

        if (found := torch.cuda.device_count()) < NUM_GPUS:
            raise RuntimeError(f"needs {NUM_GPUS} GPUs, there are {found}")
        most = None if bytes_a_gpu is None else dict.fromkeys(range(found), bytes_a_gpu)
        draw(pipeline(asked, device_map="balanced", max_memory=most), asked)

    return strategy


def pipeline_auto(asked: Asked) -> None:
    draw(pipeline(asked, device_map="auto"), asked)


def staged(*, is_apart: bool = False, is_tiled: bool = False, **encoder: Any) -> Callable[[Asked], None]:
    """Encode with T5 alone, drop it, then denoise and decode; `is_apart` drops the transformer before decoding."""

    def strategy(asked: Asked) -> None:
        import torch
        from transformers import T5EncoderModel

        arguments = {"device_map": "auto", "dtype": dtype(asked)} | encoder
        if "quantization_config" in arguments:
            arguments |= {"quantization_config": bits(asked, "transformers", **encoder["quantization_config"])}
        text_encoder = T5EncoderModel.from_pretrained(asked.folder, subfolder="text_encoder", **arguments)
        pipe = pipeline(asked, text_encoder=text_encoder, transformer=None, vae=None)
        with torch.no_grad():
            states, mask, negative_states, negative_mask = pipe.encode_prompt(PROMPT, device=asked.device)
        del pipe, text_encoder
        flush()
        pipe = pipeline(asked, text_encoder=None)
        pipe.transformer.to(asked.device) if is_apart else pipe.to(asked.device)
        latents = pipe(
            negative_prompt=None,
            prompt_embeds=states,
            prompt_attention_mask=mask,
            negative_prompt_embeds=negative_states,
            negative_prompt_attention_mask=negative_mask,
            output_type="latent" if is_apart else "pil",
            **settings(asked),
        ).images
        if is_apart:
            decode(pipe, latents, asked, is_tiled=is_tiled)

    return strategy


def decode(pipe: Any, latents: Any, asked: Asked, *, is_tiled: bool) -> None:
    import torch

    del pipe.transformer
    flush()
    pipe.vae.to(asked.device)
    if is_tiled:
        pipe.vae.enable_tiling()
    with torch.no_grad():
        image = pipe.vae.decode(latents / pipe.vae.config.scaling_factor, return_dict=False)[0]
    pipe.image_processor.postprocess(image, output_type="pil")


def quantized(**how: Any) -> Callable[[Asked], None]:
    """T5 and the transformer quantized, everything on the GPU."""

    def strategy(asked: Asked) -> None:
        from diffusers import PixArtTransformer2DModel
        from transformers import T5EncoderModel

        text_encoder = T5EncoderModel.from_pretrained(
            asked.folder,
            subfolder="text_encoder",
            quantization_config=bits(asked, "transformers", **how),
            dtype=dtype(asked),
        )
        transformer = PixArtTransformer2DModel.from_pretrained(
            asked.folder,
            subfolder="transformer",
            quantization_config=bits(asked, "diffusers", **how),
            torch_dtype=dtype(asked),
        )
        draw(pipeline(asked, text_encoder=text_encoder, transformer=transformer).to(asked.device), asked)

    return strategy


# What they share


def dtype(asked: Asked) -> Any:
    import torch

    return torch.float32 if asked.device == "cpu" else torch.float16


def bits(asked: Asked, library: str, **how: Any) -> Any:
    import diffusers
    import transformers

    config = {"diffusers": diffusers, "transformers": transformers}[library].BitsAndBytesConfig
    return config(**how, **({"bnb_4bit_compute_dtype": dtype(asked)} if "load_in_4bit" in how else {}))


def pipeline(asked: Asked, **components: Any) -> Any:
    from diffusers import DiffusionPipeline

    return DiffusionPipeline.from_pretrained(asked.folder, torch_dtype=dtype(asked), **components)


def settings(asked: Asked) -> dict[str, Any]:
    return {"num_inference_steps": asked.steps, "height": asked.size, "width": asked.size}


def draw(pipe: Any, asked: Asked) -> None:
    pipe(PROMPT, **settings(asked))


def flush() -> None:
    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


LEAF: dict[str, Any] = {"offload_type": "leaf_level"}
BLOCK: dict[str, Any] = {"offload_type": "block_level", "num_blocks_per_group": 1}
STREAM: dict[str, Any] = {"use_stream": True}
INT8 = {"load_in_8bit": True}
NF4 = {"load_in_4bit": True, "bnb_4bit_quant_type": "nf4"}
FP4 = {"load_in_4bit": True, "bnb_4bit_quant_type": "fp4"}
# The quick ones first, and those of the guides before the others.
STRATEGIES: dict[str, Callable[[Asked], None]] = {
    "resident": resident,
    "staged": staged(),
    "staged-int8": staged(quantization_config=INT8),
    "staged-nf4": staged(quantization_config=NF4),
    "staged-fp4": staged(quantization_config=FP4),
    "staged-latents": staged(is_apart=True),
    "staged-tiling": staged(is_apart=True, is_tiled=True),
    "quantized-int8": quantized(**INT8),
    "quantized-nf4": quantized(**NF4),
    "quantized-fp4": quantized(**FP4),
    "model-offload": model_offload,
    "sequential-offload": sequential_offload,
    "group-leaf-stream": group_offload(**LEAF, **STREAM),
    "group-leaf-tiling": group_offload(**LEAF, **STREAM, is_tiled=True),
    "group-block": group_offload(**BLOCK),
    "group-block-stream": group_offload(**BLOCK, **STREAM),
    "group-block-t5": group_block_t5,
    "layerwise-fp8": layerwise_fp8,
    "layerwise-fp8-t5": layerwise_fp8_t5,
    "vae-tiling": vae_tiling,
    "at-once": resident,
    "at-once-slicing": vae_slicing,
    "vae-channels-last": vae_channels_last,
    "attention-math": attention_kernel("MATH"),
    "attention-flash": attention_kernel("FLASH_ATTENTION"),
    "attention-efficient": attention_kernel("EFFICIENT_ATTENTION"),
    "attention-cudnn": attention_kernel("CUDNN_ATTENTION"),
    "attention-backend": attention_backend,
    "attention-slicing": attention_slicing,
    "fuse-qkv": fuse_qkv,
    "attention-xformers": attention_xformers,
    "pipeline-auto": pipeline_auto,
    "staged-load-in-8bit": staged(**INT8),
    "balanced": balanced(),
    "balanced-max-memory": balanced(bytes_a_gpu=10 * GIB),
    "staged-max-memory": staged(max_memory={0: 8 * GIB - GIB // 2, "cpu": 48 * GIB}),
    "group-leaf-record": group_offload(**LEAF, **STREAM, record_stream=True),
    "group-leaf-low-cpu": group_offload(**LEAF, **STREAM, low_cpu_mem_usage=True),
    "group-leaf": group_offload(**LEAF),
    "sharded": sharded,
    "traced": traced,
    "compile-blocks": compile_blocks,
    "compile": compile_transformer,
    "group-leaf-disk": group_leaf_disk,
}


# One process for each


def main(arguments: Sequence[str] | None = None) -> None:
    asked = _parser().parse_args(arguments, Asked())
    if asked.one is not None:
        print(json.dumps(measured(asked.one, asked)))
        return
    names = asked.only or list(STRATEGIES)
    if unknown := [name for name in names if name not in STRATEGIES]:
        raise SystemExit(f"Strategy {unknown[0]!r} is unknown: choose from {', '.join(STRATEGIES)}.")
    found: dict[str, Any] = {}
    started = time.monotonic()
    running: dict[str, subprocess.Popen[bytes]] = {}
    logs = Path(tempfile.mkdtemp(prefix="independent-"))
    try:
        waiting = list(names)
        while waiting or running:
            is_over = time.monotonic() - started > asked.seconds
            while waiting and len(running) < asked.at_once and not is_over:
                name = waiting.pop(0)
                running[name] = _start(name, asked, logs)
            for name, process in list(running.items()):
                if process.poll() is not None:
                    del running[name]
                    found[name] = _result(logs / name, process)
                    _write(found, asked)
            if is_over:
                break
            time.sleep(POLL_SECONDS)
    finally:
        for process in running.values():
            os.killpg(process.pid, signal.SIGKILL)  # with what it started
            process.wait()
        shutil.rmtree(logs, ignore_errors=True)
    if left := [*running, *waiting]:
        print(f"Not finished within {asked.seconds:.0f} s: {', '.join(left)}.", file=sys.stderr)


def measured(name: str, asked: Asked) -> dict[str, Any]:
    """Bytes on the fullest GPU; None where there is none. What the strategy raises is the error."""
    import torch

    error = None
    started = time.monotonic()
    try:
        STRATEGIES[name](asked)
    except Exception as problem:  # noqa: BLE001 - what a strategy raises is its result
        error = f"{type(problem).__name__}: {' '.join(str(problem).split())}"[:MAX_ERROR_CHARS]
    gpus = range(torch.cuda.device_count())
    return {
        "peak_allocated_bytes": max((torch.cuda.max_memory_allocated(gpu) for gpu in gpus), default=None),
        "peak_reserved_bytes": max((torch.cuda.max_memory_reserved(gpu) for gpu in gpus), default=None),
        "seconds": round(time.monotonic() - started, 2),
        "error": error,
    }


def _start(name: str, asked: Asked, logs: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, __file__, str(asked.folder), "--one", name, "--device", asked.device]
    command += ["--size", str(asked.size), "--steps", str(asked.steps)]
    # `device_map="auto"` would spread over all GPUs, and is about one here.
    gpu = (
        {}
        if name.startswith("balanced")
        else {"CUDA_VISIBLE_DEVICES": os.environ.get("CUDA_VISIBLE_DEVICES", "0").partition(",")[0]}
    )
    # This file's own folder must not be where the process looks for modules: it has others by these names.
    environ = {**os.environ, **gpu, "PYTHONSAFEPATH": "1", "TMPDIR": str(logs)}
    with (logs / name).open("wb") as out, (logs / f"{name}.err").open("wb") as err:
        return subprocess.Popen(command, stdout=out, stderr=err, env=environ, start_new_session=True)


def _result(log: Path, process: subprocess.Popen[bytes]) -> dict[str, Any]:
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    if process.returncode == 0 and lines:
        return dict(json.loads(lines[-1]))
    last = log.with_name(f"{log.name}.err").read_text(encoding="utf-8", errors="replace").strip().rpartition("\n")[2]
    return {"error": f"The process ended with code {process.returncode}: {last}"[:MAX_ERROR_CHARS]}


def _write(found: dict[str, Any], asked: Asked) -> None:
    document = {"size": asked.size, "steps": asked.steps, "strategies": found}
    text = json.dumps(document, indent=1) + "\n"
    if asked.out is None:
        print(text)
        return
    aside = asked.out.with_name(f".{asked.out.name}.part")
    aside.write_text(text, encoding="utf-8")
    aside.replace(asked.out)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="a checkpoint in diffusers' layout")
    parser.add_argument("--out", type=Path, metavar="FILE")
    parser.add_argument("--only", action="append", default=[], metavar="NAME", help="this strategy (repeatable)")
    parser.add_argument("--one", metavar="NAME", help="this strategy, in this process")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--size", type=int, default=1024)
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--at-once", type=int, default=1, help="processes at a time (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=3600, help="what has not ended by then is ended")
    return parser


if __name__ == "__main__":
    main()
