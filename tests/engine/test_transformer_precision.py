"""The transformer's own precision: parity with diffusers' own calls on the CPU, and what a CPU cannot have."""

from __future__ import annotations

import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from pixart_ui.catalog import from_folder
from pixart_ui.engine.components import Components
from pixart_ui.engine.device import Device, open_device
from pixart_ui.engine.engine import Engine
from pixart_ui.engine.forms import WeightSource
from pixart_ui.engine.precision import require_transformer
from pixart_ui.engine.shapes import shape_of, tensors_of
from pixart_ui.engine.weights import WeightStore
from pixart_ui.errors import DeviceError
from pixart_ui.events import ImageFailed, Phase, PhasePlan, Residency
from pixart_ui.hub import Hub
from pixart_ui.request import Precision, ResolvedRequest, TransformerPrecision
from tests.engine.conftest import facts_of, images_of, latents_of, make_requests, open_engine, run, use_memory
from tests.engine.test_parity import stock_pipeline
from tests.toy import make_toy_checkpoint

FP8 = TransformerPrecision.FP8


def stock_latents(folder: Path, request: ResolvedRequest) -> Any:
    """As the stock pipeline draws them with a transformer that was loaded at that precision."""
    from diffusers import PixArtTransformer2DModel

    pipeline = stock_pipeline(folder, request.precision, request.scheduler)
    wanted = request.transformer_precision
    is_bf16 = wanted is TransformerPrecision.BF16 or (wanted is FP8 and request.precision is Precision.BF16)
    pipeline.transformer = PixArtTransformer2DModel.from_pretrained(
        folder / "transformer", torch_dtype=torch.bfloat16 if is_bf16 else torch.float16
    ).float()
    if wanted is FP8:
        pipeline.transformer.enable_layerwise_casting(storage_dtype=torch.float8_e4m3fn, compute_dtype=torch.float32)
    return pipeline(
        request.full_prompt,
        negative_prompt=request.full_negative_prompt,
        num_inference_steps=request.steps,
        guidance_scale=request.guidance_scale,
        width=request.width,
        height=request.height,
        generator=torch.Generator("cpu").manual_seed(request.seed),
        output_type="latent",
    ).images.numpy()


@pytest.mark.parametrize("precision", [Precision.FP16, Precision.BF16])
@pytest.mark.parametrize("transformer", [TransformerPrecision.FP16, TransformerPrecision.BF16, FP8])
def test_latents_equal_the_stock_pipeline_bit_for_bit(
    engine: Engine, toys: dict[str, Path], precision: Precision, transformer: TransformerPrecision
) -> None:
    require_equal(engine, toys["sigma"], precision=precision, transformer_precision=transformer, steps=2)


@pytest.mark.long
def test_micro_conditions_at_fp8_equal_the_stock_pipeline_bit_for_bit(engine: Engine, toys: dict[str, Path]) -> None:
    """At the others they are the same as without a precision of the transformer's own; see `test_parity.py`."""
    size = {"width": 1024, "height": 1024}
    require_equal(engine, toys["alpha-conditions"], transformer_precision=FP8, scheduler="ddim", steps=1, **size)


def require_equal(engine: Engine, folder: Path, **values: Any) -> None:
    (request,) = make_requests(folder, numerics="exact", **values)
    events = run(engine, (request,))
    np.testing.assert_array_equal(latents_of(events)[0], stock_latents(folder, request))
    assert facts_of(events)[0]["dtypes"]["transformer"] == request.transformer_precision


def test_each_precision_of_the_transformer_draws_its_own_picture(engine: Engine, toys: dict[str, Path]) -> None:
    """On one engine, one after the other: no module is taken for another's."""
    orders = ("fp16", "fp8", "bf16", "fp8", "fp16")
    found = [latents_of(run(engine, make_requests(toys["sigma"], transformer_precision=name)))[0] for name in orders]
    np.testing.assert_array_equal(found[0], found[4])
    np.testing.assert_array_equal(found[1], found[3])
    for one, other in ((0, 1), (0, 2), (1, 2)):
        distance = np.linalg.norm(found[one] - found[other]) / np.linalg.norm(found[one])
        assert 0 < distance < 0.2


def test_the_text_encoder_s_precision_leaves_the_transformer_where_it_is(toys: dict[str, Path]) -> None:
    requests = [make_requests(toys["sigma"], precision=name)[0] for name in ("fp16", "int8", "nf4")]
    sources = {WeightSource.of("transformer", toys["sigma"], request, "toy") for request in requests}
    assert len(sources) == 1


def test_staged_and_resident_draw_the_same_fp8_picture_and_nothing_stays(
    hub: Hub, weights_dir: Path, toys: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    requests = make_requests(toys["sigma"], transformer_precision="fp8", num_images=2)
    found = {}
    for free in (10**10, 200_000_000):
        engine = open_engine(hub, weights_dir)
        with monkeypatch.context() as patched:
            use_memory(patched, free)
            if free < 10**10:
                patched.setattr("pixart_ui.engine.planner._subsets", lambda components: iter([()]))
            events = run(engine, requests)
        found[facts_of(events)[1]["plan"]["phases"][1]["residency"]] = latents_of(events)
        engine.close()
        assert engine.info()["weight_bytes"] == 0
    assert set(found) == {"resident", "staged"}
    for resident, staged in zip(found["resident"], found["staged"], strict=True):
        np.testing.assert_array_equal(resident, staged)


def test_fp8_takes_the_bytes_that_were_planned(toys: dict[str, Path], tmp_path: Path) -> None:
    components = Components(open_device("cpu"), WeightStore(tmp_path))
    (request,) = make_requests(toys["sigma"], transformer_precision="fp8")
    source = WeightSource.of("transformer", toys["sigma"] / "transformer", request, "toy")
    shape = shape_of(
        "transformer",
        tensors_of(source.entries()),
        Precision.FP16,
        is_cpu=True,
        sample_size=32,
        transformer_precision=FP8,
    )
    components.prepare(source, lambda *_: None)
    with components.on_device(source, PhasePlan(Phase.DENOISE, Residency.RESIDENT, "")) as loaded:
        tensors = [*loaded.module.parameters(), *loaded.module.buffers()]
        assert loaded.weight_bytes == sum(tensor.nbytes for tensor in tensors)
        # Each tensor of the plan begins at a multiple of 256 bytes.
        assert shape.total_bytes - 256 * len(tensors) < loaded.weight_bytes <= shape.total_bytes
        assert loaded.load_seconds > 0
        assert loaded.bytes_moved == loaded.weight_bytes
    with components.on_device(source, PhasePlan(Phase.DENOISE, Residency.STAGED, "")) as loaded:
        assert (loaded.load_seconds, loaded.bytes_moved) == (0, 0)
    assert components.kept_bytes() == 0
    components.close()


def test_what_is_taken_off_the_device_is_gone_whoever_holds_the_module(toys: dict[str, Path], tmp_path: Path) -> None:
    components = Components(open_device("cpu"), WeightStore(tmp_path))
    (request,) = make_requests(toys["sigma"], transformer_precision="fp8")
    source = WeightSource.of("transformer", toys["sigma"] / "transformer", request, "toy")
    with components.on_device(source, PhasePlan(Phase.DENOISE, Residency.STAGED, "")) as loaded:
        module = loaded.module
        weights = [weakref.ref(weight) for weight in module.parameters()]
        assert all(weight() is not None for weight in weights)
    assert all(weight() is None for weight in weights)
    components.close()


@pytest.mark.parametrize("name", ["int8", "nf4"])
def test_what_a_cpu_cannot_have_is_one_sentence_before_anything_runs(
    engine: Engine, toys: dict[str, Path], name: str
) -> None:
    with pytest.raises(DeviceError, match=rf"Transformer precision {name} needs an NVIDIA GPU, .* choose fp16") as told:
        run(engine, make_requests(toys["sigma"], transformer_precision=name))
    assert "\n" not in told.value.message
    assert len(images_of(run(engine, make_requests(toys["sigma"])))) == 1


def test_what_other_devices_cannot_have_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    apple, card = Device(torch.device("mps"), "mps", "Apple GPU"), Device(torch.device("cuda", 0), "GPU-1", "Old card")
    with pytest.raises(DeviceError, match=r"fp8 needs 8-bit floats, which Apple GPU does not have"):
        require_transformer(FP8, apple)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: (7, 0))
    with pytest.raises(DeviceError, match=r"int8 needs a Turing card or a newer one, Old card is older"):
        require_transformer(TransformerPrecision.INT8, card)
    for precision in (TransformerPrecision.FP16, TransformerPrecision.BF16, FP8, TransformerPrecision.NF4):
        require_transformer(precision, card)
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(DeviceError, match=r"nf4 needs the package bitsandbytes"):
        require_transformer(TransformerPrecision.NF4, card)


def test_a_missing_weight_is_one_sentence_at_fp8_too(tmp_path: Path) -> None:
    folder = make_toy_checkpoint(tmp_path / "sigma")
    (path,) = (folder / "transformer").glob("*.safetensors")
    weights = load_file(path)
    del weights["transformer_blocks.1.ff.net.2.weight"]
    save_file(weights, path, metadata={"format": "pt"})
    engine = open_engine(Hub(tmp_path / "records"), tmp_path / "weights")
    events = run(engine, make_requests(folder, transformer_precision="fp8"))
    (failed,) = [event for event in events if isinstance(event, ImageFailed)]
    assert "1 weights are missing, the first is transformer_blocks.1.ff.net.2.weight" in failed.message


@pytest.mark.parametrize("form", ["variant", "pickled"])
def test_other_forms_of_files_are_loaded_at_fp8(tmp_path: Path, form: str) -> None:
    folder = make_toy_checkpoint(tmp_path / "sigma")
    (path,) = (folder / "transformer").glob("*.safetensors")
    if form == "variant":
        path.rename(path.with_suffix(".fp16.safetensors"))
    else:
        torch.save(load_file(path), path.with_suffix(".bin"))
        path.unlink()
    hub = Hub(tmp_path / "records")
    hub.download(from_folder(folder), allow_pickle=form == "pickled")
    engine = open_engine(hub, tmp_path / "weights")
    assert len(images_of(run(engine, make_requests(folder, transformer_precision="fp8")))) == 1
