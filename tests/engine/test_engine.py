"""What the engine yields, keeps and lets go, on the CPU with toy checkpoints."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pixart_ui.engine.components import Components
from pixart_ui.engine.decode import decode
from pixart_ui.engine.device import open_device
from pixart_ui.engine.engine import Engine
from pixart_ui.engine.forms import WeightSource
from pixart_ui.engine.previews import LatentRgb, latent_rgb, preview
from pixart_ui.engine.weights import WeightStore
from pixart_ui.errors import BudgetTooSmall, CheckpointError, DeviceError
from pixart_ui.events import (
    ImageFailed,
    ImageReady,
    Phase,
    PhaseFinished,
    PhasePlan,
    PhaseStarted,
    Residency,
    StepDone,
)
from pixart_ui.hub import Hub
from pixart_ui.request import Numerics, Precision
from tests.engine.conftest import (
    facts_of,
    forget_texts,
    images_of,
    latents_of,
    least_memory,
    make_requests,
    never,
    open_engine,
    run,
    use_memory,
)


def test_a_group_encodes_once_then_draws_picture_by_picture(engine: Engine, toys: dict[str, Path]) -> None:
    events = run(engine, make_requests(toys["sigma"], num_images=2))
    started = [(event.phase, event.index) for event in events if isinstance(event, PhaseStarted)]
    assert started == [
        (Phase.ENCODE, None),
        (Phase.DENOISE, 0),
        (Phase.DECODE, 0),
        (Phase.DENOISE, 1),
        (Phase.DECODE, 1),
    ]
    steps = [(event.index, event.step, event.num_steps) for event in events if isinstance(event, StepDone)]
    assert steps == [(0, 1, 3), (0, 2, 3), (0, 3, 3), (1, 1, 3), (1, 2, 3), (1, 3, 3)]


def test_the_picture_has_the_size_that_was_asked_for(engine: Engine, toys: dict[str, Path]) -> None:
    (request,) = make_requests(toys["sigma"], width=300, height=200)
    (image,) = images_of(run(engine, (request,)))
    assert request.bin != request.size
    assert image.size == (300, 200)


def test_a_picture_does_not_depend_on_its_neighbours(engine: Engine, toys: dict[str, Path]) -> None:
    """Group size and order change nothing, at a quantized precision either."""
    group = make_requests(toys["sigma"], num_images=3, precision="int8")
    long_neighbour = make_requests(toys["sigma"], prompt="a green tree left of the moon " * 5, precision="int8")
    alone = latents_of(run(engine, (group[1],)))[0]
    forget_texts(engine)
    together = latents_of(run(engine, long_neighbour + group))[2]
    np.testing.assert_array_equal(alone, together)


@pytest.mark.parametrize("numerics", Numerics)
@pytest.mark.parametrize("precision", [Precision.FP16, Precision.INT8, Precision.NF4])
def test_resident_staged_and_streamed_give_the_same_latents(
    hub: Hub,
    weights_dir: Path,
    toys: dict[str, Path],
    numerics: Numerics,
    precision: Precision,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """From all memory in the world down to the least that does, one and the same picture."""
    requests = make_requests(toys["sigma"], numerics=numerics, precision=precision, num_images=2)
    found: dict[str, list[np.ndarray]] = {}
    for more in (10**9, 700_000, 400_000, 100_000, 0):
        engine = open_engine(hub, weights_dir)
        with monkeypatch.context() as patched:
            use_memory(patched, least_memory(engine, requests) + more)
            events = run(engine, requests)
        residencies = "/".join(phase["residency"] for phase in facts_of(events)[0]["plan"]["phases"])
        found[residencies] = latents_of(events)
        engine.close()
    assert "resident/resident/resident" in found
    assert any(name.startswith("streamed/streamed/") for name in found)
    for latents in found.values():
        np.testing.assert_array_equal(latents, found["resident/resident/resident"])


def test_less_memory_than_any_plan_needs_is_one_sentence(
    engine: Engine, toys: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    requests = make_requests(toys["sigma"])
    least = least_memory(engine, requests)
    use_memory(monkeypatch, least - 1)
    with pytest.raises(BudgetTooSmall, match=r"are too little: 256×256 in fp16 needs at least"):
        run(engine, requests)
    use_memory(monkeypatch, least)
    assert len(images_of(run(engine, requests))) == 1


def test_the_same_prompt_again_skips_the_text_encoder(engine: Engine, toys: dict[str, Path]) -> None:
    def encode_facts(seed: int, prompt: str = "a red circle") -> PhaseFinished:
        events = run(engine, make_requests(toys["sigma"], seed=seed, prompt=prompt))
        return next(e for e in events if isinstance(e, PhaseFinished) and e.measurement.phase is Phase.ENCODE)

    assert not encode_facts(1).measurement.is_cached
    second = encode_facts(2).measurement
    assert second.is_cached
    assert second.weight_bytes == 0
    assert not encode_facts(3, "a blue circle").measurement.is_cached


def test_the_first_text_of_each_precision_teaches_no_time(engine: Engine, toys: dict[str, Path]) -> None:
    """It meets cold kernels."""

    def times() -> dict[str, bool]:
        points = engine._planning._calibration.points
        return {kind.split("/")[2]: known[-1].seconds is not None for kind, known in points.items() if "encode" in kind}

    for prompt in ("a red circle", "a blue circle"):
        run(engine, make_requests(toys["sigma"], prompt=prompt))
    run(engine, make_requests(toys["sigma"], prompt="a green circle", precision="int8"))
    assert times() == {"fp16": True, "int8": False}
    run(engine, make_requests(toys["sigma"], prompt="a pink circle", precision="int8"))
    assert times() == {"fp16": True, "int8": True}


def test_precisions_give_near_but_different_embeddings(engine: Engine, toys: dict[str, Path]) -> None:
    states = {
        precision: engine.embed(make_requests(toys["sigma"], precision=precision))[0][0].states
        for precision in Precision
    }
    exact = states[Precision.FP16]
    for precision in Precision:
        similarity = torch.cosine_similarity(exact.flatten(), states[precision].flatten(), dim=0)
        assert similarity > 0.95
        assert torch.equal(exact, states[precision]) == (precision is Precision.FP16)


def test_cancel_stops_at_the_next_step_and_the_others_go_on(engine: Engine, toys: dict[str, Path]) -> None:
    cancelled: set[int] = set()
    seen: list[object] = []
    for event in engine.run(make_requests(toys["sigma"], num_images=2, steps=5), lambda index: index in cancelled):
        seen.append(event)
        if isinstance(event, StepDone) and event.step == 2:
            cancelled.add(0)
    steps_of_first = [event.step for event in seen if isinstance(event, StepDone) and event.index == 0]
    assert steps_of_first == [1, 2]
    (failed,) = [event for event in seen if isinstance(event, ImageFailed)]
    assert failed.is_cancelled
    assert [event.index for event in seen if isinstance(event, ImageReady)] == [1]


def test_leaving_in_the_middle_leaves_an_engine_that_works(engine: Engine, toys: dict[str, Path]) -> None:
    requests = make_requests(toys["sigma"], steps=5)
    expected = latents_of(run(engine, requests))
    running = engine.run(requests, never)
    for event in running:
        if isinstance(event, StepDone):
            break
    running.close()  # type: ignore[attr-defined]
    np.testing.assert_array_equal(latents_of(run(engine, requests))[0], expected[0])


def test_changing_the_checkpoint_drops_the_first_one(engine: Engine, toys: dict[str, Path]) -> None:
    run(engine, make_requests(toys["sigma"]))
    before = engine.info()["weight_bytes"]
    run(engine, make_requests(toys["alpha"]))
    assert engine.info()["weight_bytes"] <= before * 1.1


def test_the_picture_carries_what_it_was_made_with(engine: Engine, toys: dict[str, Path]) -> None:
    events = run(engine, make_requests(toys["sigma"], precision="bf16"))
    (facts,) = [event.facts for event in events if isinstance(event, ImageReady)]
    assert set(facts["components"]) >= {"text_encoder", "transformer", "vae"}
    assert facts["dtypes"] == {"stored": "bfloat16", "computed": "float32", "transformer": "bf16"}
    assert set(facts["measurements"]) == {"encode", "denoise", "decode"}
    assert facts["measurements"]["denoise"]["peak_rss_bytes"] > 10**8
    assert facts["versions"]["torch"] == torch.__version__


def test_a_file_that_lacks_a_weight_is_one_sentence(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    from tests.toy import make_toy_checkpoint

    folder = make_toy_checkpoint(tmp_path / "sigma")
    (path,) = (folder / "transformer").glob("*.safetensors")
    weights = load_file(path)
    del weights["proj_out.weight"]
    save_file(weights, path, metadata={"format": "pt"})
    hub = Hub(tmp_path / "records")
    engine = open_engine(hub, tmp_path / "weights")
    events = run(engine, make_requests(folder))
    (failed,) = [event for event in events if isinstance(event, ImageFailed)]
    assert "1 weights are missing" in failed.message
    assert "proj_out.weight" in failed.message


def test_a_folder_with_nothing_but_a_variant_is_loaded(tmp_path: Path) -> None:
    from tests.toy import make_toy_checkpoint

    folder = make_toy_checkpoint(tmp_path / "sigma")
    for component in ("text_encoder", "transformer", "vae"):
        (path,) = (folder / component).glob("*.safetensors")
        path.rename(path.with_suffix(".fp16.safetensors"))
    hub = Hub(tmp_path / "records")
    engine = open_engine(hub, tmp_path / "weights")
    assert len(images_of(run(engine, make_requests(folder)))) == 1


def test_a_staged_component_is_gone_after_its_phase(toys: dict[str, Path], tmp_path: Path) -> None:
    components = Components(open_device("cpu"), WeightStore(tmp_path))
    source = WeightSource("vae", toys["sigma"] / "vae", Precision.FP16, "toy")
    components.prepare(source, lambda *_: None)
    with components.on_device(source, PhasePlan(Phase.DECODE, Residency.STAGED, "")) as loaded:
        assert components.kept_bytes() > 0
        assert not any(parameter.is_meta for parameter in loaded.module.parameters())
    assert components.kept_bytes() == 0
    components.close()


def test_cuda_asked_for_and_absent_is_one_sentence() -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    with pytest.raises(DeviceError, match=r"Device cuda was asked for, but .* use --device cpu"):
        open_device("cuda")


def test_bitsandbytes_absent_is_one_sentence(
    engine: Engine, toys: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = importlib.util.find_spec
    # Of that package alone: libraries that are imported meanwhile would remember that they lack the others.
    absent = {"bitsandbytes"}
    monkeypatch.setattr("importlib.util.find_spec", lambda name, *args: None if name in absent else real(name, *args))
    with pytest.raises(DeviceError, match=r"Precision int8 needs the package bitsandbytes.* or choose fp16"):
        run(engine, make_requests(toys["sigma"], precision="int8"))


def test_garbage_in_a_config_is_one_sentence(tmp_path: Path) -> None:
    from tests.toy import make_toy_checkpoint

    folder = make_toy_checkpoint(tmp_path / "sigma") / "vae"
    (folder / "config.json").write_text("{not json")
    components = Components(open_device("cpu"), WeightStore(tmp_path))
    with pytest.raises(CheckpointError, match=r"do not agree|cannot be loaded"):
        components.prepare(WeightSource("vae", folder, Precision.FP16, "toy"), lambda *_: None)


@pytest.mark.parametrize(
    "config", ['{"_class_name": "DDPMScheduler"}', '{"num_train_timesteps": 1000, "beta_schedule": "x"}']
)
def test_a_scheduler_config_that_is_none_is_one_sentence(tmp_path: Path, config: str) -> None:
    from tests.toy import make_toy_checkpoint

    folder = make_toy_checkpoint(tmp_path / "sigma")
    (folder / "scheduler" / "scheduler_config.json").write_text(config)
    hub = Hub(tmp_path / "records")
    engine = open_engine(hub, tmp_path / "weights")
    with pytest.raises(CheckpointError, match="scheduler cannot be loaded"):
        run(engine, make_requests(folder))


def test_preview_follows_the_factors(tmp_path: Path) -> None:
    red = LatentRgb(((2.0, -2.0, -2.0), (0, 0, 0), (0, 0, 0), (0, 0, 0)))
    image = preview(torch.ones(1, 4, 4, 6), red)
    assert isinstance(image, Image.Image)
    assert image.size == (24, 16)
    assert image.getpixel((5, 5)) == (255, 0, 0)
    (tmp_path / "latent_rgb.json").write_text('{"factors": [[1,0,0],[0,1,0],[0,0,1],[0,0,0]], "bias": [0.5,0,0]}')
    assert latent_rgb(tmp_path, "sigma").bias == (0.5, 0, 0)
    assert latent_rgb(tmp_path / "none", "alpha") != latent_rgb(tmp_path / "none", "sigma")


def test_a_picture_has_the_roundings_of_the_stock_image_processor(toys: dict[str, Path]) -> None:
    from diffusers import AutoencoderKL
    from diffusers.image_processor import PixArtImageProcessor

    (request,) = make_requests(toys["sigma"])
    vae = AutoencoderKL.from_pretrained(toys["sigma"] / "vae", torch_dtype=torch.float16).float()
    latents = torch.randn(1, 4, request.bin_height // 8, request.bin_width // 8)
    with torch.no_grad():
        pixels = vae.decode(latents / vae.config.scaling_factor, return_dict=False)[0]
    pixels = PixArtImageProcessor.resize_and_crop_tensor(pixels, request.width, request.height)
    (expected,) = PixArtImageProcessor().postprocess(pixels, output_type="pil")
    assert decode(vae, latents, request).tobytes() == expected.tobytes()


def rewrite(path: Path, name: str) -> None:
    """Put another file in its place, as a download does, with one weight changed."""
    from safetensors.torch import load_file, save_file

    weights = load_file(path)
    weights[name][0] += 0.5
    save_file(weights, path.with_suffix(".new"), metadata={"format": "pt"})
    path.with_suffix(".new").replace(path)


def test_a_file_that_was_replaced_while_the_engine_runs_is_read_anew(tmp_path: Path) -> None:
    from tests.toy import make_toy_checkpoint

    folder = make_toy_checkpoint(tmp_path / "sigma")
    for path in (folder / "transformer").glob("*.safetensors"):  # 16 bit: used as it is, not from the store
        from safetensors.torch import load_file, save_file

        save_file({name: tensor.half() for name, tensor in load_file(path).items()}, path, metadata={"format": "pt"})
    hub, requests = Hub(tmp_path / "records"), make_requests(folder)
    engine = open_engine(hub, tmp_path / "weights")
    before = latents_of(run(engine, requests))[0]
    (path,) = (folder / "transformer").glob("*.safetensors")
    rewrite(path, "transformer_blocks.3.ff.net.2.weight")
    after = latents_of(run(engine, requests))[0]
    assert not np.array_equal(before, after)
    np.testing.assert_array_equal(after, latents_of(run(open_engine(hub, tmp_path / "weights"), requests))[0])


def test_a_stored_file_damaged_while_the_engine_runs_is_made_again(
    tmp_path: Path, toys: dict[str, Path], hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    requests = make_requests(toys["sigma"])
    engine = open_engine(hub, tmp_path)
    use_memory(monkeypatch, least_memory(engine, requests))
    expected = latents_of(run(engine, requests))
    for path in tmp_path.glob("*.safetensors"):
        with path.open("r+b") as file:
            file.truncate(path.stat().st_size // 2)
    forget_texts(engine)
    np.testing.assert_array_equal(latents_of(run(engine, requests)), expected)


def test_what_lies_there_whole_makes_way_for_a_plan_that_streams(
    engine: Engine, toys: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    requests = make_requests(toys["sigma"])
    expected = latents_of(run(engine, requests))
    whole = engine.info()["weight_bytes"]
    forget_texts(engine)
    use_memory(monkeypatch, least_memory(engine, requests))
    events = run(engine, requests)
    assert {phase["residency"] for phase in facts_of(events)[0]["plan"]["phases"][:2]} == {"streamed"}
    used = [event.measurement.weight_bytes for event in events if isinstance(event, PhaseFinished)]
    assert sum(used) < whole
    assert engine.info()["weight_bytes"] < whole
    np.testing.assert_array_equal(latents_of(events), expected)


def test_embeddings_are_kept_on_disk_and_a_damaged_one_is_left_aside(
    hub: Hub, weights_dir: Path, toys: dict[str, Path], tmp_path: Path
) -> None:
    def is_cached() -> bool:
        engine = open_engine(hub, weights_dir, embeddings_dir=tmp_path)
        events = run(engine, make_requests(toys["sigma"]))
        engine.close()
        return next(e for e in events if isinstance(e, PhaseFinished)).measurement.is_cached

    assert not is_cached()
    assert is_cached()
    for path in tmp_path.glob("*.safetensors"):
        content = bytearray(path.read_bytes())
        content[-9] ^= 1
        path.write_bytes(content)
    assert not is_cached()
    assert is_cached()


def test_the_decode_tile_of_a_picture_does_not_depend_on_its_neighbours(
    hub: Hub, weights_dir: Path, toys: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beside a larger picture a smaller one is decoded as it is alone."""
    small = make_requests(toys["sigma-512"], steps=2, width=320, height=768)
    large = make_requests(toys["sigma-512"], steps=2, width=512, height=512, seed=8)
    assert small[0].bin_width * small[0].bin_height != large[0].bin_width * large[0].bin_height
    compared = 0
    for more in range(0, 60 * 2**20, 12 * 2**20):
        tiles = []
        for requests in (small, large + small, small + large):
            engine = open_engine(hub, weights_dir)
            with monkeypatch.context() as patched:
                use_memory(patched, least_memory(engine, small + large) + more)
                group = engine._opening.open(requests)
                tiles.append(group.plan_of(requests.index(small[0])).phase(Phase.DECODE).tile)
            engine.close()
        assert len(set(tiles)) == 1
        compared += tiles[0] is not None
    assert compared
