"""The live regions of the Gallery: counts and filters, the pictures of a page, and the one that is open.

Reads the index, and of the disk only the open picture. The grid is left out of an answer where the page has it already:
while a picture is drawn somewhere its steps do not send a hundred others again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from pixart_ui import bins
from pixart_ui.access import viewer
from pixart_ui.errors import PixArtError
from pixart_ui.gallery.picture import Picture, PicturePage
from pixart_ui.request import ResolvedRequest
from pixart_ui.services import Services
from pixart_ui.ui import gallery_detail, gallery_tiles, gallery_tools
from pixart_ui.ui.gallery_detail import Made
from pixart_ui.ui.gallery_look import GalleryLook
from pixart_ui.ui.gallery_making import larger_sizes, own_checkpoint
from pixart_ui.ui.gallery_tiles import PAGE_SIZE
from pixart_ui.ui.words import gallery as words


def gallery_regions(services: Services, look: GalleryLook) -> Mapping[str, str]:
    services.gallery.refresh()
    only = viewer.current().only
    page, number = _page(services, look, only)
    choices = services.journal.picture_choices(owner=only)
    titles = {checkpoint.name: checkpoint.title for checkpoint in services.catalog}
    regions = {
        "gallery-kinds": gallery_tools.kinds(look, choices),
        "gallery-filters": gallery_tools.filters(look, choices, titles),
        "gallery-count": gallery_tools.count(page.total),
        "gallery-detail": _detail(services, look.picture, only),
    }
    grid = _grid(look, page, number)
    digest = hashlib.blake2b(grid.encode(), digest_size=9).hexdigest()
    if digest == look.known:
        return regions
    return {**regions, "gallery-grid": grid.replace("DIGEST", digest, 1)}


def _page(services: Services, look: GalleryLook, only: str | None) -> tuple[PicturePage, int]:
    """The page asked for and its number; the last one where there are fewer now."""

    def read(number: int) -> PicturePage:
        wanted = look.filter(only)
        return services.journal.pictures_page(wanted, limit=PAGE_SIZE, offset=(number - 1) * PAGE_SIZE)

    page = read(look.page)
    if page.pictures or look.page == 1:
        return page, look.page
    last = max(1, -(-page.total // PAGE_SIZE))
    return read(last), last


def _grid(look: GalleryLook, page: PicturePage, number: int) -> str:
    inner = gallery_tiles.wall(look, page.pictures) if page.pictures else gallery_tiles.empty(look)
    return (
        f'<div class="wall" data-digest="DIGEST" data-page="{number}" data-total="{page.total}">{inner}'
        f"{gallery_tiles.pager(number, page.total)}</div>"
    )


def _detail(services: Services, picture_id: int, only: str | None) -> str:
    found = services.journal.pictures([picture_id], owner=only, or_shared=True) if picture_id else ()
    return gallery_detail.sheet(found[0], _made(services, found[0])) if found else ""


def _made(services: Services, picture: Picture) -> Made | str:
    """What its file says; a sentence where it says nothing."""
    path = services.gallery.path(picture)
    if path is None:
        return words.IS_GONE
    try:
        facts = services.gallery.facts(picture)
        request = ResolvedRequest.parse(facts["request"])
    except PixArtError as error:
        return f"{words.UNREADABLE}: {error.message}"
    own = own_checkpoint(services, request)
    sizes, absent = larger_sizes(services, request)
    return Made(
        request=request,
        facts=facts,
        title=own.title if own is not None else request.checkpoint,
        larger=sizes,
        absent=[(each, str(bins.nearest(request.size, each.sample_size))) for each in absent],
        # Where things are on this machine is not for its visitors.
        path=str(path) if viewer.current().is_owner else picture.name,
    )
