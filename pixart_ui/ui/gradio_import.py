"""Imports Gradio in half the time.

For each component class Gradio writes a type stub beside its own source, on every import: half of the seconds that
importing it takes, and a write into the environment. Editors use the stubs; a page that is to stand in four seconds
does not. Only that one function is left out; the rest is imported as it is.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType

STUB_WRITER = "gradio.component_meta"


class WithoutStubs(MetaPathFinder):
    """Finds the one module that writes stubs, and takes the writer out once it is loaded."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        spec = PathFinder.find_spec(fullname, path, target) if fullname == STUB_WRITER else None
        if spec is None or spec.loader is None:
            return None
        load = spec.loader.exec_module

        def load_without(module: ModuleType) -> None:
            load(module)
            module.create_or_modify_pyi = lambda *_: None

        spec.loader.exec_module = load_without
        return spec


def import_gradio() -> None:
    """What is imported already stays as it is."""
    finder = WithoutStubs()
    sys.meta_path.insert(0, finder)
    try:
        importlib.import_module("gradio")
    finally:
        sys.meta_path.remove(finder)
