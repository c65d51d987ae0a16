"""What the sources may not do, read from their syntax trees: run what comes with a checkpoint, or ask for it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.cli.commands import ROOT

FOLDERS = ("pixart_ui", "bench", "scripts", "examples")
# Modules that turn bytes into running code, or objects.
DANGEROUS_MODULES = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve", "runpy", "code"}
# Where one of them is named for its exceptions only.
EXCEPTIONS_OF = {("pixart_ui/engine/tensorsource.py", "pickle")}
DANGEROUS_CALLS = {"eval", "exec", "compile", "__import__"}
UNPACKERS = {"extractall", "unpack_archive"}
# The one place that reads what was pickled, with weights_only.
PICKLE_READER = "pixart_ui/engine/tensorsource.py"


def sources() -> list[Path]:
    return [ROOT / "app.py", *(path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py")))]


@cache
def parsed() -> tuple[tuple[str, ast.Module], ...]:
    return tuple((path.relative_to(ROOT).as_posix(), ast.parse(path.read_text(encoding="utf-8"))) for path in sources())


def calls(tree: ast.AST) -> Iterator[ast.Call]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.Call))


def dotted(node: ast.expr) -> str:
    """`torch.load` of a call's function; empty for what has no name."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return ""


def keyword(call: ast.Call, name: str) -> ast.expr | None:
    return next((entry.value for entry in call.keywords if entry.arg == name), None)


def is_constant(node: ast.expr | None, value: object) -> bool:
    return isinstance(node, ast.Constant) and node.value is value


def test_there_are_sources_to_look_at() -> None:
    assert len(sources()) > 150


def test_code_of_a_checkpoint_is_never_trusted() -> None:
    """It may be said that it is not, where a library would ask."""
    for name, tree in parsed():
        for node in ast.walk(tree):
            if isinstance(node, ast.keyword) and node.arg == "trust_remote_code":
                assert is_constant(node.value, False), name
            assert not (isinstance(node, ast.keyword) and node.arg == "custom_pipeline"), name
            assert not (isinstance(node, ast.Constant) and node.value in ("trust_remote_code", "custom_pipeline")), name


def test_tokenizers_are_told_so() -> None:
    """With its default the library asks on stdin."""
    found = [
        call
        for name, tree in parsed()
        if name == "pixart_ui/engine/components.py"
        for call in calls(tree)
        if dotted(call.func) == "tokenizers.from_pretrained"
    ]
    assert [is_constant(keyword(call, "trust_remote_code"), False) for call in found] == [True]


def test_nothing_is_unpickled_but_in_one_place() -> None:
    found = []
    for name, tree in parsed():
        for node in ast.walk(tree):
            modules = (
                [alias.name for alias in node.names]
                if isinstance(node, ast.Import)
                else [node.module or ""]
                if isinstance(node, ast.ImportFrom)
                else []
            )
            found += [(name, module) for module in modules if module.partition(".")[0] in DANGEROUS_MODULES]
    assert set(found) == EXCEPTIONS_OF


def test_pickle_is_named_for_its_exception_only() -> None:
    for name, tree in parsed():
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and dotted(node.value) == "pickle":
                assert (name, node.attr) == (PICKLE_READER, "UnpicklingError")


def test_torch_loads_weights_only_and_in_one_place() -> None:
    """The training script of PixArt-Tiny takes up its own state, of the run before."""
    found = [(name, call) for name, tree in parsed() for call in calls(tree) if dotted(call.func) == "torch.load"]
    assert {name for name, _ in found} == {PICKLE_READER, "pixart_ui/tiny/train.py"}
    for name, call in found:
        assert is_constant(keyword(call, "weights_only"), True), name


def test_arrays_are_loaded_without_pickle() -> None:
    for name, tree in parsed():
        for call in calls(tree):
            if dotted(call.func) in ("np.load", "numpy.load"):
                assert is_constant(keyword(call, "allow_pickle"), False), name


def test_pickled_weights_are_allowed_by_their_flag_alone() -> None:
    """Nothing decides for the person: the flag is passed on, or it is off."""
    for name, tree in parsed():
        for call in calls(tree):
            given = keyword(call, "allow_pickle")
            passed_on = given is not None and dotted(given).endswith("allow_pickle")
            where_said = name == "pixart_ui/hub/places.py" or dotted(call.func) == "command"
            assert given is None or passed_on or is_constant(given, False) or where_said, name


def test_yaml_is_read_safely() -> None:
    for name, tree in parsed():
        for call in calls(tree):
            assert dotted(call.func) not in ("yaml.load", "yaml.unsafe_load", "yaml.full_load"), name


def test_no_text_becomes_code_and_no_archive_is_unpacked() -> None:
    for name, tree in parsed():
        for call in calls(tree):
            called = dotted(call.func)
            assert called not in DANGEROUS_CALLS, f"{name}: {called}"
            assert called.rpartition(".")[2] not in UNPACKERS, f"{name}: {called}"


def test_no_shell_reads_a_command() -> None:
    for name, tree in parsed():
        for call in calls(tree):
            assert dotted(call.func) not in ("os.system", "os.popen"), name
            shell = keyword(call, "shell")
            assert shell is None or is_constant(shell, False), name


@pytest.mark.parametrize("loader", ["T5EncoderModel", "PixArtTransformer2DModel", "AutoencoderKL"])
def test_libraries_that_read_weights_are_told_the_format(loader: str) -> None:
    """PixArt-Tiny's own drawing, used to train it, reads files that are part of this repository."""
    for name, tree in parsed():
        if not name.startswith("pixart_ui/") or name.startswith("pixart_ui/tiny/"):
            continue
        if any(dotted(call.func) == f"{loader}.from_pretrained" for call in calls(tree)):
            texts = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)}
            assert "use_safetensors" in texts, name
