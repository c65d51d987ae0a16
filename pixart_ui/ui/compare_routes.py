"""Addresses of kept comparisons: pictures, the report in each of its forms, and the difference of two pictures.

An id is the name of a folder that is kept here, or 404; a picture is a plain name inside of it. Reports are made when
they are asked for, one at a time, and brought in by then: figures need a large library that the page starts without.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path

from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from pixart_ui.access import viewer
from pixart_ui.compare.comparison import IMAGES, Comparison
from pixart_ui.compare.kept import stamp
from pixart_ui.compare.table import as_csv
from pixart_ui.errors import InputError
from pixart_ui.services import Services
from pixart_ui.ui import compare_pair
from pixart_ui.ui.routes import FOREVER, NEVER, file_named, picture_answer, thumbnail_of

# The report is a page of its own: it needs its script, and saves what is inside it.
SANDBOX = "sandbox allow-scripts allow-downloads allow-modals"
# Reports hold their pictures: some MB each.
MAX_MADE = 6
Make = Callable[[Comparison, Path], bytes]


def compare_routes(services: Services) -> list[BaseRoute]:
    maker = Maker()
    forms: Mapping[str, tuple[str, Make]] = {
        "report.html": ("text/html; charset=utf-8", maker.html),
        "report.json": ("application/json", lambda comparison, _: comparison.model_dump_json(indent=1).encode()),
        "report.csv": ("text/csv; charset=utf-8", lambda comparison, _: as_csv(comparison).encode("utf-8-sig")),
        "figure.png": ("image/png", maker.figure),
    }
    return [
        *(Route(f"/comparisons/{{id}}/{place}/{{name}}", _picture(services)) for place in (IMAGES, "pictures")),
        Route("/comparisons/{id}/thumbnails/{name}", _thumbnail(services)),
        Route("/comparisons/{id}/pair", _pair(services)),
        *(Route(f"/comparisons/{{id}}/{name}", _file(services, name, *form)) for name, form in forms.items()),
    ]


class Maker:
    """Draws reports, one at a time: each takes some seconds of a core. The last ones are kept until they change.

    So nobody keeps the server busy by asking for one again and again.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._made: OrderedDict[tuple[str, Path], tuple[object, bytes]] = OrderedDict()

    def figure(self, comparison: Comparison, folder: Path) -> bytes:
        def draw() -> bytes:
            from pixart_ui.compare import drawing

            return drawing.guides_figure(comparison, folder)

        return self._once("figure", comparison, folder, draw)

    def html(self, comparison: Comparison, folder: Path) -> bytes:
        def render() -> bytes:
            from pixart_ui.compare import report_page

            return report_page.render(comparison, folder, self.figure(comparison, folder)).encode()

        return self._once("html", comparison, folder, render)

    def _once(self, form: str, comparison: Comparison, folder: Path, make: Callable[[], bytes]) -> bytes:
        present = (stamp(folder), comparison.name)
        with self._lock:
            known = self._made.pop((form, folder), None)
            content = known[1] if known is not None and known[0] == present else make()
            self._made[form, folder] = (present, content)
            while len(self._made) > MAX_MADE:
                self._made.popitem(last=False)
            return content


def _picture(services: Services) -> Callable[[Request], Response]:
    def answer(request: Request) -> Response:
        path = _named(services, request)
        if path is None:
            return PlainTextResponse("Not found", 404)
        is_own = viewer.current().may_see(services.kept_comparisons.owner(request.path_params["id"]))
        return picture_answer(request, path, is_own=is_own)

    return answer


def _thumbnail(services: Services) -> Callable[[Request], Response]:
    def answer(request: Request) -> Response:
        path = _named(services, request)
        if path is None:
            return PlainTextResponse("Not found", 404)
        place = services.settings.thumbnails_dir / f"{request.path_params['id']}-{path.stem}.webp"
        return FileResponse(thumbnail_of(path, place), headers=FOREVER)

    return answer


def _named(services: Services, request: Request) -> Path | None:
    """The picture that the address names; None where there is none."""
    try:
        folder = services.comparison_folder(request.path_params["id"])
    except InputError:
        return None
    return file_named(folder / IMAGES, request.path_params["name"])


def _pair(services: Services) -> Callable[[Request], Response]:
    def answer(request: Request) -> Response:
        query, comparison_id = request.query_params, request.path_params["id"]
        try:
            comparison = services.comparison(comparison_id)
            folder = services.comparison_folder(comparison_id)
            found = compare_pair.difference(comparison, folder, query.get("first", ""), query.get("second", ""))
        except InputError as error:
            return _refusal(error)
        return JSONResponse(found, headers=NEVER)

    return answer


def _file(services: Services, name: str, media_type: str, make: Make) -> Callable[[Request], Response]:
    def answer(request: Request) -> Response:
        comparison_id = request.path_params["id"]
        try:
            content = make(services.comparison(comparison_id), services.comparison_folder(comparison_id))
        except InputError as error:
            return _refusal(error)
        headers = {**NEVER, "X-Content-Type-Options": "nosniff", "Content-Security-Policy": SANDBOX}
        if "open" not in request.query_params:
            headers["Content-Disposition"] = f'attachment; filename="{comparison_id}-{name}"'
        return Response(content, media_type=media_type, headers=headers)

    return answer


def _refusal(error: InputError) -> Response:
    return PlainTextResponse(error.message, status_code=404, headers=NEVER)
