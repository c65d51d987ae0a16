"""What a kept comparison looks like on the page, what can be done with it, and its addresses."""

from __future__ import annotations

import io
import json
from html import escape
from pathlib import Path

import pytest
from PIL import Image
from starlette.applications import Starlette
from starlette.testclient import TestClient

from pixart_ui.compare import report
from pixart_ui.compare.comparison import Band, Comparison, Result, State, Timeline
from pixart_ui.compare.kept import Kept
from pixart_ui.compare.sweep import Cell, Role
from pixart_ui.services import Services
from pixart_ui.ui import words
from pixart_ui.ui.compare_routes import Maker, compare_routes
from pixart_ui.ui.compare_verbs import act
from pixart_ui.ui.live import Live
from pixart_ui.ui.look import Look
from pixart_ui.ui.result import picture_url, thumbnail_url
from tests.cli.test_imports import modules_after
from tests.compare.parts import GIB, apart, comparison, ended, precision, sweep
from tests.ui.test_live import ATTACK, Watch

# In order of memory; the distance of another seed is 50 levels.
PEAKS = {"fp16": 11.0, "int8": 7.5, "nf4": 5.8, "fp4": 5.9}
LEVELS = {"fp16": 0.0, "int8": 1.0, "nf4": 10.0, "fp4": 25.0}


@pytest.fixture
def live(services: Services) -> Live:
    return Live(services, Watch(), ())


@pytest.fixture
def client(services: Services) -> TestClient:
    return TestClient(Starlette(routes=compare_routes(services)))


def drawn(cell: Cell) -> Result:
    """A run with a picture, sampled through its phases."""
    name = precision(cell)
    line = Timeline(
        kind="reserved",
        at_seconds=(0.0, 1.0, 4.0),
        held_bytes=(0, round(PEAKS[name] * GIB), GIB),
        bands=(
            Band(name="encode", start_seconds=0, end_seconds=1),
            Band(name="denoise", start_seconds=1, end_seconds=4),
        ),
    )
    found = apart(cell, PEAKS[name], LEVELS[name])
    return found.model_copy(update={"image": f"images/{cell.key}.png", "timeline": line})


def keep(services: Services, kept: Comparison) -> str:
    """Keep it with a picture for each run, all of their own grey."""
    folder = Kept(services.settings.comparisons_dir)
    comparison_id = folder.create(kept)
    for number, result in enumerate(kept.results):
        if result.image is not None:
            picture = Image.new("RGB", (32, 32), (10 * number,) * 3)
            picture.save(folder.path(comparison_id) / result.image)
    return comparison_id


def regions(live: Live, comparison_id: str = "", room: str = "") -> dict[str, str]:
    query = {"tab": "compare", "comparison": comparison_id, "room": room}
    shown = live.snapshot("", Look.of(query))
    assert shown is not None
    return dict(shown.regions)


def order(grid: str, kept: Comparison) -> list[str]:
    names = {cell.key: precision(cell) for cell in kept.sweep.cells() if cell.role is Role.CELL}
    return [names[part[:16]] for part in grid.split('data-key="')[1:] if part[:16] in names]


def test_without_any_the_page_says_what_it_is_for(live: Live) -> None:
    assert words.COMPARE_EMPTY_TITLE in regions(live)["compare-head"]


def test_the_verdict_stands_first_and_the_grid_in_the_order_of_memory(services: Services, live: Live) -> None:
    kept = comparison(sweep(), drawn)
    shown = regions(live, keep(services, kept))
    assert "nf4 holds 5.2 GiB less than fp16" in shown["compare-head"]
    assert order(shown["compare-grid"], kept) == ["fp16", "int8", "fp4", "nf4"]
    assert "5.8 GiB" in shown["compare-grid"]
    assert "differs 0.20 × another seed" in shown["compare-grid"]
    assert words.COMPARE_COMPLETE.format(total=6) in shown["compare-head"]
    assert words.COMPARE_RESUME not in shown["compare-head"]


def test_advice_is_for_this_device_or_for_a_budget_that_is_chosen(services: Services, live: Live) -> None:
    comparison_id = keep(services, comparison(sweep(), drawn))
    assert "Use fp16" in regions(live, comparison_id)["compare-head"]
    assert "Use 8-bit" in regions(live, comparison_id, room="8")["compare-head"]
    assert "Nothing here fits in 2.0 GiB" in regions(live, comparison_id, room="2")["compare-head"]
    assert "Use fp16" in regions(live, comparison_id, room="-1")["compare-head"]


def test_a_run_without_a_picture_says_why(services: Services, live: Live) -> None:
    def outcome(cell: Cell) -> Result:
        ends = {"int8": State.UNAVAILABLE, "nf4": State.OUT_OF_MEMORY, "fp4": State.FAILED}
        name = precision(cell)
        return ended(cell, ends[name], f"because of <{name}>") if name in ends else drawn(cell)

    grid = regions(live, keep(services, comparison(sweep(), outcome)))["compare-grid"]
    assert "Cannot run here: because of &lt;int8&gt;." in grid
    assert "Ran out of memory: because of &lt;nf4&gt;." in grid
    assert "Failed: because of &lt;fp4&gt;." in grid


def test_a_run_to_come_shows_where_it_is_in_the_queue(services: Services, live: Live) -> None:
    comparison_id = services.start_comparison(sweep("precision=fp16,nf4"))
    shown = regions(live, comparison_id)
    assert shown["compare-grid"].count(words.COMPARE_WAITING) == 4
    assert words.COMPARE_RUNNING.format(done=0, total=4) in shown["compare-head"]
    (job,) = services.journal.claim("worker", lease_seconds=60, limit=1)
    services.journal.progress(job, phase="denoise", step=3, preview=None)
    assert words.DENOISE_STEP.format(step=3, steps=8) in regions(live, comparison_id)["compare-grid"]


def test_a_result_is_seen_as_soon_as_it_is_kept(services: Services, live: Live) -> None:
    whole = comparison(sweep(), drawn)
    comparison_id = keep(services, whole.model_copy(update={"results": whole.results[:3]}))
    assert words.COMPARE_PARTLY.format(done=3, total=6) in regions(live, comparison_id)["compare-head"]
    Kept(services.settings.comparisons_dir).save(comparison_id, whole)
    shown = regions(live, comparison_id)
    assert words.COMPARE_COMPLETE.format(total=6) in shown["compare-head"]
    assert shown["compare-figures"].count("<polyline") == 4


def test_tables_lines_and_bars_have_every_run(services: Services, live: Live) -> None:
    figures = regions(live, keep(services, comparison(sweep(), drawn)))["compare-figures"]
    assert figures.count("<tr data-key=") == 6
    assert figures.count("<polyline") == 4
    assert figures.count('data-act="sort"') >= 5
    assert '<li data-column="nf4">' in figures
    assert 'data-phase="denoise"' in figures


def test_many_prompts_have_a_row_each_and_a_table_of_means(services: Services, live: Live) -> None:
    prompts = [f"a star number {number}" for number in range(8)]
    shown = regions(live, keep(services, comparison(sweep(prompts=prompts), drawn)))
    assert shown["compare-grid"].count('class="prompt-row"') == 8
    assert words.COMPARE_OTHER_PROMPTS.format(count=4) in shown["compare-grid"]
    assert words.COMPARE_TABLE_ALL in shown["compare-figures"]


def test_whatever_was_typed_stays_text(services: Services, live: Live) -> None:
    kept = comparison(sweep(prompts=[ATTACK]), drawn)
    comparison_id = keep(services, kept)
    services.rename_comparison(comparison_id, ATTACK)
    assert ATTACK not in "".join(regions(live, comparison_id).values())
    assert escape(ATTACK) in regions(live, comparison_id)["compare-head"]
    assert ATTACK not in act(services, f"delete:{comparison_id}")


def test_a_damaged_one_is_said_to_be_and_can_be_deleted(services: Services, live: Live) -> None:
    comparison_id = keep(services, comparison(sweep(), drawn))
    (services.settings.comparisons_dir / comparison_id / report.JSON_NAME).write_text("{")
    shown = regions(live, comparison_id)
    assert 'role="alert"' in shown["compare-head"]
    assert 'data-verb="delete"' in shown["compare-head"]
    assert words.COMPARE_UNREADABLE in shown["compare-list"]


def test_another_name_is_news_for_the_compare_tab_alone(services: Services, live: Live) -> None:
    comparison_id = keep(services, comparison(sweep(), drawn))
    compare, single = Look.of({"tab": "compare"}), Look()
    before = {look: live.state().mark(look) for look in (compare, single)}
    services.rename_comparison(comparison_id, "tea")
    assert before[compare] != live.state().mark(compare)
    assert before[single] == live.state().mark(single)
    assert "tea" in regions(live)["compare-list"]


def test_one_that_is_gone_gives_way_to_the_newest(services: Services, live: Live) -> None:
    comparison_id = keep(services, comparison(sweep(), drawn))
    assert f'data-comparison="{comparison_id}"' in regions(live, "20200101-000000-abcdef")["compare-head"]


# What can be done with it


def test_names_cancelling_resuming_and_deleting(services: Services) -> None:
    comparison_id = services.start_comparison(sweep("precision=fp16,nf4"))
    assert "“tea”" in act(services, f"rename:{comparison_id}: tea ")
    assert services.comparison(comparison_id).name == "tea"
    assert words.COMPARE_CANCELLED in act(services, f"cancel:{comparison_id}")
    assert not services.journal.has_open()
    assert words.ALREADY_OVER in act(services, f"cancel:{comparison_id}")
    assert "4 runs are in the queue again" in act(services, f"resume:{comparison_id}")
    assert words.COMPARE_NOTHING_TO_RESUME in act(services, f"resume:{comparison_id}")
    assert "“tea” is deleted." in act(services, f"delete:{comparison_id}")
    assert services.comparisons() == ()
    assert not services.journal.has_open()


@pytest.mark.parametrize(
    "target", ["", "burn:1", "delete:../..", "rename:20200101-000000-abcdef:x", "delete:", "cancel"]
)
def test_a_wrong_target_is_one_sentence(services: Services, target: str) -> None:
    answer = act(services, target)
    assert 'role="alert"' in answer or words.ALREADY_OVER in answer


# Its addresses


def test_pictures_are_sent_as_they_are_and_nothing_else_is(services: Services, client: TestClient) -> None:
    kept = comparison(sweep(), drawn)
    comparison_id = keep(services, kept)
    place, folder = f"/comparisons/{comparison_id}", services.settings.comparisons_dir / comparison_id
    image = str(kept.results[0].image)
    assert client.get(f"{place}/{image}").content == (folder / image).read_bytes()
    name = image.removeprefix("images/")
    small = client.get(f"{place}/thumbnails/{name}")
    assert Image.open(io.BytesIO(small.content)).format == "WEBP"
    for wrong in ("images/..%2Freport.json", "images/report.json", "images/absent.png", "report.txt", "images/.lock"):
        assert client.get(f"{place}/{wrong}").status_code == 404
    for other in ("..", "%2e%2e", "20200101-000000-abcdef", "x"):
        assert client.get(f"/comparisons/{other}/images/{name}").status_code == 404
        assert client.get(f"/comparisons/{other}/report.json").status_code == 404


def test_the_report_comes_in_each_of_its_forms(services: Services, client: TestClient, tmp_path: Path) -> None:
    kept = comparison(sweep(), drawn)
    comparison_id = keep(services, kept)
    services.rename_comparison(comparison_id, "tea")
    place = f"/comparisons/{comparison_id}"
    document = client.get(f"{place}/report.json")
    assert f'filename="{comparison_id}-report.json"' in document.headers["content-disposition"]
    (tmp_path / "report.json").write_bytes(document.content)
    assert report.read(tmp_path / "report.json") == kept.model_copy(update={"name": "tea"})
    rows = client.get(f"{place}/report.csv").content.decode("utf-8-sig").splitlines()
    assert len(rows) == 1 + len(kept.results)
    assert Image.open(io.BytesIO(client.get(f"{place}/figure.png").content)).format == "PNG"
    page = client.get(f"{place}/report.html?open")
    assert "content-disposition" not in page.headers
    assert page.headers["content-security-policy"].startswith("sandbox")
    assert "nf4 holds 5.2 GiB less than fp16" in page.text
    assert "http://" not in page.text.replace("http://www.w3.org/", "")


def test_a_report_is_drawn_once_until_something_changes(services: Services) -> None:
    comparison_id = keep(services, comparison(sweep(), drawn))
    maker, folder = Maker(), services.comparison_folder(comparison_id)
    first = maker.html(services.comparison(comparison_id), folder)
    assert maker.html(services.comparison(comparison_id), folder) is first
    services.rename_comparison(comparison_id, "tea")
    again = maker.html(services.comparison(comparison_id), folder)
    assert again is not first
    assert b"tea" in again


def test_any_two_pictures_have_a_difference(services: Services, client: TestClient) -> None:
    kept = comparison(sweep(), drawn)
    place = f"/comparisons/{keep(services, kept)}/pair"
    first, second = kept.results[0].key, kept.results[1].key

    def ask(one: str, other: str) -> dict[str, str]:
        found = client.get(place, params={"first": one, "second": other})
        assert found.status_code == 200
        return dict(json.loads(found.content))

    assert ask(first, first)["sentence"] == words.PAIR_IDENTICAL
    apart_by_ten = ask(first, second)
    assert "10.0 levels" in apart_by_ten["sentence"]
    assert "about a fifth as much as another seed does" in apart_by_ten["sentence"]
    assert apart_by_ten["map"].startswith("data:image/png;base64,")
    assert client.get(place, params={"first": first, "second": "absent"}).text == words.PAIR_GONE


def test_pictures_of_other_sizes_cannot_be_laid_over_each_other(services: Services, client: TestClient) -> None:
    kept = comparison(sweep(), drawn)
    comparison_id = keep(services, kept)
    first, second = kept.results[0], kept.results[1]
    Image.new("RGB", (16, 32)).save(services.settings.comparisons_dir / comparison_id / str(second.image))
    answer = client.get(f"/comparisons/{comparison_id}/pair", params={"first": first.key, "second": second.key})
    assert answer.status_code == 404
    assert "16×32" in answer.text


def test_a_run_of_a_comparison_is_a_picture_everywhere(services: Services, live: Live, client: TestClient) -> None:
    comparison_id = services.start_comparison(sweep("precision=fp16,nf4"))
    (job,) = services.journal.claim("worker", lease_seconds=60, limit=1)
    Image.new("RGB", (32, 32)).save(services.comparison_folder(comparison_id) / "images" / "aa.png")
    services.journal.finish(job, image="aa.png", facts={})
    done = services.journal.job(job.id)
    assert services.image_path(done) is not None
    for url in (picture_url(done), thumbnail_url(done)):
        assert client.get(url).status_code == 200


def test_the_page_starts_without_what_draws_figures() -> None:
    loaded = modules_after("from pixart_ui.ui import build")
    assert "pixart_ui.ui.compare_live" in loaded
    assert not loaded & {"torch", "matplotlib", "skimage", "scipy"}
