"""Carries the viewer into Gradio's handlers.

A handler that a client asks for through Gradio's own queue is called by a task of the server, where no request's
context is: there everybody would be the local owner. So each handler of a shared page looks at the request that it is
for, and without one it is asked by nobody.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from functools import wraps
from typing import Any

import gradio as gr
from gradio.context import LocalContext

from pixart_ui.access.gate import SCOPE_KEY
from pixart_ui.access.viewer import NOBODY, Viewer, seen_by


def carry(page: gr.Blocks) -> None:
    """Wrap every handler of the page. Raises TypeError for a kind of handler that cannot be."""
    for block_function in page.fns.values():
        if block_function.fn is not None:
            block_function.fn = _carried(block_function.fn)


def _carried(handler: Callable[..., Any]) -> Callable[..., Any]:
    if inspect.iscoroutinefunction(handler) or inspect.isasyncgenfunction(handler):
        raise TypeError(f"{handler!r} is asynchronous, which nothing here carries a viewer into")
    if inspect.isgeneratorfunction(handler):

        @wraps(handler)
        def stepped(*args: Any, **named: Any) -> Iterator[Any]:
            viewer, steps = _asking(), handler(*args, **named)
            try:
                while True:
                    # Each step may be taken by another thread.
                    with seen_by(viewer):
                        try:
                            step = next(steps)
                        except StopIteration:
                            return
                    yield step
            finally:
                steps.close()

        return stepped

    @wraps(handler)
    def called(*args: Any, **named: Any) -> Any:
        with seen_by(_asking()):
            return handler(*args, **named)

    return called


def _asking() -> Viewer:
    """Whoever the event's request is from."""
    scope = getattr(getattr(LocalContext.request.get(None), "request", None), "scope", {})
    viewer = scope.get(SCOPE_KEY)
    return viewer if isinstance(viewer, Viewer) else NOBODY
