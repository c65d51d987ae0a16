"""Pictures that the owner of the app shows to everybody."""

from __future__ import annotations

from pathlib import Path

from pixart_ui.access.store import Kind, Store
from pixart_ui.gallery.index import Found
from pixart_ui.gallery.picture import PictureFilter
from pixart_ui.jobs.journal import Journal
from tests.jobs.parts import request


def test_a_shared_picture_is_seen_by_all_and_changed_by_nobody_else(tmp_path: Path) -> None:
    journal, store = Journal(tmp_path / "journal.sqlite3"), Store(tmp_path / "journal.sqlite3")
    journal.add_pictures([Found("one.png", request(1), None, 1.0), Found("two.png", request(2), None, 2.0)])
    seen = PictureFilter(owner="bob")
    assert journal.pictures_page(seen, limit=10).total == 0
    store.share(Kind.PICTURE, "one.png", is_shared=True)
    (picture,) = journal.pictures_page(seen, limit=10).pictures
    assert picture.name == "one.png"
    assert journal.pictures([picture.id], owner="bob", or_shared=True) == (picture,)
    assert journal.pictures([picture.id], owner="bob") == ()
    store.share(Kind.PICTURE, "one.png", is_shared=False)
    assert journal.pictures_page(seen, limit=10).total == 0
    store.close()
    journal.close()
