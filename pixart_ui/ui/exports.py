"""What can be taken away from the queue: jobs as CSV and JSON, which the Queue tab reads again, and pictures as a ZIP.

All of it is streamed, for the jobs that are named or for those that the list is narrowed to. Nothing is changed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from pathlib import Path

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from pixart_ui.access import viewer
from pixart_ui.batches import write_csv, write_json, zip_stream
from pixart_ui.errors import PixArtError
from pixart_ui.jobs.job import Job
from pixart_ui.services import Services
from pixart_ui.ui import words
from pixart_ui.ui.edge import ids_in
from pixart_ui.ui.look import queue_look

Answer = Callable[[Request], Response]


def export_routes(services: Services) -> list[BaseRoute]:
    return [
        Route("/export/queue.csv", _export(services, write_csv, "csv", "text/csv; charset=utf-8")),
        Route("/export/queue.json", _export(services, write_json, "json", "application/json")),
        Route("/archive.zip", _archive(services)),
    ]


def _export(
    services: Services, write: Callable[[Iterable[Job]], Iterator[str]], ending: str, media_type: str
) -> Answer:
    def answer(request: Request) -> Response:
        try:
            jobs = _jobs(services, request)
        except PixArtError as error:
            return _refusal(error.message, 503)
        return StreamingResponse(write(jobs), media_type=media_type, headers=_headers("pixart-queue", ending))

    return answer


def _archive(services: Services) -> Answer:
    def answer(request: Request) -> Response:
        try:
            jobs = [job for job in _jobs(services, request) if job.image is not None]
        except PixArtError as error:
            return _refusal(error.message, 503)
        files = [_named(services, job) for job in jobs]
        if not any(path.is_file() for _, path in files):
            return _refusal(words.NO_PICTURES, 404)
        return StreamingResponse(
            zip_stream(files, is_plain=not viewer.current().is_owner),
            media_type="application/zip",
            headers=_headers("pixart-pictures", "zip"),
        )

    return answer


def _named(services: Services, job: Job) -> tuple[str, Path]:
    """The name of its picture, and where that is, or was."""
    name, path = str(job.image), services.image_path(job)
    return name, path if path is not None else services.settings.images_dir / name


def _jobs(services: Services, request: Request) -> tuple[Job, ...]:
    """The jobs that `jobs=12,13` names, else all that the list would show on its pages."""
    only = viewer.current().only
    if "jobs" in request.query_params:
        ids = ids_in(request.query_params["jobs"])
        return services.journal.jobs(ids=ids, newest_first=False, owner=only)
    look = queue_look(request.query_params)
    return services.journal.page(states=look.shows.states, text=look.search, owner=only).jobs


def _headers(stem: str, ending: str) -> dict[str, str]:
    name = f"{stem}-{datetime.now().astimezone():%Y%m%d-%H%M%S}.{ending}"
    return {
        "Content-Disposition": f'attachment; filename="{name}"',
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
    }


def _refusal(sentence: str, status: int) -> Response:
    return PlainTextResponse(sentence, status_code=status, headers={"Cache-Control": "no-store"})
