"""The pieces that stand between the app and a cluster, each for itself: token, manifest, deadline, shelf."""

from __future__ import annotations

import re
import stat
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from pixart_ui.cluster.environment import ensure_token, ray_environment
from pixart_ui.cluster.manifest import Manifest, code_hash, differences
from pixart_ui.cluster.shelf import Shelf
from pixart_ui.errors import InputError
from pixart_ui.events import Phase, PhasePlan, PhaseStarted, Plan, Planned, Residency, StepDone, WeightsPrepared
from pixart_ui.jobs.deadline import FACTOR, SPARE_SECONDS, UNPLANNED_SECONDS, Deadline
from pixart_ui.settings import Settings
from tests.cli.commands import ROOT
from tests.cluster.parts import MANIFEST

NAME = "a" * 64 + ".safetensors"


def test_the_token_is_made_once_and_only_its_owner_can_read_it(tmp_path: Path) -> None:
    path = ensure_token(tmp_path / "new" / "token")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    content = path.read_text()
    assert len(content) == 64
    assert ensure_token(path).read_text() == content
    assert [entry.name for entry in path.parent.iterdir()] == ["token"]


def test_a_token_that_others_can_read_is_refused(tmp_path: Path) -> None:
    path = ensure_token(tmp_path / "token")
    path.chmod(0o644)
    with pytest.raises(InputError, match="chmod 600"):
        ensure_token(path)


def test_one_machine_is_bound_to_loopback_and_a_cluster_of_several_is_not(tmp_path: Path) -> None:
    def added(cluster: str) -> dict[str, str]:
        return ray_environment(Settings(data_dir=tmp_path, cluster=cluster), {})

    for cluster in ("auto", "127.0.0.1:6379", "10.0.0.1:6379"):
        assert added(cluster)["RAY_USAGE_STATS_ENABLED"] == "0"
        assert added(cluster)["RAY_AUTH_MODE"] == "token"
    assert "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER" in added("auto")
    assert "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER" not in added("10.0.0.1:6379")


def test_a_token_of_rays_own_is_left_as_it_is(tmp_path: Path) -> None:
    added = ray_environment(Settings(data_dir=tmp_path, cluster="auto"), {"RAY_AUTH_TOKEN_PATH": "/elsewhere"})
    assert "RAY_AUTH_TOKEN_PATH" not in added
    assert list(tmp_path.iterdir()) == []


def test_a_machine_may_join_with_fewer_checkpoints_but_not_with_others(tmp_path: Path) -> None:
    assert differences(MANIFEST, replace(MANIFEST, checkpoints={})) == []
    (problem,) = differences(MANIFEST, replace(MANIFEST, checkpoints={"tiny": {"vae": "2"}}))
    assert problem == "checkpoint tiny is of another revision"


def test_versions_are_named_before_code(tmp_path: Path) -> None:
    other = replace(MANIFEST, versions={"python": "3.12"}, code="other")
    assert differences(MANIFEST, other) == ["python is 3.12 there and 3.11 here"]
    assert differences(MANIFEST, replace(MANIFEST, code="other")) == ["the app's own code differs"]


def test_a_manifest_survives_its_way() -> None:
    assert Manifest.parse(MANIFEST.as_json()) == MANIFEST
    assert len(code_hash()) == 64


def test_a_phase_may_take_what_was_predicted_several_times_over() -> None:
    now = [0.0]
    deadline = Deadline(lambda: now[0])
    now[0] = UNPLANNED_SECONDS - 1
    assert not deadline.has_passed()
    deadline.see(Planned(Plan((PhasePlan(Phase.DENOISE, Residency.STAGED, "", predicted_seconds=3.0),))))
    deadline.see(PhaseStarted(Phase.DENOISE, 0))
    now[0] += SPARE_SECONDS + FACTOR * 3.0 - 1
    deadline.see(StepDone(0, 1, 20))
    assert not deadline.has_passed()
    now[0] += 2
    assert deadline.has_passed(), "steps that come do not put it off"


def test_weights_that_are_being_prepared_have_their_own_time() -> None:
    now = [0.0]
    deadline = Deadline(lambda: now[0])
    deadline.see(Planned(Plan((PhasePlan(Phase.ENCODE, Residency.STAGED, "", predicted_seconds=1.0),))))
    deadline.see(PhaseStarted(Phase.ENCODE))
    for _ in range(5):
        now[0] += UNPLANNED_SECONDS - 1
        deadline.see(WeightsPrepared("text_encoder", 1, 2))
        assert not deadline.has_passed()


def test_the_shelf_gives_what_was_put_and_takes_no_other_names(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path / "shelf")
    assert shelf.names() == frozenset()
    shelf.put({NAME: b"states", "../evil": b"x", "b.safetensors": b"x"})
    assert shelf.names() == {NAME}
    assert shelf.take([NAME, "b" * 64 + ".safetensors"]) == {NAME: b"states"}


def test_the_shelf_lets_go_of_the_oldest(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, max_bytes=100)
    for letter in "abcdef":
        shelf.put({letter * 64 + ".safetensors": b"x" * 30})
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 100
    assert "f" * 64 + ".safetensors" in shelf.names()


def test_nothing_but_the_port_imports_ray_and_the_driver_imports_no_torch() -> None:
    program = """
import sys
import app, pixart_ui.commands.driver, pixart_ui.cluster.lane, pixart_ui.cluster.joining, pixart_ui.jobs.fleet
print(*{name.partition('.')[0] for name in sys.modules} & {'ray', 'torch'})
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
    sources = (ROOT / "pixart_ui").rglob("*.py")
    importing = [path.name for path in sources if re.search(r"^\s*(import|from) ray\b", path.read_text("utf-8"), re.M)]
    assert importing == ["ray_port.py"]


def test_the_app_starts_as_ever_where_ray_is_not_installed(tmp_path: Path) -> None:
    """`ray` cannot be found: help, a list and a fleet are as they were; asking for a cluster says what is missing."""
    program = f"""
import sys
from importlib.abc import MetaPathFinder
class Absent(MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name.partition('.')[0] == 'ray':
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Absent())
import importlib.util
real = importlib.util.find_spec
importlib.util.find_spec = lambda name, package=None: None if name == 'ray' else real(name, package)
import app
from pixart_ui import cli
assert cli.main(['queue', 'list', '--data-dir', {str(tmp_path)!r}]) == 0
sys.exit(cli.main(['driver', '--cluster', 'auto', '--data-dir', {str(tmp_path)!r}]))
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr
    assert "pip install -r requirements-cluster.txt" in done.stderr
