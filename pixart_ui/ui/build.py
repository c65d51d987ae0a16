"""The page's table of contents: what is on it, and how it is served.

Gradio's own queue is not used for work: its events end with the page that sent them.
"""

from __future__ import annotations

import os
import signal
import threading
from typing import Any

import gradio as gr

from pixart_ui.services import Services
from pixart_ui.ui import theme, words
from pixart_ui.ui.api import build_api
from pixart_ui.ui.compare_routes import compare_routes
from pixart_ui.ui.compare_tab import build_compare, build_compare_controls
from pixart_ui.ui.exports import export_routes
from pixart_ui.ui.header import build_header
from pixart_ui.ui.live import EngineWatch, Live
from pixart_ui.ui.look import Tab
from pixart_ui.ui.offer import offer
from pixart_ui.ui.queue_tab import build_queue, build_queue_controls
from pixart_ui.ui.resting import let_rest
from pixart_ui.ui.routes import routes
from pixart_ui.ui.single import build_single

TEMP_KEPT_SECONDS = 24 * 3600
# Far above what is read of a file, so that a large one gets our sentence and not Gradio's.
MAX_UPLOAD = "128mb"


def build(services: Services) -> gr.Blocks:
    """The page, not yet served."""
    with gr.Blocks(
        title=words.TITLE, fill_width=True, analytics_enabled=False, delete_cache=(3600, TEMP_KEPT_SECONDS)
    ) as page:
        build_api(services)  # first, so that no handler of the page takes one of its names
        checkpoint = build_header(services)
        controls = build_queue_controls(services)
        compare = build_compare_controls(services, controls.answer)
        with gr.Tabs(selected=Tab.SINGLE, elem_id="tabs"):
            with gr.Tab(words.SINGLE, id=Tab.SINGLE, elem_id="tab-single"):
                form = build_single(services, page, checkpoint, controls.answer)
            with gr.Tab(words.QUEUE, id=Tab.QUEUE, elem_id="tab-queue"):
                build_queue(services, form, controls)
            with gr.Tab(words.COMPARE, id=Tab.COMPARE, elem_id="tab-compare"):
                build_compare(services, form, compare, controls.answer)
    return page


def serve(services: Services, supervisor: EngineWatch) -> None:
    """Serve the page until Ctrl+C or SIGTERM. Raises InputError where the port is taken."""
    settings = services.settings
    # Gradio has no other setting for where it keeps its copies of files.
    os.environ["GRADIO_TEMP_DIR"] = str(settings.temp_dir / "gradio")
    live = Live(services, supervisor, offer(services, services.default_checkpoint()).examples)
    page = build(services)
    page.launch(**_launch_settings(services, live))
    let_rest(page)
    print(f"{words.TITLE} is at http://{_shown_host(settings.host)}:{settings.port}", flush=True)
    try:
        _wait_for_signal()
    finally:
        page.close(verbose=False)


def _launch_settings(services: Services, live: Live) -> dict[str, Any]:
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
        "css": theme.css(),
        "js": theme.script(),
        "app_kwargs": {
            "routes": [*routes(settings, live), *export_routes(services), *compare_routes(services)],
            "docs_url": None,
            "redoc_url": None,
            "openapi_url": None,
        },
    }


def _shown_host(host: str) -> str:
    return "localhost" if host in ("127.0.0.1", "0.0.0.0", "::") else host


def _wait_for_signal() -> None:
    """Return on SIGTERM or Ctrl+C."""
    asked = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: asked.set())
    while not asked.wait(timeout=1.0):
        pass
