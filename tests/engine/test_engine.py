"""What the engine yields, keeps and lets go, on the CPU with toy checkpoints."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pixart_ui.catalog import from_folder
from pixart_ui.engine import planner, sizes
from pixart_ui.engine.components import Components, Source
from pixart_ui.engine.device import open_device
from pixart_ui.engine.embeddings import Embedding, EmbeddingCache, EmbeddingKey
from pixart_ui.engine.engine import Engine
from pixart_ui.engine.previews import LatentRgb, latent_rgb, preview
from pixart_ui.errors import CheckpointError, DeviceError
from pixart_ui.events import ImageFailed, ImageReady, Phase, PhaseFinished, PhaseStarted, Residency, StepDone
from pixart_ui.hub import Hub
from pixart_ui.request import Numerics, Precision
from tests.engine.conftest import images_of, latents_of, make_requests, never, run


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
    engine._embeddings = EmbeddingCache()
    together = latents_of(run(engine, long_neighbour + group))[2]
    np.testing.assert_array_equal(alone, together)


@pytest.mark.parametrize("numerics", Numerics)
@pytest.mark.parametrize("precision", [Precision.FP16, Precision.NF4])
def test_resident_and_staged_give_the_same_latents(
    engine: Engine, toys: dict[str, Path], numerics: Numerics, precision: Precision, monkeypatch: pytest.MonkeyPatch
) -> None:
    (request,) = make_requests(toys["sigma"], numerics=numerics, precision=precision)
    events = run(engine, (request,))
    monkeypatch.setattr("pixart_ui.engine.device.Device.memory", lambda self: (0, 2**30))
    engine.close()
    engine._embeddings = EmbeddingCache()
    staged = run(engine, (request,))
    (facts,) = [event.facts for event in staged if isinstance(event, ImageReady)]
    assert {phase["residency"] for phase in facts["plan"]["phases"]} == {"staged"}
    assert engine.info()["weight_bytes"] == 0
    np.testing.assert_array_equal(latents_of(events)[0], latents_of(staged)[0])


def test_the_same_prompt_again_skips_the_text_encoder(engine: Engine, toys: dict[str, Path]) -> None:
    def encode_facts(seed: int, prompt: str = "a red circle") -> PhaseFinished:
        events = run(engine, make_requests(toys["sigma"], seed=seed, prompt=prompt))
        return next(e for e in events if isinstance(e, PhaseFinished) and e.measurement.phase is Phase.ENCODE)

    assert not encode_facts(1).measurement.is_cached
    second = encode_facts(2).measurement
    assert second.is_cached
    assert second.weight_bytes == 0
    assert not encode_facts(3, "a blue circle").measurement.is_cached


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
    assert facts["dtypes"] == {"stored": "bfloat16", "computed": "float32"}
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
    engine = Engine.open("cpu", lambda name: hub.locate(from_folder(Path(name))), hub.hashes)
    events = run(engine, make_requests(folder))
    (failed,) = [event for event in events if isinstance(event, ImageFailed)]
    assert "lacks 1 weights" in failed.message
    assert "proj_out.weight" in failed.message


def test_a_folder_with_nothing_but_a_variant_is_loaded(tmp_path: Path) -> None:
    from tests.toy import make_toy_checkpoint

    folder = make_toy_checkpoint(tmp_path / "sigma")
    for component in ("text_encoder", "transformer", "vae"):
        (path,) = (folder / component).glob("*.safetensors")
        path.rename(path.with_suffix(".fp16.safetensors"))
    hub = Hub(tmp_path / "records")
    engine = Engine.open("cpu", lambda name: hub.locate(from_folder(Path(name))), hub.hashes)
    assert len(images_of(run(engine, make_requests(folder)))) == 1


def test_the_hub_s_own_embedding_names_are_not_missing_weights(toys: dict[str, Path]) -> None:
    """The published T5 files hold `shared` only; the tied copy must not count as missing."""
    device = open_device("cpu")
    source = Source("text_encoder", toys["sigma"] / "text_encoder", Precision.FP16)
    with Components(device).on_device(source, Residency.STAGED) as loaded:
        assert loaded.module.encoder.embed_tokens.weight is loaded.module.shared.weight


def test_a_staged_component_is_gone_after_its_phase(toys: dict[str, Path]) -> None:
    components = Components(open_device("cpu"))
    source = Source("vae", toys["sigma"] / "vae", Precision.FP16)
    with components.on_device(source, Residency.STAGED) as loaded:
        assert loaded.module is not None
    assert loaded.module is None
    assert components.kept_bytes() == 0


def test_cuda_asked_for_and_absent_is_one_sentence() -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    with pytest.raises(DeviceError, match=r"Device cuda was asked for, but .* use --device cpu"):
        open_device("cuda")


def test_bitsandbytes_absent_is_one_sentence(
    engine: Engine, toys: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(DeviceError, match=r"Precision int8 needs the package bitsandbytes.* or choose fp16"):
        run(engine, make_requests(toys["sigma"], precision="int8"))


@pytest.mark.parametrize("phase", [Phase.DENOISE, Phase.DECODE])
def test_out_of_memory_is_one_sentence_and_the_next_picture_works(
    engine: Engine, toys: dict[str, Path], monkeypatch: pytest.MonkeyPatch, phase: Phase
) -> None:
    def full(*_: object, **__: object) -> None:
        raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")

    (request,) = make_requests(toys["sigma"])
    with monkeypatch.context() as patched:
        patched.setattr(f"pixart_ui.engine.engine.{phase}", full)
        (failed,) = [event for event in run(engine, (request,)) if isinstance(event, ImageFailed)]
    assert f"ran out of memory in the phase {phase}" in failed.message
    assert "choose a smaller size" in failed.message
    assert len(images_of(run(engine, (request,)))) == 1


def test_garbage_in_a_config_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{not json")
    with (
        pytest.raises(CheckpointError, match="cannot be loaded"),
        Components(open_device("cpu")).on_device(Source("vae", tmp_path, Precision.FP16), Residency.STAGED),
    ):
        pass


def test_planner_keeps_what_fits() -> None:
    weights = {"text_encoder": 10 * planner.GIB, "transformer": planner.GIB, "vae": planner.GIB // 4}
    demand = planner.Demand(weights, pixels=1024 * 1024)

    def residencies(gib: float) -> list[str]:
        return [str(phase.residency) for phase in planner.plan(demand, int(gib * planner.GIB)).phases]

    assert residencies(24) == ["resident", "resident", "resident"]
    assert residencies(8) == ["staged", "resident", "resident"]
    assert residencies(3) == ["staged", "staged", "staged"]


def test_a_staged_text_encoder_gets_the_room_it_needs(
    engine: Engine, toys: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a card that holds T5 or the others, the others leave before the next new prompt is encoded."""
    run(engine, make_requests(toys["sigma"]))
    kept = engine.info()["weight_bytes"]
    source = Source("text_encoder", toys["sigma"] / "text_encoder", Precision.NF4)
    engine._components.make_room(source, needed_bytes=1000)
    assert engine.info()["weight_bytes"] == kept
    monkeypatch.setattr("pixart_ui.engine.device.Device.memory", lambda self: (10_000, 10**9))
    engine._components.make_room(source, needed_bytes=10_001)
    assert engine.info()["weight_bytes"] == 0


@pytest.mark.parametrize(
    "config", ['{"_class_name": "DDPMScheduler"}', '{"num_train_timesteps": 1000, "beta_schedule": "x"}']
)
def test_a_scheduler_config_that_is_none_is_one_sentence(tmp_path: Path, config: str) -> None:
    from tests.toy import make_toy_checkpoint

    folder = make_toy_checkpoint(tmp_path / "sigma")
    (folder / "scheduler" / "scheduler_config.json").write_text(config)
    hub = Hub(tmp_path / "records")
    engine = Engine.open("cpu", lambda name: hub.locate(from_folder(Path(name))), hub.hashes)
    with pytest.raises(CheckpointError, match="scheduler cannot be loaded"):
        run(engine, make_requests(folder))


def test_sizes_count_one_variant_only(tmp_path: Path) -> None:
    from tests.toy import make_toy_checkpoint

    folder = make_toy_checkpoint(tmp_path / "sigma") / "vae"
    alone = sizes.device_bytes("vae", folder, Precision.FP16, is_cpu=False)
    (path,) = folder.glob("*.safetensors")
    path.with_suffix(".fp16.safetensors").write_bytes(path.read_bytes())
    assert sizes.device_bytes("vae", folder, Precision.FP16, is_cpu=False) == alone
    assert sizes.device_bytes("vae", folder, Precision.FP16, is_cpu=False, variant="fp16") == alone


def test_planner_says_why() -> None:
    demand = planner.Demand({"text_encoder": 10 * planner.GIB, "transformer": 0, "vae": 0}, pixels=0)
    (encode, *_) = planner.plan(demand, planner.GIB).phases
    assert encode.reason == "keeping it would need 10.3 GiB in all, 1.0 GiB are free"


def test_embedding_cache_is_strict_and_bounded() -> None:
    def key(text: str, precision: Precision = Precision.FP16) -> EmbeddingKey:
        return EmbeddingKey(text, "hash", precision, Numerics.FAST, "float32", "cpu", 300, True, ("1",))

    one = Embedding(torch.zeros(1, 10, 8), torch.ones(1, 10, dtype=torch.int64))
    cache = EmbeddingCache(max_bytes=2 * one.nbytes)
    for text in "abc":
        cache.put(key(text), one)
    assert cache.get(key("a")) is None
    assert cache.get(key("c")) is one
    assert cache.get(key("c", Precision.NF4)) is None


def test_preview_follows_the_factors(tmp_path: Path) -> None:
    red = LatentRgb(((2.0, -2.0, -2.0), (0, 0, 0), (0, 0, 0), (0, 0, 0)))
    image = preview(torch.ones(1, 4, 4, 6), red)
    assert isinstance(image, Image.Image)
    assert image.size == (24, 16)
    assert image.getpixel((5, 5)) == (255, 0, 0)
    (tmp_path / "latent_rgb.json").write_text('{"factors": [[1,0,0],[0,1,0],[0,0,1],[0,0,0]], "bias": [0.5,0,0]}')
    assert latent_rgb(tmp_path, "sigma").bias == (0.5, 0, 0)
    assert latent_rgb(tmp_path / "none", "alpha") != latent_rgb(tmp_path / "none", "sigma")
