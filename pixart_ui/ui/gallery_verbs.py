"""What the buttons of the Gallery do: one verb with the pictures that it is for, as `delete:12,13`.

`delete:*g-kind=all&g-text=house` is for all pictures that a filter lets through, on every page. `vary:12:4` and
`larger:12:sigma-2k` say how. What comes back is a note for whoever pressed; others see the change within a second.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from urllib.parse import parse_qsl

from pixart_ui.access import viewer
from pixart_ui.errors import InputError
from pixart_ui.gallery.records import unknown_picture
from pixart_ui.services import Services
from pixart_ui.ui import fragments
from pixart_ui.ui import words as page_words
from pixart_ui.ui.edge import guarded, ids_in
from pixart_ui.ui.gallery_look import GalleryLook
from pixart_ui.ui.gallery_making import enlarge, vary
from pixart_ui.ui.words import gallery as words

Verb = Callable[[Services, Sequence[int], str], str]
BACK = "gallery"


def act(services: Services, target: object) -> str:
    """Do what the page asks for; a note or an error as HTML."""

    def work() -> str:
        name, _, rest = str(target).partition(":")
        if name not in VERBS:
            raise InputError(page_words.UNKNOWN_VERB)
        if rest.startswith("*"):
            return VERBS[name](services, listed(services, rest[1:]), "")
        ids, _, how = rest.partition(":")
        return VERBS[name](services, ids_in(ids), how)

    return guarded(work, lambda error: fragments.toast(error.message, is_problem=True))


def listed(services: Services, query: str) -> Sequence[int]:
    """The pictures of all pages of a filter. Raises InputError where there is none."""
    look = GalleryLook.of(dict(parse_qsl(query)))
    ids = services.journal.picture_ids(look.filter(viewer.current().only))
    if not ids:
        raise unknown_picture()
    return ids


def _star(services: Services, ids: Sequence[int], _: str) -> str:
    found = services.gallery.star(ids, owner=viewer.current().only)
    return fragments.toast(
        words.counted(len(found), words.STARRED, words.STARRED_ALL),
        undo=("unstar", [each.id for each in found if not each.is_starred]),
        act=BACK,
    )


def _unstar(services: Services, ids: Sequence[int], _: str) -> str:
    found = services.gallery.star(ids, False, owner=viewer.current().only)
    return fragments.toast(
        words.counted(len(found), words.UNSTARRED, words.UNSTARRED_ALL),
        undo=("star", [each.id for each in found if each.is_starred]),
        act=BACK,
    )


def _delete(services: Services, ids: Sequence[int], _: str) -> str:
    found = services.gallery.delete(ids, owner=viewer.current().only)
    text = words.counted(len(found), words.DELETED, words.DELETED_ALL)
    return fragments.toast(text, undo=("restore", [each.id for each in found]), act=BACK)


def _restore(services: Services, ids: Sequence[int], _: str) -> str:
    found = services.gallery.restore(ids, owner=viewer.current().only)
    return fragments.toast(words.counted(len(found), words.RESTORED, words.RESTORED_ALL))


def _purge(services: Services, ids: Sequence[int], _: str) -> str:
    found = services.gallery.purge(ids, owner=viewer.current().only)
    return fragments.toast(words.counted(len(found), words.PURGED, words.PURGED_ALL))


def _vary(services: Services, ids: Sequence[int], how: str) -> str:
    jobs = vary(services, services.gallery.find(_one(ids), owner=viewer.current().only), how)
    text = words.counted(len(jobs), words.VARIED, words.VARIED_ALL)
    return fragments.toast(text, undo=("cancel", [job.id for job in jobs]))


def _larger(services: Services, ids: Sequence[int], how: str) -> str:
    made = enlarge(services, services.gallery.find(_one(ids), owner=viewer.current().only), how)
    return fragments.toast(words.ENLARGED.format(size=made.size, title=made.title))


def _one(ids: Sequence[int]) -> int:
    if len(ids) != 1:
        raise unknown_picture()
    return ids[0]


VERBS: Mapping[str, Verb] = {
    "star": _star,
    "unstar": _unstar,
    "delete": _delete,
    "restore": _restore,
    "purge": _purge,
    "vary": _vary,
    "larger": _larger,
}
