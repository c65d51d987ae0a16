"""The Gallery on real services: what its regions show, what its buttons do, whose pictures are whose, its addresses."""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import gradio as gr
import pytest
from PIL import Image
from starlette.applications import Starlette
from starlette.testclient import TestClient

from pixart_ui.access.viewer import Role, Viewer, seen_by
from pixart_ui.gallery import images
from pixart_ui.gallery.picture import Picture, PictureFilter
from pixart_ui.jobs.job import Job, JobState
from pixart_ui.request import GenerationRequest
from pixart_ui.services import Services
from pixart_ui.ui.compare_ways import CompareWays, build_compare_ways
from pixart_ui.ui.form import Form
from pixart_ui.ui.gallery_live import gallery_regions
from pixart_ui.ui.gallery_look import GalleryLook, Kind
from pixart_ui.ui.gallery_routes import THUMBNAIL_SIDE, gallery_routes
from pixart_ui.ui.gallery_taking import Taking
from pixart_ui.ui.gallery_tiles import PAGE_SIZE
from pixart_ui.ui.gallery_verbs import act
from pixart_ui.ui.live import Live
from pixart_ui.ui.look import Look, Tab
from pixart_ui.ui.moment import moment
from pixart_ui.ui.single_live import single_regions
from pixart_ui.ui.words import gallery as words
from tests.ui.conftest import finish, start, submit

ATTACK = '<img src=x onerror="alert(1)">'
ANN = Viewer("ann", Role.MEMBER)


class Parsed(HTMLParser):
    """Every tag with its attributes, and the alt texts of the pictures."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    @property
    def alts(self) -> list[str | None]:
        return [attrs.get("alt") for tag, attrs in self.tags if tag == "img"]

    def values(self, name: str) -> list[str | None]:
        return [attrs[name] for _, attrs in self.tags if name in attrs]


def make(services: Services, prompt: str = "a red circle", owner: str = "local", **settings: Any) -> Job:
    (job,) = services.submit(GenerationRequest.parse({"prompt": prompt, **settings}), owner)
    start(services, job)
    return finish(services, services.journal.job(job.id))


def picture(services: Services, job: Job) -> Picture:
    found = services.journal.picture_named(str(job.image))
    assert found is not None
    return found


def alts(services: Services, **look: Any) -> list[str | None]:
    return Parsed(gallery_regions(services, GalleryLook(**look))["gallery-grid"]).alts


# What is shown


def test_pictures_are_shown_newest_first_with_their_prompts_as_texts(services: Services) -> None:
    make(services, "a red circle")
    make(services, ATTACK)
    html = gallery_regions(services, GalleryLook())["gallery-grid"]
    assert Parsed(html).alts == [ATTACK, "a red circle"]
    assert "<img src=x" not in html


def test_pictures_of_one_shape_stand_in_columns_and_others_in_rows(services: Services) -> None:
    make(services, width=128, height=128)
    make(services, width=64, height=64)
    assert 'data-even style="--w:64;--h:64"' in gallery_regions(services, GalleryLook())["gallery-grid"]
    make(services, width=128, height=64)
    assert "data-even" not in gallery_regions(services, GalleryLook())["gallery-grid"]


def test_clearing_the_queue_leaves_the_gallery_as_it_is(services: Services) -> None:
    job = make(services)
    services.journal.clear_finished()
    assert alts(services) == ["a red circle"]
    detail = gallery_regions(services, GalleryLook(picture=picture(services, job).id))["gallery-detail"]
    assert "Reuse settings" in detail


def test_a_comparison_s_runs_and_jobs_without_a_picture_are_not_among_them(services: Services) -> None:
    submit(services, "waiting")
    (failed,) = submit(services, "failed")
    services.journal.fail(start(services, failed), "no")
    assert alts(services) == []


def test_the_first_visit_is_told_what_there_will_be(services: Services) -> None:
    html = gallery_regions(services, GalleryLook())["gallery-grid"]
    assert words.EMPTY_TITLE in html
    assert 'data-act="gallery-make"' in html
    assert words.NOTHING_FOUND in gallery_regions(services, GalleryLook(text="x"))["gallery-grid"]
    assert "Press S" in gallery_regions(services, GalleryLook(kind=Kind.STARRED))["gallery-grid"]


def test_the_grid_is_not_sent_again_to_a_page_that_has_it(services: Services) -> None:
    make(services)
    first = gallery_regions(services, GalleryLook())
    (digest,) = Parsed(first["gallery-grid"]).values("data-digest")
    assert "gallery-grid" not in gallery_regions(services, GalleryLook(known=str(digest)))
    make(services, "another")
    assert "gallery-grid" in gallery_regions(services, GalleryLook(known=str(digest)))


def test_a_long_gallery_has_pages_and_one_beyond_the_last_is_the_last(services: Services) -> None:
    job = make(services)
    source = services.settings.images_dir / str(job.image)
    for number in range(PAGE_SIZE + 1):
        (services.settings.images_dir / f"copy-{number}.png").write_bytes(source.read_bytes())
    while len(alts(services)) < PAGE_SIZE or "122" not in gallery_regions(services, GalleryLook())["gallery-grid"]:
        pass  # each look at it takes up as many as it has time for
    html = gallery_regions(services, GalleryLook(page=99))["gallery-grid"]
    assert len(Parsed(html).alts) == 2
    assert 'data-page="2" data-total="122"' in html


def test_everything_that_is_needed_to_make_it_again_is_in_the_panel(services: Services) -> None:
    job = make(services, "a house", seed=2**64 - 1, steps=7, negative_prompt="fog", style="Anime")
    path = services.settings.images_dir / str(job.image)
    with Image.open(path) as image:
        facts = {"versions": {"torch": "2.13"}, "components": {"vae": "ab" * 32}, "device": {"name": "CPU <x>"}}
        images.save(image.copy(), path, job.request, facts)
    html = gallery_regions(services, GalleryLook(picture=picture(services, job).id))["gallery-detail"]
    for text in (str(2**64 - 1), "fog", "Anime", "2.13", "ab" * 32, "CPU &lt;x&gt;", "Negative prompt: ", "--from"):
        assert text in html
    assert 'alt="a house"' in html


def test_a_damaged_file_says_so_and_the_others_are_shown(services: Services) -> None:
    job = make(services)
    path = services.settings.images_dir / str(job.image)
    path.write_bytes(path.read_bytes()[:60])
    html = gallery_regions(services, GalleryLook(picture=picture(services, job).id))["gallery-detail"]
    assert words.UNREADABLE in html


def test_an_address_that_somebody_made_up_is_the_usual_view() -> None:
    query = {"g-page": "-3", "g-kind": "<x>", "g-since": "nan", "g-until": "1e999", "g-picture": "9" * 40}
    assert GalleryLook.of(query) == GalleryLook()
    assert len(GalleryLook.of({"g-text": "x" * 9999}).text) == 200


# Whose they are


def test_members_see_and_touch_their_own_pictures_only(services: Services) -> None:
    mine, others = make(services, "mine", owner="ann"), make(services, "others", owner="ben")
    stranger = picture(services, others).id
    with seen_by(ANN):
        assert alts(services) == ["mine"]
        regions = gallery_regions(services, GalleryLook(picture=stranger))
        assert regions["gallery-detail"] == ""
        assert "1 picture" in regions["gallery-count"]
        unknown = act(services, "delete:999999")
        for verb in ("delete", "star", "unstar", "restore", "purge"):
            assert act(services, f"{verb}:{stranger}") == unknown
        for target in (f"vary:{stranger}:2", f"larger:{stranger}:sigma-2k"):
            assert act(services, target) == unknown
        assert (
            str(services.settings.data_dir)
            not in gallery_regions(services, GalleryLook(picture=picture(services, mine).id))["gallery-detail"]
        )
        act(services, "delete:*")
    assert picture(services, mine).deleted_at is not None
    assert picture(services, others).deleted_at is None
    assert alts(services) == ["others"]


# What the buttons do


def test_deleting_says_how_to_take_it_back_and_that_works(services: Services) -> None:
    job = make(services)
    number = picture(services, job).id
    told = act(services, f"delete:{number}")
    assert f'data-act="gallery" data-verb="restore" data-jobs="{number}"' in told
    assert alts(services) == []
    assert alts(services, kind=Kind.DELETED) == ["a red circle"]
    assert words.RESTORED in act(services, f"restore:{number}")
    assert alts(services) == ["a red circle"]


def test_a_verb_for_all_pages_is_for_what_the_filter_lets_through(services: Services) -> None:
    for prompt in ("a red house", "a red boat", "a blue house"):
        make(services, prompt)
    told = act(services, "star:*g-text=red")
    assert "2 pictures have a star now." in told
    assert alts(services, kind=Kind.STARRED) == ["a red boat", "a red house"]


def test_variations_are_the_same_request_with_new_seeds_at_the_head(services: Services) -> None:
    job = make(services, "a house", seed=7, steps=9, precision="nf4")
    submit(services, "somebody else's, waiting")
    told = act(services, f"vary:{picture(services, job).id}:3")
    assert "3 variations" in told
    made = services.journal.jobs(states=[JobState.QUEUED], newest_first=False)[:3]
    assert {new.request.model_copy(update={"seed": 7}) for new in made} == {job.request}
    assert len({new.request.seed for new in made} | {7}) == 4
    assert f'data-verb="cancel" data-jobs="{",".join(str(new.id) for new in made)}"' in told


@pytest.mark.parametrize("count", ["", "0", "65", "-1", "4.5", "٣", "x" * 50])
def test_a_wrong_number_of_variations_gets_one_sentence(services: Services, count: str) -> None:
    job = make(services)
    told = act(services, f"vary:{picture(services, job).id}:{count}")
    assert "must be a whole number from 1 to 64" in told
    assert not services.journal.has_open()


def test_a_size_that_cannot_be_had_is_refused(services: Services) -> None:
    job = make(services)
    assert words.NOT_LARGER in act(services, f"larger:{picture(services, job).id}:sigma-2k")
    assert "draws no larger than this" in gallery_regions(services, GalleryLook(picture=1))["gallery-detail"]


@pytest.mark.parametrize("target", ["", "explode:1", "delete:", "delete:abc", "purge:1,2,3", None])
def test_whatever_a_page_sends_gets_an_answer(services: Services, target: object) -> None:
    assert 'role="alert"' in act(services, target)


# Into the form


@pytest.fixture
def ways(services: Services) -> CompareWays:
    with gr.Blocks(analytics_enabled=False):
        return build_compare_ways(services)


@pytest.fixture
def taking(services: Services, form: Form, ways: CompareWays) -> Taking:
    with gr.Blocks(analytics_enabled=False):
        return Taking(services, form, ways, gr.Textbox(), gr.File(), gr.Textbox(), gr.Textbox())


@pytest.fixture
def fill(taking: Taking, values: dict[Any, Any]) -> Callable[..., dict[Any, Any]]:
    """What a handler puts into which part, as plain values."""

    def plain(update: Any) -> Any:
        return update.get("value") if isinstance(update, dict) and "__type__" in update else update

    def call(name: str, target: object = "", file: object = None) -> dict[Any, Any]:
        found = getattr(taking, name)({**values, taking.target: target, taking.file: file})
        return {part: plain(update) for part, update in found.items()}

    return call


def test_reuse_fills_the_form_also_when_the_job_is_gone(
    services: Services, form: Form, taking: Taking, fill: Callable[..., dict[Any, Any]]
) -> None:
    job = make(services, "a house", seed=7, steps=33, precision="nf4", width=208, height=304)
    services.journal.clear_finished()
    found = fill("reuse", str(picture(services, job).id))
    shown = (found[form.prompt], found[form.steps], found[form.precision], found[form.size], found[form.seed])
    assert shown == ("a house", 33, "nf4", "208x304", "7")
    assert (found[form.is_seed_kept], found[taking.went]) == (True, "single")
    assert words.REUSED_SETTINGS in found[taking.answer]


def test_reuse_seed_touches_the_seed_alone(
    services: Services, form: Form, taking: Taking, fill: Callable[..., dict[Any, Any]]
) -> None:
    job = make(services, seed=77)
    found = fill("seed", str(picture(services, job).id))
    assert set(found) == {form.seed, form.drawn_seed, form.is_seed_kept, taking.answer, taking.went}
    assert found[form.seed] == "77"


def test_a_dropped_picture_fills_the_form_and_names_what_could_not_be_honoured(
    services: Services, form: Form, taking: Taking, fill: Callable[..., dict[Any, Any]]
) -> None:
    job = make(services, "a house", seed=7)
    uploads = services.settings.temp_dir / "gradio" / "hash"
    uploads.mkdir(parents=True)
    elsewhere = job.request.model_copy(update={"checkpoint": "sigma-1024", "prompt": ATTACK})
    images.save(Image.new("RGB", (8, 8)), uploads / "a.png", elsewhere, {})
    found = fill("drop", file={"path": str(uploads / "a.png"), "orig_name": "<b>.png"})
    assert found[form.prompt] == ATTACK
    assert found[taking.file] is None
    assert "Checkpoint sigma-1024: it is not on this disk" in found[taking.answer]
    assert "&lt;b&gt;.png" in found[taking.answer]
    assert 'role="alert"' in found[taking.answer], "it stays until it is closed"


@pytest.mark.parametrize("file", [None, {}, {"path": "/etc/passwd"}, {"path": "../../etc/passwd"}, "/etc/passwd"])
def test_only_what_was_uploaded_is_read(file: object, taking: Taking, fill: Callable[..., dict[Any, Any]]) -> None:
    found = fill("drop", file=file)
    assert set(found) == {taking.answer, taking.went, taking.file}
    assert "choose it again" in found[taking.answer]


def test_selected_pictures_become_a_comparison_of_what_they_differ_in(
    services: Services, form: Form, taking: Taking, ways: CompareWays, fill: Callable[..., dict[Any, Any]]
) -> None:
    jobs = [make(services, "a house", seed=7, precision=name) for name in ("nf4", "fp16")]
    found = fill("compare", ",".join(str(picture(services, job).id) for job in jobs))
    assert (found[ways.first.name], found[ways.first.values]) == ("precision", ["fp16", "nf4"])
    assert (found[ways.second.name], found[ways.prompts], found[taking.went]) == ("", "form", "compare")
    assert (found[form.prompt], found[form.seed]) == ("a house", "7")


def test_values_that_are_not_offered_are_written_beside_them_and_prompts_are_lines(
    services: Services, ways: CompareWays, fill: Callable[..., dict[Any, Any]]
) -> None:
    jobs = [make(services, "a\nhouse", seed=7, steps=17), make(services, "a boat", seed=7)]
    found = fill("compare", ",".join(str(picture(services, job).id) for job in jobs))
    assert (found[ways.first.name], found[ways.first.values], found[ways.first.more]) == ("steps", ["20"], "17")
    assert (found[ways.prompts], found[ways.lines]) == ("lines", "a house\na boat")


def test_another_owner_s_settings_are_refused_like_those_of_no_picture(
    services: Services, taking: Taking, fill: Callable[..., dict[Any, Any]]
) -> None:
    number = picture(services, make(services, owner="ben")).id
    with seen_by(ANN):
        for name in ("reuse", "seed", "compare"):
            assert fill(name, str(number)) == fill(name, "999999")
            assert "is unknown" in fill(name, str(number))[taking.answer]


# Addresses


@pytest.fixture
def client(services: Services) -> TestClient:
    return TestClient(Starlette(routes=gallery_routes(services)))


def test_pictures_are_sent_as_they_are_and_thumbnails_small_also_from_the_trash(
    services: Services, client: TestClient
) -> None:
    job = make(services, width=512, height=512)
    number, name = picture(services, job).id, str(job.image)
    original = (services.settings.images_dir / name).read_bytes()
    for _ in range(2):
        assert client.get(f"/gallery/pictures/{name}").content == original
        with Image.open(io.BytesIO(client.get(f"/gallery/thumbnails/{name}").content)) as small:
            assert small.size == (THUMBNAIL_SIDE, THUMBNAIL_SIDE)
        act(services, f"delete:{number}")
    act(services, f"purge:{number}")
    assert client.get(f"/gallery/pictures/{name}").status_code == 404
    assert not services.gallery.thumbnail_path(name).exists()


def test_no_other_file_and_nobody_else_s_picture_has_an_address(services: Services, client: TestClient) -> None:
    job = make(services, owner="ben")
    (services.settings.images_dir / "secret.png").write_bytes(b"x")
    for name in ("secret.png", "..%2Fjournal.sqlite3", "%00", "absent.png"):
        assert client.get(f"/gallery/pictures/{name}").status_code == 404
    with seen_by(ANN):
        for place in ("pictures", "thumbnails"):
            assert client.get(f"/gallery/{place}/{job.image}").status_code == 404
        assert client.get(f"/gallery.zip?pictures={picture(services, job).id}").status_code == 404
        assert client.get("/gallery.zip").status_code == 404


def names_in(archive: bytes) -> set[str]:
    with zipfile.ZipFile(io.BytesIO(archive)) as found:
        assert found.testzip() is None
        return set(found.namelist())


def test_the_archive_holds_the_selected_pictures_or_all_that_a_filter_shows(
    services: Services, client: TestClient
) -> None:
    jobs = [make(services, prompt) for prompt in ("a red house", "a red boat", "a blue house")]
    ids = [picture(services, job).id for job in jobs]
    act(services, f"delete:{ids[1]}")
    chosen = client.get(f"/gallery.zip?pictures={ids[0]},{ids[1]},999")
    assert names_in(chosen.content) == {jobs[0].image}, "what is in the trash stays there"
    assert names_in(client.get("/gallery.zip?g-text=house").content) == {jobs[0].image, jobs[2].image}
    assert client.get("/gallery.zip?g-kind=deleted").status_code == 404


def test_the_index_of_a_journal_from_before_has_its_pictures(services: Services, tmp_path: Path) -> None:
    """Another data folder's pictures, moved here without its journal."""
    job = make(services)
    fresh = Services.open(replace(services.settings, data_dir=tmp_path / "other"))
    (fresh.settings.images_dir / str(job.image)).write_bytes(
        (services.settings.images_dir / str(job.image)).read_bytes()
    )
    assert alts(fresh) == ["a red circle"]
    assert fresh.journal.picture_names(PictureFilter()) == (job.image,)
    fresh.journal.close()


def test_a_deleted_picture_leaves_no_hole_on_single(services: Services) -> None:
    kept, deleted = make(services, "kept"), make(services, "deleted")
    act(services, f"delete:{picture(services, deleted).id}")
    regions = single_regions(services, Look(), moment(services.journal, (), None), ())
    assert str(deleted.image) not in regions["strip"] + regions["stage"]
    assert str(kept.image) in regions["strip"]
    act(services, f"restore:{picture(services, deleted).id}")
    assert str(deleted.image) in single_regions(services, Look(), moment(services.journal, (), None), ())["strip"]


class Quiet:
    """A supervisor without a trouble."""

    def status(self) -> str | None:
        return None


def test_a_file_that_comes_from_elsewhere_is_news_for_the_gallery_alone(services: Services) -> None:
    job = make(services)
    source = services.settings.images_dir / str(job.image)
    live, here, elsewhere = Live(services, Quiet(), ()), Look(tab=Tab.GALLERY), Look()
    services.gallery.refresh()
    before = {look: live.state().mark(look) for look in (here, elsewhere)}
    os.utime(services.settings.images_dir, (1, 1))
    (services.settings.images_dir / "copied.png").write_bytes(source.read_bytes())
    after = live.state()
    assert after.mark(here) != before[here]
    assert after.mark(elsewhere) == before[elsewhere]
    assert 'data-total="2"' in live.render(after, here).regions["gallery-grid"]
