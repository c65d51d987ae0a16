"""Gets the weights of a group ready in a thread, in the order of their use, while earlier ones are at work already.

Mostly that is a look at headers and an empty module, a tenth of a second each. The first use of a precision converts
files, for minutes: then it tells how far it is, and can be cancelled.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from queue import SimpleQueue

from pixart_ui.catalog import Component
from pixart_ui.engine.components import Components
from pixart_ui.engine.forms import WeightSource
from pixart_ui.errors import Cancelled
from pixart_ui.events import WeightsPrepared


class Preparation:
    """One group's. `is_cancelled` is asked in the thread while files are converted."""

    def __init__(
        self, components: Components, sources: Sequence[WeightSource], is_cancelled: Callable[[], bool]
    ) -> None:
        self._components = components
        self._is_cancelled = is_cancelled
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="prepare")
        self._news: dict[Component, SimpleQueue[WeightsPrepared | None]] = {}
        self._ends: dict[Component, Future[None]] = {}
        for source in sources:
            if not components.is_prepared(source):
                self._begin(source)

    def wait(self, component: Component) -> Iterator[WeightsPrepared]:
        """Yield how far it is until the component is ready. Raises what getting it ready raised."""
        news = self._news.pop(component, None)
        if news is not None:
            yield from iter(news.get, None)
        if component in self._ends:
            self._ends[component].result()

    def close(self) -> None:
        """End with what is under way; what was not begun is left."""
        self._is_cancelled = lambda: True
        self._thread.shutdown(wait=True, cancel_futures=True)

    def _begin(self, source: WeightSource) -> None:
        news: SimpleQueue[WeightsPrepared | None] = SimpleQueue()

        def report(component: Component, done: int, total: int) -> None:
            if self._is_cancelled():
                raise Cancelled
            news.put(WeightsPrepared(component, done, total))

        end = self._thread.submit(self._components.prepare, source, report)
        end.add_done_callback(lambda _: news.put(None))
        self._news[source.component], self._ends[source.component] = news, end
