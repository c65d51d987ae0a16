"""The page's table of contents: what is on it, and how it is served.

Gradio's own queue is not used for work: its events end with the page that sent them.
"""

from __future__ import annotations

import os
import signal
import threading
from typing import Any

import gradio as gr
from gradio.route_utils import CustomCORSMiddleware
from starlette.middleware import Middleware

from pixart_ui.access.events import carry
from pixart_ui.access.gate import Mode
from pixart_ui.access.guards import guards
from pixart_ui.access.opening import Opening
from pixart_ui.access.viewer import serve_others
from pixart_ui.services import Services
from pixart_ui.settings import Settings
from pixart_ui.tidying import Room, keep_tidy
from pixart_ui.ui import on_space as spaces
from pixart_ui.ui import theme, words
from pixart_ui.ui.api import build_api
from pixart_ui.ui.api_status import ApiStatus, check_values
from pixart_ui.ui.compare_routes import compare_routes
from pixart_ui.ui.compare_tab import build_compare, build_compare_controls
from pixart_ui.ui.exports import export_routes
from pixart_ui.ui.gallery_routes import gallery_routes
from pixart_ui.ui.gallery_tab import build_gallery, build_gallery_controls, wire_gallery
from pixart_ui.ui.header import build_header
from pixart_ui.ui.live import EngineWatch, Live
from pixart_ui.ui.look import Tab
from pixart_ui.ui.offer import offer
from pixart_ui.ui.on_space import OnSpace
from pixart_ui.ui.plain_page import sign_in_page
from pixart_ui.ui.presets_routes import preset_routes
from pixart_ui.ui.queue_tab import build_queue, build_queue_controls
from pixart_ui.ui.resting import let_rest
from pixart_ui.ui.routes import routes
from pixart_ui.ui.sharing import sharing_routes
from pixart_ui.ui.signing_in import sign_in_routes
from pixart_ui.ui.single import build_single
from pixart_ui.ui.system_routes import system_routes
from pixart_ui.ui.system_tab import build_system, build_system_controls
from pixart_ui.ui.tunnel import open_tunnel
from pixart_ui.ui.words import access as access_words
from pixart_ui.ui.words import gallery as gallery_words
from pixart_ui.ui.words import spaces as space_words
from pixart_ui.ui.words import system as system_words

TEMP_KEPT_SECONDS = 24 * 3600
TEMP_BYTES = 2 * 1024**3
THUMBNAIL_BYTES = 512 * 1024**2
# Far above what is read of a file, so that a large one gets our sentence and not Gradio's.
MAX_UPLOAD = "128mb"


def build(services: Services, on_space: OnSpace | None = None) -> gr.Blocks:
    """The page, not yet served."""
    with gr.Blocks(
        title=words.TITLE, fill_width=True, analytics_enabled=False, delete_cache=(3600, TEMP_KEPT_SECONDS)
    ) as page:
        build_api(services)  # first, so that no handler of the page takes one of its names
        checkpoint = build_header(services)
        spaces.build_notice(on_space)
        controls = build_queue_controls(services)
        compare = build_compare_controls(services, controls.answer)
        gallery = build_gallery_controls(services, controls.answer)
        build_system_controls(services, controls.answer)
        with gr.Tabs(selected=Tab.SINGLE, elem_id="tabs"):
            with gr.Tab(words.SINGLE, id=Tab.SINGLE, elem_id="tab-single"):
                form = build_single(services, page, checkpoint, controls.answer)
            with gr.Tab(words.QUEUE, id=Tab.QUEUE, elem_id="tab-queue"):
                spaces.build_explanation(on_space, space_words.NO_QUEUE)
                build_queue(services, form, controls)
            with gr.Tab(words.COMPARE, id=Tab.COMPARE, elem_id="tab-compare"):
                spaces.build_explanation(on_space, space_words.NO_COMPARISONS)
                ways = build_compare(services, form, compare, controls.answer)
            with gr.Tab(gallery_words.GALLERY, id=Tab.GALLERY, elem_id="tab-gallery"):
                build_gallery()
                wire_gallery(services, form, ways, gallery, controls.answer)
            with gr.Tab(system_words.TAB, id=Tab.SYSTEM, elem_id="tab-system"):
                build_system()
        spaces.wire_space(services, page, on_space)
    return page


def serve(
    services: Services,
    supervisor: EngineWatch,
    opening: Opening,
    *,
    is_tunnelled: bool = False,
    on_space: OnSpace | None = None,
) -> None:
    """Serve the page until Ctrl+C or SIGTERM to whom the opening lets in. Raises InputError where the port is taken."""
    settings = services.settings
    if opening.door.mode is not Mode.LOCAL:
        serve_others()
    # Gradio has no other setting for where it keeps its copies of files.
    os.environ["GRADIO_TEMP_DIR"] = str(settings.temp_dir / "gradio")
    live = Live(services, supervisor, offer(services, services.default_checkpoint()).examples)
    page = build(services, on_space)
    check_values(page)
    if opening.door.mode is not Mode.LOCAL:
        carry(page)
    app, _, _ = page.launch(**_launch_settings(services, live, opening))
    _take_out_cors(app)
    opening.door.is_starting = False
    let_rest(page)
    keep_tidy(_copies(settings), ended := threading.Event())
    print(f"{words.TITLE} is at http://{_shown_host(settings.host)}:{settings.port}", flush=True)
    _tell(opening)
    if is_tunnelled:
        print(open_tunnel(settings.host, settings.port, opening.hosts, settings.temp_dir), flush=True)
    try:
        _wait_for_signal()
    finally:
        ended.set()
        page.close(verbose=False)


def _launch_settings(services: Services, live: Live, opening: Opening) -> dict[str, Any]:
    settings = services.settings
    return {
        "server_name": settings.host,
        "server_port": settings.port,
        "prevent_thread_lock": True,
        "quiet": True,
        "show_error": False,
        "ssr_mode": False,
        "mcp_server": False,
        "pwa": False,
        "enable_monitoring": False,
        "run_history": False,
        "footer_links": [],
        "share": False,
        "inbrowser": False,
        "max_file_size": MAX_UPLOAD,
        "allowed_paths": [str(settings.images_dir)],
        "favicon_path": str(theme.ASSETS / "favicon.svg"),
        "theme": theme.theme(),
        "css": theme.css() + spaces.css(),
        "js": theme.script(),
        "app_kwargs": {
            "middleware": [*guards(opening, settings, sign_in_page), Middleware(ApiStatus)],
            "routes": [
                *sign_in_routes(opening.door),
                *sharing_routes(services, opening.door),
                *routes(settings, services.journal, live),
                *export_routes(services),
                *compare_routes(services),
                *system_routes(services),
                *preset_routes(services),
                *gallery_routes(services),
            ],
            "docs_url": None,
            "redoc_url": None,
            "openapi_url": None,
        },
    }


def _take_out_cors(app: Any) -> None:
    """Gradio's own lets pages of any origin read answers, once the server has a public name. Nobody's is let here."""
    app.user_middleware = [one for one in app.user_middleware if one.cls is not CustomCORSMiddleware]
    app.middleware_stack = app.build_middleware_stack()


def _tell(opening: Opening) -> None:
    """Credentials that were made for this start, once."""
    if opening.credentials:
        print(access_words.STARTED_WITH)
    for one in opening.credentials:
        line = access_words.CREDENTIAL.format(role=one.role, name=one.name, password=one.password)
        print(line, flush=True)


def _shown_host(host: str) -> str:
    return "localhost" if host in ("127.0.0.1", "0.0.0.0", "::") else host


def _copies(settings: Settings) -> list[Room]:
    """Folders of what can be made or brought again: uploads and Gradio's copies, and small pictures."""
    return [
        Room(settings.temp_dir / "gradio", TEMP_KEPT_SECONDS, TEMP_BYTES),
        Room(settings.thumbnails_dir, None, THUMBNAIL_BYTES),
    ]


def _wait_for_signal() -> None:
    """Return on SIGTERM or Ctrl+C."""
    asked = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: asked.set())
    while not asked.wait(timeout=1.0):
        pass
