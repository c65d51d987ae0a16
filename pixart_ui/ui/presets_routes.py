"""Presets as a file: one, or all that the viewer keeps. Of another's nobody gets but what is shared to all."""

from __future__ import annotations

import re
from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from pixart_ui.access import viewer
from pixart_ui.errors import InputError
from pixart_ui.services import Services
from pixart_ui.ui.routes import NEVER


def preset_routes(services: Services) -> list[BaseRoute]:
    return [Route("/presets.json", _presets(services))]


def _presets(services: Services) -> Callable[[Request], Response]:
    def answer(request: Request) -> Response:
        name = request.query_params.get("name")
        try:
            content = services.presets.export(viewer.current().name, name)
        except InputError as error:
            return PlainTextResponse(error.message, status_code=404, headers=NEVER)
        headers = {
            **NEVER,
            "X-Content-Type-Options": "nosniff",
            "Content-Disposition": f'attachment; filename="{_file_name(name)}"',
        }
        return Response(content, media_type="application/json", headers=headers)

    return answer


def _file_name(name: str | None) -> str:
    plain = re.sub(r"[^A-Za-z0-9]+", "-", name if name is not None else "").strip("-").lower()
    return f"{plain if plain else 'presets'}.json" if name is not None else "presets.json"
