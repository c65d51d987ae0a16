"""`doctor --spaces`: whether this repository, as it is, would build and run as a Hugging Face Space.

It reads the repository and what is installed here, offline, and changes nothing. Exit code 0 if it would, 1 otherwise.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib import metadata
from itertools import chain
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.version import Version

import pixart_ui
from pixart_ui.commands.meter import human
from pixart_ui.spaces import front_matter
from pixart_ui.spaces.front_matter import ZERO_GPU_TORCHES, is_version

REQUIREMENTS = "requirements.txt"
# Above this the Hub refuses a file that comes by plain `git push`; `hf upload` has no such limit.
MAX_PUSHED_BYTES = 10 * 2**20
MAX_REPOSITORY_BYTES = 10**9
# What a Space's image puts into the same `pip install`, beside gradio of sdk_version.
BROUGHT = ("spaces", "uvicorn", "websockets")
GRADIO_EXTRAS = ("oauth", "mcp")


@dataclass
class SpacesReport:
    """`problems` keep the Space from building or running, `advice` does not; each is a sentence with its remedy."""

    front_matter: dict[str, object] = field(default_factory=dict)
    torch: list[str] = field(default_factory=list)
    num_files: int = 0
    total_bytes: int = 0
    problems: list[str] = field(default_factory=list)
    advice: list[str] = field(default_factory=list)

    @property
    def would_run(self) -> bool:
        return not self.problems


def run_spaces(*, is_json: bool, root: Path | None = None) -> int:
    """Print the report of a repository, this one unless told otherwise."""
    report = examine_repository(root if root is not None else Path(pixart_ui.__file__).resolve().parent.parent)
    if is_json:
        print(json.dumps({"would_run": report.would_run, **asdict(report)}, indent=2, ensure_ascii=False))
    else:
        print("\n".join(_lines(report)))
    return 0 if report.would_run else 1


def examine_repository(root: Path) -> SpacesReport:
    found = front_matter.read(root)
    report = SpacesReport(dict(found or {}))
    report.problems += front_matter.problems(found, root)
    report.advice += front_matter.advice(found)
    _look_at_requirements(report, root, str((found or {}).get("sdk_version", "")))
    _look_at_sizes(report, root)
    return report


def _look_at_requirements(report: SpacesReport, root: Path, sdk_version: str) -> None:
    try:
        lines = (root / REQUIREMENTS).read_text(encoding="utf-8").splitlines()
    except OSError:
        report.problems.append(f"{REQUIREMENTS} is missing, a Space installs what stands there: add it.")
        return
    asked: dict[str, Requirement] = {}
    for line in filter(None, (line.partition("#")[0].strip() for line in lines)):
        try:
            requirement = Requirement(line)
        except InvalidRequirement:
            report.problems.append(f"{line!r} in {REQUIREMENTS} is no plain requirement: name a package and versions.")
            continue
        if requirement.url is not None:
            report.problems.append(
                f"{requirement.name} in {REQUIREMENTS} comes from an address, not from PyPI: name a version instead."
            )
        asked[_plain(requirement.name)] = requirement
    everything = {name: [requirement] for name, requirement in asked.items()}
    for requirement in _required_by([*asked.values(), *map(Requirement, BROUGHT)]):
        everything.setdefault(_plain(requirement.name), []).append(requirement)
    if "torch" not in asked:
        report.problems.append(f"torch is not in {REQUIREMENTS}, and a Space brings none: add torch>=2.8,<3.")
    _look_at_torch(report, everything.get("torch", []))
    _look_at_gradio(report, everything, sdk_version)


def _look_at_torch(report: SpacesReport, requirements: Sequence[Requirement]) -> None:
    """Whether one of ZeroGPU's builds satisfies all who ask for torch."""
    report.torch = [version for version in ZERO_GPU_TORCHES if _fits(version, requirements)]
    if not report.torch:
        asked = ", ".join(sorted({str(requirement) for requirement in requirements}))
        report.problems.append(
            f"No torch of ZeroGPU ({', '.join(ZERO_GPU_TORCHES)}) satisfies {asked}: widen what is asked for."
        )


def _look_at_gradio(report: SpacesReport, everything: Mapping[str, Sequence[Requirement]], sdk_version: str) -> None:
    if not is_version(sdk_version):
        return  # the front matter's own finding
    if not _fits(sdk_version, everything.get("gradio", [])):
        asked = ", ".join(sorted({str(requirement) for requirement in everything["gradio"]}))
        report.problems.append(
            f"sdk_version {sdk_version} does not satisfy {asked}: write the version that {REQUIREMENTS} allows."
        )
    here = _installed("gradio")
    if here is not None and here != sdk_version:
        report.advice.append(
            f"sdk_version is {sdk_version}, and what is tested here is Gradio {here}: make them equal."
        )


def _fits(version: str, requirements: Sequence[Requirement]) -> bool:
    return all(requirement.specifier.contains(Version(version), prereleases=True) for requirement in requirements)


def _required_by(requirements: Sequence[Requirement]) -> Iterator[Requirement]:
    """All that those packages ask for in turn, as far as they are installed here."""
    seen: set[str] = set()
    waiting = list(requirements)
    while waiting:
        requirement = waiting.pop()
        name = _plain(requirement.name)
        extras = {*requirement.extras, *(GRADIO_EXTRAS if name == "gradio" else ())}
        if name in seen:
            continue
        seen.add(name)
        for text in _requires(name):
            inner = Requirement(text)
            if inner.marker is None or any(inner.marker.evaluate({"extra": extra}) for extra in {"", *extras}):
                waiting.append(inner)
                yield inner


def _requires(name: str) -> Sequence[str]:
    try:
        return metadata.requires(name) or ()
    except metadata.PackageNotFoundError:
        return ()


def _installed(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _plain(name: str) -> str:
    return name.lower().replace("_", "-")


def _look_at_sizes(report: SpacesReport, root: Path) -> None:
    sizes = {path: path.stat().st_size for path in _files(root) if path.is_file()}
    report.num_files, report.total_bytes = len(sizes), sum(sizes.values())
    if report.total_bytes > MAX_REPOSITORY_BYTES:
        report.problems.append(
            f"The repository holds {human(report.total_bytes)}, a Space {human(MAX_REPOSITORY_BYTES)}: "
            "leave large files out, and name them in preload_from_hub."
        )
    large = [str(path.relative_to(root)) for path, size in sizes.items() if size > MAX_PUSHED_BYTES]
    if large:
        report.advice.append(
            f"git push to the Hub refuses files above {human(MAX_PUSHED_BYTES)} ({', '.join(sorted(large))}): send the "
            "repository with `hf upload`, as docs/spaces.md says."
        )


def _files(root: Path) -> Iterator[Path]:
    """What is in the repository; without git everything in the folder."""
    if shutil.which("git") is not None:
        command = ["git", "-C", str(root), "ls-files", "-z"]
        listed = subprocess.run(command, capture_output=True, text=True, check=False)
        if listed.returncode == 0:
            yield from (root / name for name in listed.stdout.split("\0") if name)
            return
    for path in root.rglob("*"):
        if not any(part.startswith(".") for part in path.relative_to(root).parts):
            yield path


def _lines(report: SpacesReport) -> list[str]:
    shown = ("sdk", "sdk_version", "python_version", "app_file", "suggested_hardware")
    lines = ["Front matter"]
    lines += [f"  {name:<20}{report.front_matter[name]}" for name in shown if name in report.front_matter]
    lines += ["", "ZeroGPU", f"  torch that fits     {', '.join(report.torch) or 'none'}"]
    lines += ["", "Repository", f"  {report.num_files:,} files, {human(report.total_bytes)}"]
    for title, sentences in (("Problems", report.problems), ("Worth knowing", report.advice)):
        if sentences:
            lines += ["", title, *chain(f"  {sentence}" for sentence in sentences)]
    return [*lines, "", "It would run as a Space." if report.would_run else "It would not run as a Space yet."]
