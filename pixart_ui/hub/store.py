"""Checkpoints on this disk: where their files are, whether they are sound, and getting them.

`locate` is asked at every submit: it reads names, lengths and headers, never the network and never every byte.
`verify` reads every byte. `download` is the only one that goes to the network, and only when it is called.
What was fetched stays at its commit: nothing here moves to a newer one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from pixart_ui.catalog import COMPONENTS, Checkpoint, Component
from pixart_ui.errors import CheckpointError
from pixart_ui.fingerprints import Fingerprints, combine, hash_file
from pixart_ui.hub.contents import Contents
from pixart_ui.hub.layout import Needed, needed
from pixart_ui.hub.pickled import Allowed
from pixart_ui.hub.places import command, snapshot_folder
from pixart_ui.hub.progress import DownloadProgress
from pixart_ui.hub.records import FileRecord, Records
from pixart_ui.hub.removal import remove


@dataclass(frozen=True)
class Located:
    """Where a checkpoint is. `revisions` is the commit of each repository, empty for a local folder.

    `checkpoint.pickled` names the components whose files here are pickled, whatever was asked for; `variants` the word
    to load a component with, for those that are there only as a variant such as `fp16`.
    """

    checkpoint: Checkpoint
    folders: Mapping[Component, Path]
    revisions: Mapping[str, str]
    variants: Mapping[Component, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with one file, as a sentence with its remedy."""

    path: Path | None
    message: str


@dataclass(frozen=True)
class _Part:
    """One component on the disk. `expected` is what the record says of its files, by name."""

    component: Component
    folder: Path
    need: Needed
    expected: Mapping[str, FileRecord]

    @property
    def paths(self) -> list[Path]:
        return [self.folder / name for name in self.need.files]


class Hub:
    """Safe to use from several threads. `cache_dir` is the Hub's own cache unless another is given."""

    def __init__(self, records_dir: Path, *, cache_dir: Path | None = None, endpoint: str | None = None) -> None:
        self._records = Records(records_dir)
        self._fingerprints = Fingerprints(records_dir / "hashes.jsonl")
        self._contents = Contents()
        self._allowed = Allowed(records_dir)
        self._given_cache_dir = cache_dir
        self._endpoint = endpoint

    def locate(self, checkpoint: Checkpoint) -> Located:
        """Where the components are. Raises CheckpointError: what is missing, damaged or not allowed, and the remedy."""
        parts, revisions = self._parts(checkpoint)
        problem = next(self._visible_problems(checkpoint, parts), None)
        if problem is not None:
            raise CheckpointError(problem.message)
        self._refuse_pickled(checkpoint, parts)
        return Located(
            replace(checkpoint, pickled=tuple(part.component for part in parts if part.need.is_pickled)),
            {part.component: part.folder for part in parts},
            revisions,
            {part.component: part.need.variant for part in parts if part.need.variant is not None},
        )

    def is_available(self, checkpoint: Checkpoint) -> bool:
        try:
            self.locate(checkpoint)
        except CheckpointError:
            return False
        return True

    def was_fetched(self, checkpoint: Checkpoint) -> bool:
        """Whether it ought to be on this disk: a local folder, or one that a download finished once."""
        return checkpoint.is_local or self._records.read(checkpoint.name) is not None

    def download(
        self,
        checkpoint: Checkpoint,
        on_progress: Callable[[DownloadProgress], None] | None = None,
        *,
        allow_pickle: bool = False,
    ) -> Located:
        """Fetch what is missing or damaged, go on where an earlier download stopped, and locate it.

        An exception from `on_progress` stops the download; what has arrived is kept. A local folder is only located.
        Pickled files are refused unless `allow_pickle`, which for a local folder is remembered.
        Raises DownloadError (offline, not found, no access, no room), CheckpointError for a local folder.
        """
        if checkpoint.folder is not None and allow_pickle:
            self._allowed.add(checkpoint.folder)
        if not checkpoint.is_local:
            from pixart_ui.hub.download import Download  # imports huggingface_hub, which nobody else here needs

            Download(
                checkpoint,
                self._records,
                self._fingerprints,
                self.cache_dir,
                self._endpoint,
                allow_pickle=allow_pickle,
            ).run(on_progress)
        return self.locate(checkpoint)

    def remove(self, checkpoint: Checkpoint, others: Iterable[Checkpoint]) -> int:
        """Remove a published checkpoint's files, except what one of the others needs; returns the bytes freed."""
        return remove(checkpoint.name, [other.name for other in others], self._records, self.cache_dir)

    def verify(self, checkpoint: Checkpoint) -> tuple[Problem, ...]:
        """Read every byte: sizes, headers, and SHA-256 against the record, or against an earlier reading."""
        try:
            parts, _ = self._parts(checkpoint)
        except CheckpointError as error:
            return (Problem(None, error.message),)
        problems = list(self._visible_problems(checkpoint, parts))
        seen = {problem.path for problem in problems}
        for part in parts:
            for name in part.need.files:
                path = part.folder / name
                if path not in seen and self._has_changed(path, part.expected.get(name)):
                    problems.append(
                        Problem(path, f"{path} has changed, its SHA-256 is another: {_remedy(checkpoint)}.")
                    )
        return tuple(problems)

    def hashes(self, located: Located) -> dict[str, str]:
        """Component -> SHA-256 of its weights (its vocabulary, its config for tokenizer and scheduler)."""
        result: dict[str, str] = {}
        for component, folder in located.folders.items():
            defining = needed(component, _names(folder)).defining
            result[component] = combine([self._fingerprints.sha256(folder / name) for name in defining])
        return result

    def bytes_on_disk(self, located: Located) -> int:
        """What its files take; T5 counts for every checkpoint that shares it."""
        return sum(
            (folder / name).stat().st_size
            for component, folder in located.folders.items()
            for name in needed(component, _names(folder)).files
        )

    @property
    def cache_dir(self) -> Path:
        """The folder that snapshots are kept in."""
        if self._given_cache_dir is not None:
            return self._given_cache_dir
        from huggingface_hub import constants  # reads the environment when it is imported

        return Path(constants.HF_HUB_CACHE)

    def _parts(self, checkpoint: Checkpoint) -> tuple[list[_Part], dict[str, str]]:
        """The components and the commits they come from. Raises CheckpointError if one is not there at all."""
        if checkpoint.folder is not None:
            return [_local_part(checkpoint, checkpoint.folder, component) for component in COMPONENTS], {}
        record = self._records.read(checkpoint.name)
        if record is None:
            raise CheckpointError(
                f"{checkpoint.title} ({checkpoint.name}) is not on this disk: get it with `{command(checkpoint)}`."
            )
        parts = []
        for component in COMPONENTS:
            repo = checkpoint.repos[component]
            if repo not in record:
                raise CheckpointError(
                    f"The {component} of {checkpoint.name} ({repo}) is not on this disk: "
                    f"get it with `{command(checkpoint)}`."
                )
            folder = snapshot_folder(self.cache_dir, repo, record[repo].commit) / component
            files = {
                path.partition("/")[2]: file
                for path, file in record[repo].files.items()
                if path.startswith(f"{component}/")
            }
            parts.append(_Part(component, folder, needed(component, files), files))
        return parts, {repo: entry.commit for repo, entry in record.items()}

    def _refuse_pickled(self, checkpoint: Checkpoint, parts: list[_Part]) -> None:
        """What was fetched pickled was allowed then. Raises CheckpointError."""
        pickled = next((part for part in parts if part.need.is_pickled), None)
        if checkpoint.folder is not None and pickled is not None and not self._allowed.has(checkpoint.folder):
            raise CheckpointError(
                f"{pickled.folder} holds pickled .bin weights only, which are not read unasked: save them as "
                f"safetensors, or run `{command(checkpoint, allow_pickle=True)}`; they are then read with "
                "weights_only=True, which runs nothing that they hold."
            )

    def _visible_problems(self, checkpoint: Checkpoint, parts: list[_Part]) -> Iterator[Problem]:
        """What names, lengths and headers show. One problem for each file at most."""
        remedy = _remedy(checkpoint)
        for part in parts:
            told = set()
            if part.need.missing is not None:
                path = part.folder / part.need.missing.split(" ")[0]
                told.add(path)
                yield Problem(path, f"{part.folder} lacks {part.need.missing}: {remedy}.")
            for path in part.paths:
                phrase = self._damage(path, part.expected.get(path.name))
                if phrase is not None:
                    told.add(path)
                    yield Problem(path, f"{path} {phrase}: {remedy}.")
            if part.need.index is not None:
                broken = self._contents.index_damage(part.folder / part.need.index)
                if broken is not None and broken[0] not in told:
                    yield Problem(broken[0], f"{broken[0]} {broken[1]}: {remedy}.")

    def _damage(self, path: Path, expected: FileRecord | None) -> str | None:
        damage = self._contents.damage(path)
        if damage is None and expected is not None and path.stat().st_size != expected.size:
            return f"has {path.stat().st_size:,} bytes, {expected.size:,} were fetched"
        return damage

    def _has_changed(self, path: Path, expected: FileRecord | None) -> bool:
        if expected is not None:
            return self._fingerprints.compute(path) != expected.sha256
        earlier = self._fingerprints.remembered(path)
        if earlier is None:
            self._fingerprints.compute(path)
            return False
        return hash_file(path) != earlier


def _local_part(checkpoint: Checkpoint, root: Path, component: Component) -> _Part:
    folder = root / component
    if not root.is_dir():
        raise CheckpointError(f"{root} is missing: {_remedy(checkpoint)}.")
    if not folder.is_dir():
        raise CheckpointError(f"{folder} is missing: {_remedy(checkpoint)}.")
    return _Part(component, folder, needed(component, _names(folder)), {})


def _names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if path.is_file()}


def _remedy(checkpoint: Checkpoint) -> str:
    return "copy the whole checkpoint again" if checkpoint.is_local else f"get it again with `{command(checkpoint)}`"
