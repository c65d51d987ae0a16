"""Our own addresses beside Gradio's: the live state, pictures as they are on disk, fonts, health.

A file name in an address is used only if it is one plain name of the kind that the worker writes and lies directly in
its folder; anything else is 404, and so is what belongs to somebody else. Pictures are sent byte for byte
to the owner, and to others without what is written into them.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from pathlib import Path

from PIL import Image
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from pixart_ui.access import seeing, viewer
from pixart_ui.errors import PixArtError
from pixart_ui.gallery.plain import plain
from pixart_ui.jobs.journal import Journal
from pixart_ui.settings import Settings
from pixart_ui.ui import theme
from pixart_ui.ui.answers import Answers
from pixart_ui.ui.live import Live
from pixart_ui.ui.look import Look

FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}\.(?:png|jpg|jpeg|webp)")
THUMBNAIL_SIDE = 192
FOREVER = {"Cache-Control": "private, max-age=31536000, immutable", "X-Content-Type-Options": "nosniff"}
NEVER = {"Cache-Control": "no-store"}


def routes(settings: Settings, journal: Journal, live: Live) -> list[BaseRoute]:
    return [
        Route("/healthz", _healthz),
        Route("/live", _live(Answers(live))),
        Route("/pictures/{name}", _pictures(journal, settings.images_dir)),
        Route("/previews/{name}", _previews(journal, settings.previews_dir)),
        Route("/thumbnails/{name}", _thumbnails(journal, settings.images_dir, settings.thumbnails_dir)),
        Mount("/look", StaticFiles(directory=theme.ASSETS)),
    ]


def file_named(folder: Path, name: str) -> Path | None:
    """The file of that name in the folder; None where there is none or the name is not one of ours."""
    if FILE_NAME.fullmatch(name) is None:
        return None
    path = folder / name
    return path if path.is_file() and not path.is_symlink() else None


async def _healthz(_: Request) -> Response:
    return PlainTextResponse("ok", headers=NEVER)


def _live(answers: Answers) -> Callable[[Request], Awaitable[Response]]:
    """Most requests change nothing and are answered without a thread or the journal."""

    async def answer(request: Request) -> Response:
        query = request.query_params
        mark, look = query.get("mark", ""), Look.of(query)
        if answers.is_known_unchanged(mark, look):
            return Response(status_code=204, headers=NEVER)
        try:
            body = await run_in_threadpool(answers.body, mark, look)
        except PixArtError as error:
            return PlainTextResponse(error.message, status_code=503, headers=NEVER)
        if body is None:
            return Response(status_code=204, headers=NEVER)
        return Response(body, headers=NEVER, media_type="application/json")

    return answer


def _pictures(journal: Journal, folder: Path) -> Callable[[Request], Response]:
    def answer(request: Request) -> Response:
        path = _own_picture(journal, folder, request)
        if path is None:
            return _not_found()
        return picture_answer(request, path, is_own=seeing.is_own_picture(journal, path.name))

    return answer


def picture_answer(request: Request, path: Path, *, is_own: bool) -> Response:
    """The file as it is, or without what is written into it.

    As `?whole` or `?plain` says, else plain for members; always plain where it is another's who shared it.
    """
    query = request.query_params
    if is_own and ("whole" in query or (viewer.current().is_owner and "plain" not in query)):
        return FileResponse(path, headers=FOREVER)
    try:
        return Response(plain(path.read_bytes()), headers=FOREVER, media_type="image/png")
    except (OSError, ValueError):
        return _not_found()


def _own_picture(journal: Journal, folder: Path, request: Request) -> Path | None:
    """None where there is none of that name, or not for whoever asks."""
    path = file_named(folder, request.path_params["name"])
    return path if path is not None and seeing.may_see_picture(journal, path.name) else None


def _previews(journal: Journal, folder: Path) -> Callable[[Request], Response]:
    """Previews are replaced and removed at any moment: sent from memory, and nothing (204) for one that is gone."""

    def answer(request: Request) -> Response:
        name = request.path_params["name"]
        if FILE_NAME.fullmatch(name) is None:
            return _not_found()
        # Of somebody else it is as if it were gone.
        path = file_named(folder, name) if seeing.may_see_preview(journal, name) else None
        try:
            content = path.read_bytes() if path is not None else b""
        except FileNotFoundError:
            content = b""
        if not content:
            return Response(status_code=204, headers=NEVER)
        return Response(content, headers=FOREVER, media_type="image/jpeg")

    return answer


def _thumbnails(journal: Journal, folder: Path, cache: Path) -> Callable[[Request], Response]:
    def answer(request: Request) -> Response:
        path = _own_picture(journal, folder, request)
        if path is None:
            return _not_found()
        return FileResponse(thumbnail_of(path, cache / f"{path.stem}.webp"), headers=FOREVER)

    return answer


def thumbnail_of(picture: Path, thumbnail: Path, side: int = THUMBNAIL_SIDE) -> Path:
    """Make it where it is missing or older than its picture."""
    if not thumbnail.is_file() or thumbnail.stat().st_mtime < picture.stat().st_mtime:
        _make_thumbnail(picture, thumbnail, side)
    return thumbnail


def _make_thumbnail(picture: Path, thumbnail: Path, side: int) -> None:
    """Written aside and renamed: two pages may ask at once."""
    thumbnail.parent.mkdir(parents=True, exist_ok=True)
    aside = thumbnail.with_name(f".{thumbnail.name}.{id(picture)}.part")
    with Image.open(picture, formats=["PNG"]) as image:
        image.thumbnail((side, side), reducing_gap=2.0)
        image.convert("RGB").save(aside, "WEBP", quality=85)
    aside.replace(thumbnail)


def _not_found() -> Response:
    return PlainTextResponse("Not found", status_code=404, headers=NEVER)
