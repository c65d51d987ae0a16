"""The text for a bug report, for the owner alone: anybody else gets what an address that does not exist gets."""

from __future__ import annotations

from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from pixart_ui.access import viewer
from pixart_ui.errors import PixArtError
from pixart_ui.health.logs import bug_report
from pixart_ui.services import Services
from pixart_ui.ui.routes import NEVER


def system_routes(services: Services) -> list[BaseRoute]:
    return [Route("/system/report.txt", _report(services))]


def _report(services: Services) -> Callable[[Request], Response]:
    def answer(request: Request) -> Response:
        if not viewer.current().is_owner:
            return PlainTextResponse("Not found", status_code=404, headers=NEVER)
        query = request.query_params
        try:
            text = bug_report(services.settings, services.journal, with_prompts=query.get("prompts") == "1")
        except PixArtError as error:
            return PlainTextResponse(error.message, status_code=503, headers=NEVER)
        headers = {**NEVER, "X-Content-Type-Options": "nosniff"}
        if "save" in query:
            headers["Content-Disposition"] = 'attachment; filename="pixart-ui-report.txt"'
        return PlainTextResponse(text, headers=headers)

    return answer
