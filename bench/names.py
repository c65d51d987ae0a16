"""Every strategy's name, and what it is: `python -m bench list`. No torch: naming them takes no time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

OURS: Mapping[str, str] = {
    "ours@2GiB": "PixArt UI with that budget, or another one",
    "ours-exact@2GiB": "the same in exact numerics: latents equal stock diffusers bit for bit",
    "ours-int8@8GB": "the same with T5 in int8",
    "ours-nf4@7GB": "the same with T5 in nf4",
    "ours-t5": "T5 alone: streamed in little memory, and whole from the store",
    "ours-leaks@2GiB": "50 runs of several sizes and precisions: what is left behind",
}
STOCK: Mapping[str, str] = {
    "stock-t5": "T5 alone: fp16, int8 and nf4, loaded by transformers",
    "resident": "everything on the GPU",
    "model-offload": "`enable_model_cpu_offload`",
    "sequential-offload": "`enable_sequential_cpu_offload`",
    "group-leaf": "group offload, leaf",
    "group-leaf-stream": "group offload, leaf, stream",
    "group-leaf-record": "group offload, leaf, stream, `record_stream`",
    "group-leaf-low-cpu": "group offload, leaf, stream, `low_cpu_mem_usage`",
    "group-leaf-disk": "group offload, leaf, to disk",
    "group-leaf-tiling": "group offload, leaf, stream, VAE tiling",
    "group-block": "group offload, block",
    "group-block-stream": "group offload, block, stream",
    "group-block-t5": 'group offload, block, stream, `block_modules=["encoder"]` for T5',
    "layerwise-fp8": "layerwise casting, transformer in fp8",
    "layerwise-fp8-t5": "layerwise casting, transformer and T5 in fp8",
    "sharded": "everything on the GPU, from shards of 500 MB",
    "balanced": '`device_map="balanced"` over several GPUs',
    "balanced-max-memory": '`device_map="balanced"` and `max_memory` over several GPUs',
    "pipeline-auto": """the guides' `device_map="auto"` on the pipeline""",
    "staged": "staged, fp16",
    "staged-latents": "staged, fp16, the VAE apart",
    "staged-tiling": "staged, fp16, the VAE apart and tiled",
    "staged-max-memory": 'staged, fp16, `device_map="auto"` with `max_memory`',
    "staged-int8": "staged, 8-bit T5",
    "staged-nf4": "staged, nf4 T5",
    "staged-fp4": "staged, fp4 T5",
    "staged-load-in-8bit": "the guides' `load_in_8bit=True`",
    "quantized-int8": "everything on the GPU, T5 and transformer in 8 bit",
    "quantized-nf4": "everything on the GPU, T5 and transformer in nf4",
    "quantized-fp4": "everything on the GPU, T5 and transformer in fp4",
    "at-once": "everything on the GPU, all pictures in one call",
    "at-once-slicing": "everything on the GPU, all pictures in one call, VAE slicing",
    "vae-tiling": "everything on the GPU, VAE tiling",
    "vae-channels-last": "everything on the GPU, VAE channels-last",
    "attention-math": "attention: math kernel",
    "attention-flash": "attention: flash kernel",
    "attention-efficient": "attention: memory-efficient kernel",
    "attention-cudnn": "attention: cuDNN kernel",
    "attention-backend": "attention: `set_attention_backend`, cuDNN",
    "attention-slicing": "`enable_attention_slicing`",
    "attention-xformers": "`enable_xformers_memory_efficient_attention`",
    "fuse-qkv": "`fuse_qkv_projections`",
    "compile-blocks": "`compile_repeated_blocks`",
    "compile": "`torch.compile` of the transformer",
    "traced": "`torch.jit.trace` of the transformer",
}
SLOW = frozenset(
    {
        "sequential-offload",
        "group-leaf",
        "group-leaf-low-cpu",
        "group-leaf-disk",
        "group-block",
        "group-block-stream",
        "compile-blocks",
        "compile",
        "traced",
    }
)


def main(_arguments: Sequence[str] | None = None) -> None:
    for name, description in {**OURS, **STOCK}.items():
        print(f"{name:22} {description}{' (slow)' if name in SLOW else ''}")


if __name__ == "__main__":
    main()
