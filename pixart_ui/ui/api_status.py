"""What a program's request is answered with that cannot be: 422, and not the 500 that Gradio has for every error.

A server's own fault stays a 500. Requests that come through Gradio's queue are answered in its stream, as it is.
"""

from __future__ import annotations

import logging
from contextvars import ContextVar
from typing import Any

import gradio as gr
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pixart_ui.access.http import refuse

REFUSED_KEY = "pixart_ui.refused"
API = "/gradio_api/"
NO_REQUEST = "This is no request of an endpoint here: see /gradio_api/info.\n"
NO_VALUES = "These are not the values that this endpoint takes: see /gradio_api/info."
logger = logging.getLogger(__name__)
# The present request; threads that work for it have it too.
_asked: ContextVar[Scope | None] = ContextVar("asked", default=None)


def note_refusal() -> None:
    """Say that the present request is refused for what it asks."""
    if (scope := _asked.get()) is not None:
        scope[REFUSED_KEY] = True


def check_values(page: gr.Blocks) -> None:
    """Values that Gradio does not take, too few of them or a file that nobody uploaded, get a sentence as well.

    Gradio would log a traceback for each.
    """
    prepare = page.preprocess_data

    async def prepared(function: Any, *args: Any, **named: Any) -> Any:
        if function.fn is None:  # one of the page's own, which only its script runs
            note_refusal()
            raise WrongValues(NO_VALUES, print_exception=False)
        try:
            return await prepare(function, *args, **named)
        except gr.Error as error:
            told = error.message
        except Exception as error:  # noqa: BLE001 (somebody sent what it stumbles over; no handler was called yet)
            logger.info("Values of a request could not be taken (%s)", type(error).__name__)
            told = NO_VALUES
        note_refusal()
        raise WrongValues(str(told), print_exception=False)

    page.preprocess_data = prepared


class WrongValues(gr.Error):
    """Other values were sent than an endpoint takes."""


class ApiStatus:
    """Turns the status of refused requests."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not scope["path"].startswith(API):
            await self._app(scope, receive, send)
            return

        has_begun = False

        async def told(message: Message) -> None:
            nonlocal has_begun
            if message["type"] == "http.response.start":
                has_begun = True
                if message["status"] == 500 and scope.get(REFUSED_KEY):
                    message["status"] = 422
            await send(message)

        token = _asked.set(scope)
        try:
            await self._app(scope, receive, told)
        except HTTPException:
            raise
        except Exception as error:  # Gradio raises whatever it stumbles over before any handler of ours is called
            if has_begun:
                raise
            logger.warning("A request of the API could not be taken (%s)", type(error).__name__)
            await refuse(scope, receive, send, NO_REQUEST, 422)
        finally:
            _asked.reset(token)
