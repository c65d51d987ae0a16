"""Kept comparisons: listed, named, reopened and deleted, and never anything beside them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pixart_ui.compare.comparison import Comparison
from pixart_ui.compare.kept import Kept
from pixart_ui.errors import InputError
from tests.compare.parts import comparison, precisions, sweep

NOON = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    return Kept(tmp_path / "comparisons")


def made(minutes: int = 0, num_results: int = 6, name: str = "precisions") -> Comparison:
    whole = comparison(sweep(), precisions, created=NOON + timedelta(minutes=minutes), name=name)
    return whole.model_copy(update={"results": whole.results[:num_results]})


def test_nothing_is_kept_at_first_and_looking_makes_no_folder(kept: Kept, tmp_path: Path) -> None:
    assert kept.entries() == ()
    assert list(tmp_path.iterdir()) == []


def test_what_is_kept_is_opened_as_it_was(kept: Kept) -> None:
    comparison_id = kept.create(made())
    assert kept.open(comparison_id) == made()
    assert (kept.path(comparison_id) / "images").is_dir()


def test_the_list_has_the_newest_first_and_how_far_each_is(kept: Kept) -> None:
    old, new = kept.create(made(0, name="old")), kept.create(made(5, num_results=2, name="new"))
    found = kept.entries()
    assert [(entry.id, entry.name, entry.num_done, entry.num_runs) for entry in found] == [
        (new, "new", 2, 6),
        (old, "old", 6, 6),
    ]


def test_a_comparison_goes_on_where_it_was(kept: Kept) -> None:
    comparison_id = kept.create(made(num_results=2))
    assert len(kept.open(comparison_id).missing) == 4
    kept.save(comparison_id, made(num_results=5))
    assert [entry.num_done for entry in kept.entries()] == [5]
    assert [cell.label for cell in kept.open(comparison_id).missing] == ["fp4"]


def test_a_name_given_while_it_runs_stays(kept: Kept) -> None:
    comparison_id = kept.create(made(num_results=1))
    kept.rename(comparison_id, "  my   card ")
    kept.save(comparison_id, made(num_results=6))
    assert kept.open(comparison_id).name == "my card"
    assert [entry.name for entry in kept.entries()] == ["my card"]


@pytest.mark.parametrize("name", ["", "  ", "x" * 121, "bell\x07"])
def test_a_name_that_is_none_gets_one_sentence(kept: Kept, name: str) -> None:
    comparison_id = kept.create(made())
    with pytest.raises(InputError, match="from 1 to 120 characters"):
        kept.rename(comparison_id, name)
    assert kept.open(comparison_id).name == "precisions"


def test_what_is_deleted_is_gone_and_the_others_are_not(kept: Kept, tmp_path: Path) -> None:
    gone, stays = kept.create(made()), kept.create(made(5))
    kept.delete(gone)
    assert [entry.id for entry in kept.entries()] == [stays]
    assert [path.name for path in (tmp_path / "comparisons").iterdir()] == [stays]
    with pytest.raises(InputError, match="is not kept here"):
        kept.open(gone)


def test_an_interrupted_deletion_is_out_of_the_list_and_ends_with_the_next(kept: Kept, tmp_path: Path) -> None:
    half, other = kept.create(made()), kept.create(made(5))
    folder = tmp_path / "comparisons"
    (folder / half).rename(folder / f".deleted-{half}")
    assert [entry.id for entry in kept.entries()] == [other]
    kept.delete(other)
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("comparison_id", ["", ".", "..", "../data", "/etc", "20261121-120000-zzzzzz", "x" * 100])
def test_an_id_that_is_none_touches_nothing(kept: Kept, tmp_path: Path, comparison_id: str) -> None:
    precious = tmp_path / "data"
    precious.mkdir()
    kept.create(made())
    for act in (kept.path, kept.open, kept.delete, lambda name: kept.rename(name, "new")):
        with pytest.raises(InputError, match="is not kept here: choose one from the list"):
            act(comparison_id)
    assert precious.is_dir()
    assert len(kept.entries()) == 1


def test_a_link_to_another_folder_is_no_comparison(kept: Kept, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "precious.txt").write_text("stay")
    kept.create(made())
    name = "20261121-130000-abcdef"
    (tmp_path / "comparisons" / name).symlink_to(elsewhere)
    assert name not in [entry.id for entry in kept.entries()]
    with pytest.raises(InputError, match="is not kept here"):
        kept.delete(name)
    assert (elsewhere / "precious.txt").read_text() == "stay"


def test_a_damaged_one_is_listed_with_its_problem_and_can_be_deleted(kept: Kept) -> None:
    comparison_id = kept.create(made())
    (kept.path(comparison_id) / "report.json").write_text("{")
    (entry,) = kept.entries()
    assert entry.problem is not None
    assert entry.problem.startswith("Report report.json cannot be read")
    kept.delete(comparison_id)
    assert kept.entries() == ()
