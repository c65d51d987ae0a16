"""Addresses of the Gallery: pictures and thumbnails, also those in the trash, and an archive of the selected ones.

A name in an address is looked up in the index, so nobody gets a file that is no picture, or another owner's picture:
both are 404. Thumbnails are made when they are first asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from pixart_ui.access import viewer
from pixart_ui.access.seeing import is_own_picture, may_see_picture
from pixart_ui.batches import zip_stream
from pixart_ui.errors import PixArtError
from pixart_ui.gallery.picture import Picture
from pixart_ui.services import Services
from pixart_ui.ui.edge import ids_in
from pixart_ui.ui.gallery_look import GalleryLook
from pixart_ui.ui.routes import FOREVER, NEVER, picture_answer, thumbnail_of
from pixart_ui.ui.words import gallery as words

# Twice what a row is high, for screens with two dots a pixel.
THUMBNAIL_SIDE = 448
Answer = Callable[[Request], Response]


def gallery_routes(services: Services) -> list[BaseRoute]:
    return [
        Route("/gallery/pictures/{name}", _picture(services)),
        Route("/gallery/thumbnails/{name}", _thumbnail(services)),
        Route("/gallery.zip", _archive(services)),
    ]


def _picture(services: Services) -> Answer:
    def answer(request: Request) -> Response:
        picture, path = _found(services, request)
        if picture is None or path is None:
            return _not_found()
        return picture_answer(request, path, is_own=is_own_picture(services.journal, picture.name))

    return answer


def _thumbnail(services: Services) -> Answer:
    def answer(request: Request) -> Response:
        picture, path = _found(services, request)
        if picture is None or path is None:
            return _not_found()
        try:
            return FileResponse(
                thumbnail_of(path, services.gallery.thumbnail_path(picture.name), THUMBNAIL_SIDE), headers=FOREVER
            )
        except OSError:  # the file is damaged, or was moved at this moment
            return _not_found()

    return answer


def _found(services: Services, request: Request) -> tuple[Picture | None, Path | None]:
    """The picture of that name, if whoever asks may see it, and its file."""
    try:
        picture = services.journal.picture_named(request.path_params["name"])
    except PixArtError:
        return None, None
    if picture is None or not may_see_picture(services.journal, picture.name):
        return None, None
    return picture, services.gallery.path(picture)


def _archive(services: Services) -> Answer:
    def answer(request: Request) -> Response:
        try:
            pictures = _asked(services, request)
        except PixArtError as error:
            return PlainTextResponse(error.message, status_code=503, headers=NEVER)
        files = [(name, services.settings.images_dir / name) for name in pictures]
        if not any(path.is_file() for _, path in files):
            return PlainTextResponse(words.NO_PICTURES, status_code=404, headers=NEVER)
        name = f"pixart-pictures-{datetime.now().astimezone():%Y%m%d-%H%M%S}.zip"
        headers = {
            **NEVER,
            "Content-Disposition": f'attachment; filename="{name}"',
            "X-Content-Type-Options": "nosniff",
        }
        stream = zip_stream(files, is_plain=not viewer.current().is_owner)
        return StreamingResponse(stream, media_type="application/zip", headers=headers)

    return answer


def _asked(services: Services, request: Request) -> tuple[str, ...]:
    """The files that `pictures=12,13` names, else all that the filter lets through; never those in the trash."""
    query, only = request.query_params, viewer.current().only
    if "pictures" in query:
        found = services.journal.pictures(ids_in(query["pictures"]), owner=only)
        return tuple(picture.name for picture in found if picture.deleted_at is None)
    wanted = GalleryLook.of(query).filter(only)
    return () if wanted.is_deleted else services.journal.picture_names(wanted)


def _not_found() -> Response:
    return PlainTextResponse("Not found", status_code=404, headers=NEVER)
