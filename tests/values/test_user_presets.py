"""Presets and styles that people keep and share."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pixart_ui.access.viewer import Role, Viewer, seen_by
from pixart_ui.errors import DiskFullError, InputError
from pixart_ui.preset_file import MAX_FILE_BYTES, MAX_NAME_CHARS, Preset, Shelf, dump, parse, preset_of
from pixart_ui.request import GenerationRequest
from pixart_ui.services import Services
from pixart_ui.settings import Settings
from pixart_ui.user_presets import UserPresets

POSTERS = {"steps": 30, "guidance_scale": 6.0, "style": "Cinematic"}
INK = "ink drawing of {prompt}, thin lines"


@pytest.fixture
def kept(tmp_path: Path) -> UserPresets:
    return UserPresets(tmp_path / "presets", lambda: ("Cinematic", "Anime"))


@pytest.fixture
def services(tmp_path: Path) -> Iterator[Services]:
    opened = Services.open(Settings(data_dir=tmp_path / "data", device="cpu"))
    yield opened
    opened.journal.close()


def names(kept: UserPresets, owner: str = "anna") -> list[str]:
    return [preset.name for preset in kept.shelf(owner).presets]


def file(**parts: Any) -> bytes:
    return json.dumps(parts).encode()


def test_a_preset_is_kept_and_outlives_the_process(kept: UserPresets, tmp_path: Path) -> None:
    kept.save("anna", "  My   posters ", {**POSTERS, "seed": None, "prompt": ""})
    again = UserPresets(tmp_path / "presets", lambda: ())
    assert again.shelf("anna").preset("My posters") == Preset("My posters", POSTERS)


def test_saving_under_the_same_name_replaces_it_in_its_place(kept: UserPresets) -> None:
    for name in ("one", "two"):
        kept.save("anna", name, POSTERS)
    kept.save("anna", "one", {"steps": 5})
    assert names(kept) == ["one", "two"]
    assert kept.shelf("anna").preset("one").settings == {"steps": 5}


def test_nobody_sees_or_changes_what_another_keeps(kept: UserPresets) -> None:
    kept.save("anna", "posters", POSTERS)
    assert kept.shelf("ben") == Shelf()
    for work in (lambda: kept.delete("ben", "posters"), lambda: kept.export("ben", "posters")):
        with pytest.raises(InputError, match="Unknown preset"):
            work()
    assert names(kept) == ["posters"]


def test_renaming_keeps_the_place_and_never_another_ones_name(kept: UserPresets) -> None:
    for name in ("one", "two", "three"):
        kept.save("anna", name, POSTERS)
    kept.rename("anna", "two", "second")
    assert names(kept) == ["one", "second", "three"]
    with pytest.raises(InputError, match="There is a preset 'one' already"):
        kept.rename("anna", "second", "one")


def test_deleting_the_last_one_leaves_an_empty_shelf(kept: UserPresets) -> None:
    kept.save("anna", "posters", POSTERS)
    kept.delete("anna", "posters")
    assert names(kept) == []
    with pytest.raises(InputError, match="Unknown preset 'posters': none is kept yet"):
        kept.delete("anna", "posters")


def test_seed_0_and_guidance_0_are_values() -> None:
    assert preset_of("none", {"seed": 0, "guidance_scale": 0.0}).settings == {"seed": 0, "guidance_scale": 0.0}


def test_a_shared_file_comes_back_as_it_was(kept: UserPresets) -> None:
    kept.save_style("anna", "Ink", INK, "colour,")
    kept.save("anna", "drawings", {"steps": 12, "style": "Ink", "prompt": "a fox"})
    kept.save("anna", "posters", POSTERS)
    content = kept.export("anna", "drawings")
    told = kept.take_in("ben", content)
    assert (told.presets, told.styles) == (("drawings",), ("Ink",)), "the style that it needs comes along"
    assert kept.shelf("ben").preset("drawings") == kept.shelf("anna").preset("drawings")
    assert kept.shelf("ben").style("Ink").apply_negative("blurry") == "colour, blurry"


def test_importing_twice_doubles_nothing(kept: UserPresets) -> None:
    kept.save("anna", "posters", POSTERS)
    kept.take_in("ben", kept.export("anna"))
    told = kept.take_in("ben", kept.export("anna"))
    assert told.num_known == 1
    assert names(kept, "ben") == ["posters"]


def test_an_import_overwrites_nothing(kept: UserPresets) -> None:
    kept.save("anna", "posters", POSTERS)
    kept.save_style("anna", "Ink", INK, "")
    told = kept.take_in(
        "anna",
        file(
            presets=[{"name": "posters", "settings": {"steps": 2, "style": "Ink"}}],
            styles=[{"name": "Ink", "prompt": "blue ink, {prompt}"}],
        ),
    )
    assert told.presets == ("posters (2)",)
    assert kept.shelf("anna").preset("posters").settings == POSTERS
    assert kept.shelf("anna").preset("posters (2)").settings["style"] == "Ink (2)", "it means its own file's style"


def test_a_style_of_a_file_never_takes_the_name_of_the_apps_own(kept: UserPresets) -> None:
    told = kept.take_in("anna", file(styles=[{"name": "Anime", "prompt": "mine, {prompt}"}]))
    assert told.styles == ("Anime (2)",)
    with pytest.raises(InputError, match="one of the app's own"):
        kept.save_style("anna", "Anime", INK, "")


def test_a_folder_of_this_machine_is_not_shared(kept: UserPresets) -> None:
    kept.save("anna", "mine", {"steps": 3, "checkpoint": "/home/anna/models/painter"})
    kept.save("anna", "published", {"checkpoint": "sigma-1024"})
    told = kept.export("anna").decode()
    assert "/home/anna" not in told
    assert "sigma-1024" in told


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "line 1 column 1"),
        (b'{"presets": [', "line 1 column 14"),
        (b"\xff\xfe\x00", "not UTF-8"),
        (b"[]", "no JSON object"),
        (b"{}", "neither presets nor styles"),
        (b"[" * 100_000, "cannot be read|not JSON"),
        (b'{"presets": ' + b"[" * 20 + b"]" * 20 + b"}", "nested deeper"),
        (b" " * (MAX_FILE_BYTES + 1), "at most"),
        (file(presets={}), '"presets" is {}, it must be a list'),
        (file(format=9, presets=[]), "format is 9, 1 is read"),
        (file(presests=[]), "Unknown key 'presests', did you mean 'presets'"),
        (file(presets=[3]), "preset 1 of the file is 3"),
        (file(presets=[{"name": "a", "setings": {}}]), "did you mean 'settings'"),
        (file(presets=[{"name": "a", "settings": {"step": 3}}]), "did you mean 'steps'"),
        (file(presets=[{"name": "a", "settings": {"steps": 0}}]), "In preset 1: Steps 0 is not a whole number from 1"),
        (file(presets=[{"name": "a", "settings": {"steps": "many"}}]), "Steps 'many' is not"),
        (file(presets=[{"name": "a", "settings": {"prompt": "a\x00b"}}]), "control character"),
        (file(presets=[{"name": "", "settings": {}}]), "In preset 1: The preset has no name"),
        (file(presets=[{"settings": {}}]), "The name of a preset is None"),
        (file(presets=[{"name": "x" * 61, "settings": {}}]), f"at most {MAX_NAME_CHARS}"),
        (file(presets=[{"name": "a\u0007", "settings": {}}]), "U\\+0007"),
        (file(presets=[{"name": "a"}, {"name": "a"}]), "two presets named 'a'"),
        (file(presets=[{"name": str(n)} for n in range(201)]), "holds 201 presets, at most 200"),
        (file(styles=[{"name": "s", "prompt": "no place"}]), "must contain {prompt} once"),
        (file(styles=[{"name": "s", "prompt": "{prompt} {prompt}"}]), "2 times"),
        (file(styles=[{"name": "s", "prompt": "{prompt}", "negative": "x"}]), "did you mean 'negative_prompt'"),
        (file(styles=[{"name": "s", "prompt": "{prompt}", "negative_prompt": "{prompt}"}]), "stands for nothing"),
        (file(styles=[{"name": "s", "prompt": 5}]), "it must be text"),
    ],
)
def test_a_wrong_file_gets_one_sentence_and_changes_nothing(kept: UserPresets, content: bytes, sentence: str) -> None:
    kept.save("anna", "posters", POSTERS)
    with pytest.raises(InputError, match=sentence) as told:
        kept.take_in("anna", content)
    assert "\n" not in told.value.message
    assert len(told.value.message) < 400
    assert names(kept) == ["posters"]


def test_a_shelf_has_an_end(kept: UserPresets) -> None:
    kept.take_in("anna", file(presets=[{"name": str(number), "settings": {"seed": number}} for number in range(200)]))
    with pytest.raises(InputError, match="201 presets, at most 200"):
        kept.save("anna", "one more", {})


def test_two_pages_at_once_lose_nothing(kept: UserPresets, tmp_path: Path) -> None:
    other = UserPresets(tmp_path / "presets", lambda: ())
    threads = [
        threading.Thread(target=lambda who=who, n=n: who.save("anna", f"{n}", {"steps": n + 1}))  # type: ignore[misc]
        for n in range(12)
        for who in ((kept, other)[n % 2],)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(names(kept), key=int) == [str(n) for n in range(12)]


def test_a_damaged_file_is_put_aside_and_not_lost(kept: UserPresets, tmp_path: Path) -> None:
    kept.save("anna", "posters", POSTERS)
    (path,) = (tmp_path / "presets").glob("*.json")
    path.write_bytes(path.read_bytes()[:30])
    assert names(kept) == []
    kept.save("anna", "new", {})
    assert names(kept) == ["new"]
    assert len(list((tmp_path / "presets").glob("*.damaged-*"))) == 1


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "presets").write_text("a file", encoding="utf-8")
    with pytest.raises(DiskFullError, match="cannot be written"):
        UserPresets(tmp_path / "presets", lambda: ()).save("anna", "posters", POSTERS)


def test_what_is_written_is_what_is_read() -> None:
    shelf = Shelf((preset_of("café “x”", {"prompt": "a fox", "steps": 3}),))
    assert parse(dump(shelf)) == shelf


def test_an_own_style_joins_prompt_and_negatives_as_the_apps_do(services: Services) -> None:
    services.presets.save_style("local", "Ink", INK, "colour, ")
    request = GenerationRequest.parse(
        {"prompt": "a fox", "negative_prompt": "dogs", "style": "Ink", "checkpoint": "tiny"}
    )
    (resolved,) = services.resolve(request)
    assert resolved.full_prompt == "ink drawing of a fox, thin lines"
    assert resolved.full_negative_prompt == "colour, dogs"
    (plain,) = services.resolve(request.model_copy(update={"negative_prompt": None}))
    assert plain.full_negative_prompt == "colour"


def test_words_in_braces_are_the_persons_own(services: Services) -> None:
    services.presets.save_style("local", "Ink", INK, "")
    (resolved,) = services.resolve(GenerationRequest.parse({"prompt": "a {prompt} sign", "style": "Ink"}))
    assert resolved.full_prompt == "ink drawing of a {prompt} sign, thin lines"


def test_an_own_style_is_nobody_elses(services: Services) -> None:
    with seen_by(Viewer("anna", Role.MEMBER)):
        services.presets.save_style("anna", "Ink", INK, "")
        assert "Ink" in services.styles.names("tiny")
    with seen_by(Viewer("ben", Role.MEMBER)), pytest.raises(InputError, match="Unknown style 'Ink'"):
        services.resolve(GenerationRequest.parse({"prompt": "a fox", "style": "Ink"}))


def test_the_nine_styles_of_pixart_are_there(services: Services) -> None:
    assert services.styles.names("sigma-1024") == (
        "Cinematic",
        "Photographic",
        "Anime",
        "Manga",
        "Digital Art",
        "Pixel Art",
        "Fantasy Art",
        "Neonpunk",
        "3D Model",
    )
