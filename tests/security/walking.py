"""All addresses of the app as it is served, without serving it."""

from __future__ import annotations

from collections.abc import Iterable

import gradio as gr
from starlette.routing import BaseRoute, Mount, Route

from pixart_ui.access.opening import Opening
from pixart_ui.services import Services
from pixart_ui.ui import build
from pixart_ui.ui.live import Live


class Watch:
    def status(self) -> str | None:
        return None


def routes_of(services: Services, opening: Opening) -> list[tuple[str, str]]:
    """Method and path of each route, ours and Gradio's; a folder of files stands as one path."""
    live = Live(services, Watch(), ())
    settings = build._launch_settings(services, live, opening)
    page = build.build(services)
    page.max_file_size = None
    app = gr.routes.App.create_app(page, app_kwargs=settings["app_kwargs"])
    return sorted(set(_walk(app.routes, "")))


def _walk(routes: Iterable[BaseRoute], before: str) -> Iterable[tuple[str, str]]:
    for route in routes:
        if isinstance(route, Mount):
            yield ("GET", f"{before}{route.path}/{{path}}")
            yield from _walk(route.routes, before + route.path)
        elif isinstance(route, Route):
            yield from ((method, before + route.path) for method in sorted(route.methods or {"GET"}))
        elif hasattr(route, "original_router"):
            yield from _walk(route.original_router.routes, before)
