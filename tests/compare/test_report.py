"""A report on disk: complete, self-contained, read back as it was, and nobody's way out of its folder."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pixart_ui.compare import report
from pixart_ui.compare.changes import differences
from pixart_ui.compare.comparison import (
    Band,
    Baseline,
    Comparison,
    Device,
    EmbeddingError,
    Result,
    State,
    Timeline,
)
from pixart_ui.compare.sweep import Cell
from pixart_ui.errors import InputError
from tests.compare.parts import GIB, comparison, ended, precision, precisions, sweep

NASTY = '<script>alert("x")</script> & $x$ "quoted" 東京'


def picture(folder: Path, name: str, level: int, side: int = 64) -> str:
    """A real PNG in `images/`; the name that a result has for it."""
    (folder / "images").mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(level).integers(0, 256, (side, side, 3), dtype=np.uint8)
    Image.fromarray(noise).save(folder / "images" / f"{name}.png")
    return f"images/{name}.png"


def with_pictures(folder: Path, cell: Cell, **rest: Any) -> Result:
    """The made-up figures, with files behind them and everything that a run can have."""
    made = precisions(cell)
    end = 4.0
    line = Timeline(
        kind="reserved",
        at_seconds=(0.0, 1.0, end),
        held_bytes=(0, 11 * GIB, 2 * GIB),
        bands=(
            Band(name="encode", start_seconds=0, end_seconds=1),
            Band(name="denoise", start_seconds=1, end_seconds=end),
        ),
    )
    quality = made.quality
    if quality is not None:
        embedding = EmbeddingError(cosine=0.99, relative_l2=0.1, worst_token="boat", worst_cosine=0.91, num_tokens=12)
        quality = quality.model_copy(update={"embedding": embedding, "latent_relative_l2": 0.05})
    return made.model_copy(
        update={
            "image": picture(folder, cell.key, int(cell.key[:4], 16)),
            "heat_map": None if cell.is_reference else picture(folder, f"{cell.key}-difference", 1),
            "pixels_sha256": cell.key,
            "timeline": line,
            "baseline": Baseline(before_bytes=5, after_bytes=5, is_kept=True),
            "was_warm": True,
            "quality": quality,
        }
        | rest
    )


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return tmp_path / "source"


@pytest.fixture
def made(source: Path) -> Comparison:
    return comparison(sweep(), lambda cell: with_pictures(source, cell), heat_scale_levels=16)


class Addresses(HTMLParser):
    """Everything that a page would ask for, and the elements that it has."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.found += [value or "" for name, value in attrs if name in ("src", "href", "srcset")]


def test_a_report_is_a_folder_with_everything_in_it(made: Comparison, source: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert report.write(made, out, source) == out / "report.html"
    assert {path.name for path in out.iterdir()} == {"report.html", "report.json", "report.csv", "figure.png", "images"}
    names = {name for result in made.results for name in (result.image, result.heat_map) if name}
    assert {f"images/{path.name}" for path in (out / "images").iterdir()} == names
    with Image.open(out / "figure.png") as figure:
        assert figure.format == "PNG"
        assert figure.width > 1000


def test_what_is_read_back_is_what_was_written(made: Comparison, source: Path, tmp_path: Path) -> None:
    report.write(made, tmp_path / "out", source)
    assert report.read(tmp_path / "out") == made
    assert report.read(tmp_path / "out" / "report.json") == made


def test_the_html_asks_for_nothing_and_may_not(made: Comparison, source: Path, tmp_path: Path) -> None:
    html = report.write(made, tmp_path / "out", source).read_text()
    page = Addresses()
    page.feed(html)
    assert page.found
    assert all(address.startswith("data:") for address in page.found)
    assert "url(http" not in html
    (script,) = re.findall(r"<script>(.*?)</script>", html, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert (
        f"default-src 'none'; img-src data:; font-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
        in html
    )


def test_the_html_holds_the_original_pictures_and_the_data(made: Comparison, source: Path, tmp_path: Path) -> None:
    html = report.write(made, tmp_path / "out", source).read_text()
    inside = {base64.b64decode(found) for found in re.findall(r"base64,([A-Za-z0-9+/=]+)", html)}
    for result in made.results:
        assert result.image is not None
        assert (source / result.image).read_bytes() in inside
    assert (tmp_path / "out" / "report.csv").read_bytes() in inside
    assert any(Comparison.model_validate_json(part) == made for part in inside if part.startswith(b'{\n "format"'))


def test_pictures_too_many_for_one_file_are_smaller_inside_and_it_says_so(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def outcome(cell: Cell) -> Result:
        return with_pictures(source, cell).model_copy(update={"image": picture(source, cell.key, 3, side=900)})

    made = comparison(sweep("precision=fp16,nf4"), outcome)
    whole = report.write(made, tmp_path / "whole", source)
    monkeypatch.setattr("pixart_ui.compare.report_page.MAX_EMBEDDED_BYTES", 2**20)
    small = report.write(made, tmp_path / "small", source)
    assert small.stat().st_size < whole.stat().st_size / 3
    assert "copies of at most 448 pixels" in small.read_text()
    assert "The pictures are the originals." in whole.read_text()


def test_what_people_wrote_is_shown_and_never_run(source: Path, tmp_path: Path) -> None:
    made = comparison(
        sweep(prompts=[NASTY, "two"]),
        lambda cell: with_pictures(source, cell, notes=(NASTY,)),
        name=NASTY,
        device=Device(name=NASTY, type="cuda"),
    )
    html = report.write(made, tmp_path / "out", source).read_text()
    page = Addresses()
    page.feed(html)
    assert page.tags.count("script") == 1
    assert "&lt;script&gt;alert" in html
    assert "東京" in html


def test_a_spreadsheet_takes_nothing_for_a_formula(source: Path, tmp_path: Path) -> None:
    prompt = "=HYPERLINK(1)"
    made = comparison(sweep(prompts=[prompt, "two"]), lambda cell: with_pictures(source, cell))
    report.write(made, tmp_path / "out", source)
    rows = csv_rows(tmp_path / "out")
    assert rows[0]["prompt"] == f"'{prompt}"


def csv_rows(folder: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO((folder / "report.csv").read_text("utf-8-sig"))))


def test_the_csv_has_every_run_with_every_figure(made: Comparison, source: Path, tmp_path: Path) -> None:
    report.write(made, tmp_path / "out", source)
    rows = {
        row["run"]: row for row in csv.DictReader(io.StringIO((tmp_path / "out" / "report.csv").read_text("utf-8-sig")))
    }
    assert list(rows) == ["fp16", "fp16, repeated", "fp16, another seed", "8-bit", "nf4", "fp4"]
    nf4 = rows["nf4"]
    assert nf4["precision"] == "nf4"
    assert int(nf4["memory_bytes"]) == round(5.8 * GIB)
    assert nf4["memory_kind"] == "reserved"
    assert (nf4["rms_levels"], nf4["embedding_worst_token"], nf4["baseline_kept"]) == ("10.0", "boat", "yes")
    assert float(nf4["encode_load_seconds"]) == 0.5
    assert rows["fp16, repeated"]["psnr_db"] == "inf"
    assert rows["fp16"]["psnr_db"] == ""


def test_infinity_is_valid_json(made: Comparison, source: Path, tmp_path: Path) -> None:
    report.write(made, tmp_path / "out", source)

    def refuse(constant: str) -> float:
        raise AssertionError(constant)

    document = json.loads((tmp_path / "out" / "report.json").read_text(), parse_constant=refuse)
    repeated = next(result for result in document["results"] if result["role"] == "repeated")
    assert repeated["quality"]["psnr_db"] == "Infinity"


def test_runs_without_a_picture_are_in_the_report_with_their_reason(source: Path, tmp_path: Path) -> None:
    def outcome(cell: Cell) -> Result | None:
        ends = {
            "int8": ended(cell, State.UNAVAILABLE, "ImportError: bitsandbytes is absent"),
            "nf4": ended(cell, State.OUT_OF_MEMORY, "needs more than 6.0 GiB"),
            "fp4": None,
        }
        return ends[precision(cell)] if precision(cell) in ends else with_pictures(source, cell)

    made = comparison(sweep(), outcome)
    html = report.write(made, tmp_path / "out", source).read_text()
    assert "cannot run here: ImportError: bitsandbytes is absent" in html
    assert "ran out of memory: needs more than 6.0 GiB" in html
    assert "fp4 is still to be run." in html
    assert report.read(tmp_path / "out").missing == tuple(
        cell for cell in made.sweep.cells() if precision(cell) == "fp4"
    )


def test_what_the_engine_noted_stands_beside_the_run(source: Path, tmp_path: Path) -> None:
    note = "decode: in pieces of 256 pixels."
    made = comparison(
        sweep(), lambda cell: with_pictures(source, cell, notes=(note,) if precision(cell) == "nf4" else ())
    )
    html = report.write(made, tmp_path / "out", source).read_text()
    assert html.count(">done; decode: in pieces of 256 pixels<") == 1


def test_a_run_that_left_something_on_the_device_says_how_much(source: Path, tmp_path: Path) -> None:
    def outcome(cell: Cell) -> Result:
        left = 300 * 2**20 if precision(cell) == "nf4" else 0
        kept = Baseline(before_bytes=GIB, after_bytes=GIB + left, is_kept=not left)
        return precisions(cell).model_copy(update={"baseline": kept})

    made = comparison(sweep(), outcome)
    html = report.write(made, tmp_path, source).read_text(encoding="utf-8")
    assert "300.0 MiB" in html
    assert f"After {len(made.results) - 1} of {len(made.results)} runs the device held what it held before." in html
    rows = list(csv.DictReader((tmp_path / "report.csv").read_text(encoding="utf-8-sig").splitlines()))
    assert {row["run"] for row in rows if row["baseline_kept"] == "no"} == {"nf4"}


def test_a_report_written_again_has_the_new_pictures(made: Comparison, source: Path, tmp_path: Path) -> None:
    report.write(made, tmp_path / "out", source)
    name = made.results[0].image
    assert name is not None
    picture(source, Path(name).stem, level=77)
    report.write(made, tmp_path / "out", source)
    assert (tmp_path / "out" / name).read_bytes() == (source / name).read_bytes()


def test_a_picture_that_is_gone_is_said_to_be(made: Comparison, source: Path, tmp_path: Path) -> None:
    assert made.results[0].image is not None
    (source / made.results[0].image).unlink()
    html = report.write(made, tmp_path / "out", source).read_text()
    assert "its picture is gone" in html


def test_with_random_weights_no_quality_is_shown(source: Path, tmp_path: Path) -> None:
    made = comparison(sweep(), lambda cell: with_pictures(source, cell, has_random_weights=True))
    html = report.write(made, tmp_path / "out", source).read_text()
    assert "PSNR, dB" not in html
    assert "another seed</button>" not in html
    assert "The weights are random" in html


def test_over_several_prompts_there_is_a_table_of_means(source: Path, tmp_path: Path) -> None:
    made = comparison(sweep(prompts=["one", "two", "three"]), lambda cell: with_pictures(source, cell))
    html = report.write(made, tmp_path / "out", source).read_text()
    assert "Over all 3 rows" in html
    assert '10.0 ± 0.0<span class="below">10.0 to 10.0</span>' in html


def test_a_folder_that_cannot_be_written_gets_one_sentence(made: Comparison, source: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"cannot be written to .*file.*: choose another folder"):
        report.write(made, tmp_path / "file" / "out", source)


# Reading what is somebody else's


def changed(folder: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    path = folder / "report.json"
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))
    return path


@pytest.mark.parametrize(
    "name",
    [
        "../../etc/passwd",
        "/etc/passwd",
        "images/../../x.png",
        "images/sub/x.png",
        "C:\\x.png",
        "images\\x.png",
        "",
        "images/",
    ],
)
@pytest.mark.parametrize("field", ["image", "heat_map"])
def test_a_picture_outside_the_report_is_refused(
    made: Comparison, source: Path, tmp_path: Path, name: str, field: str
) -> None:
    report.save_json(made, tmp_path)
    path = changed(tmp_path, lambda document: document["results"][1].update({field: name}))
    with pytest.raises(InputError, match="which is not a file in its own images/: choose a report"):
        report.read(path)


def test_a_picture_that_is_a_link_to_the_outside_is_refused(made: Comparison, source: Path, tmp_path: Path) -> None:
    report.write(made, tmp_path / "out", source)
    assert made.results[0].image is not None
    target = tmp_path / "out" / made.results[0].image
    target.unlink()
    target.symlink_to("/etc/passwd")
    with pytest.raises(InputError, match="is a link that leads out of its folder"):
        report.read(tmp_path / "out")


@pytest.mark.parametrize("version", [0, 2, "1", None])
def test_another_version_is_refused(made: Comparison, tmp_path: Path, version: object) -> None:
    report.save_json(made, tmp_path)
    path = changed(tmp_path, lambda document: document.update(format=version))
    with pytest.raises(InputError, match=rf"has format {version}, this version reads 1"):
        report.read(path)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda document: document.update(surprise=1), "damaged (surprise"),
        (lambda document: document.pop("versions"), "damaged (versions"),
        (lambda document: document["results"][0].update(prompt_index=9), "damaged (: Value error, has only runs"),
        (lambda document: document["results"][0].update(state="splendid"), "damaged (results.0.state"),
        (lambda document: document["results"].append(document["results"][0]), "has each run once"),
        (lambda document: document["sweep"]["axes"][0].update(values=[]), "Axis precision has no values"),
        (lambda document: document["sweep"].update(strategy="magic"), "Unknown strategy 'magic'"),
        (lambda document: document["results"][0]["timeline"].update(at_seconds=[1.0]), "damaged (results.0.timeline"),
    ],
)
def test_a_damaged_report_gets_one_sentence(
    made: Comparison, tmp_path: Path, change: Callable[[dict[str, Any]], object], sentence: str
) -> None:
    report.save_json(made, tmp_path)
    path = changed(tmp_path, change)
    with pytest.raises(InputError) as error:
        report.read(path)
    assert sentence in error.value.message
    assert "\n" not in error.value.message


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "it is not JSON"),
        (b"\xff\xfe", "it is not JSON"),
        (b"[1]", "must be a JSON object"),
        (b"[" * 10**5, "not JSON"),
    ],
)
def test_a_file_that_is_no_report_gets_one_sentence(tmp_path: Path, content: bytes, sentence: str) -> None:
    path = tmp_path / "report.json"
    path.write_bytes(content)
    with pytest.raises(InputError) as error:
        report.read(path)
    assert sentence in error.value.message


def test_a_report_that_is_not_there_gets_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"does not exist: give a report\.json"):
        report.read(tmp_path)


# What changed


def test_the_same_repeated_has_no_differences(made: Comparison) -> None:
    assert differences(made, made) == ()


def test_differences_are_told_one_by_one(made: Comparison, source: Path) -> None:
    def outcome(cell: Cell) -> Result | None:
        result = with_pictures(source, cell)
        if precision(cell) == "int8":
            return ended(cell, State.OUT_OF_MEMORY, "needs more than 6.0 GiB")
        if precision(cell) == "nf4":
            slow = tuple(phase.model_copy(update={"seconds": 2 * phase.seconds}) for phase in result.phases)
            return result.model_copy(update={"pixels_sha256": "other", "phases": slow})
        return None if precision(cell) == "fp4" else result

    new = comparison(
        sweep(),
        outcome,
        device=Device(name="NVIDIA Other", type="cuda", budget_bytes=6 * GIB),
        versions={"pixart-ui": "0.1.0", "torch": "2.14.0"},
        components={"tiny": {"vae": "b" * 64}},
    )
    assert differences(made, new) == (
        "It ran on NVIDIA Other, before on NVIDIA Imaginary.",
        "The budget is 6.0 GiB, it was all that is free.",
        "Version of torch: 2.14.0, before 2.13.0.",
        "Weights of tiny, vae: bbbbbbbbbbbb, before none.",
        "8-bit: ran out of memory: needs more than 6.0 GiB, before it was done.",
        "nf4: the picture is another one.",
        "nf4: it took 8.0 s, before 4.0 s.",
        "fp4 has not been run again.",
    )


def test_memory_that_changed_is_told_with_both_figures(made: Comparison) -> None:
    new = comparison(sweep(), lambda cell: precisions(cell).model_copy(update={"pixels_sha256": cell.key}))
    shrunk = tuple(
        result.model_copy(
            update={"phases": tuple(p.model_copy(update={"peak_reserved_bytes": GIB}) for p in result.phases)}
        )
        if result.values["precision"] == "fp4"  # type: ignore[index]
        else result
        for result in new.results
    )
    assert differences(new, new.model_copy(update={"results": shrunk})) == (
        "fp4: memory is 1.00 GiB, it was 5.90 GiB.",
    )
