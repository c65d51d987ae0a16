"""The composition root: everything that the page and the command line stand on, built once from the settings.

Brings in no torch. A request goes `parse` → `resolve` → journal here and nowhere else; the worker does the rest.
"""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pixart_ui import prediction, tiny
from pixart_ui.access import seeing, viewer
from pixart_ui.access.limits import limits_of
from pixart_ui.batches import Draft, Wildcards, check_rows, predict_seconds, read_draft
from pixart_ui.catalog import Catalog, Checkpoint, hub_checkpoints
from pixart_ui.catalog import tiny as tiny_checkpoint
from pixart_ui.compare.comparison import IMAGES, Comparison
from pixart_ui.compare.forecast import SweepPrediction, predict_sweep, processor_info
from pixart_ui.compare.kept import Entry, Kept, unknown_comparison
from pixart_ui.compare.running import Comparisons
from pixart_ui.compare.sweep import Sweep
from pixart_ui.devices import is_processor
from pixart_ui.engine.calibration import Table
from pixart_ui.errors import BudgetTooSmall, InputError
from pixart_ui.forecast import Forecast
from pixart_ui.forecaster import USUAL_GROUP_SIZE, Forecaster
from pixart_ui.gallery.records import Gallery
from pixart_ui.health.chores import Chores
from pixart_ui.health.disk import DiskUse
from pixart_ui.hub import Hub
from pixart_ui.jobs.job import NO_ALLOWANCE, Allowance, Caps, Job
from pixart_ui.jobs.journal import Journal
from pixart_ui.jobs.overview import WorkerRow, worker_rows
from pixart_ui.prediction import Prediction
from pixart_ui.presets import Styles
from pixart_ui.request import GenerationRequest, ResolvedRequest, confirm
from pixart_ui.resolving import Resolver
from pixart_ui.settings import Settings
from pixart_ui.user_presets import UserPresets


@dataclass(frozen=True)
class Services:
    """What the page and the command line share. All parts are safe to use from several threads."""

    settings: Settings
    catalog: Catalog
    styles: Styles
    hub: Hub
    journal: Journal
    wildcards: Wildcards
    forecaster: Forecaster
    kept_comparisons: Comparisons
    presets: UserPresets
    chores: Chores
    disk: DiskUse
    gallery: Gallery

    @classmethod
    def open(cls, settings: Settings) -> Services:
        """Create the folders that are missing and open the journal. Raises InputError, JournalError."""
        make_folders(settings)
        built_in = Styles.load(presets_dir()).built_in()
        presets = UserPresets(settings.data_dir / "presets", lambda: built_in)
        caps = Caps(of_owner=settings.max_jobs_per_owner, in_total=settings.max_jobs)
        known, journal = catalog(), Journal(settings.journal_path, caps, _allowance)
        return cls(
            settings=settings,
            catalog=seeing.Checkpoints(known),
            styles=Styles.load(presets_dir(), lambda: presets.styles(viewer.current().name)),
            hub=Hub(settings.checkpoints_dir),
            journal=journal,
            wildcards=Wildcards(presets_dir() / "wildcards"),
            forecaster=Forecaster(journal, known, settings.calibration_path),
            kept_comparisons=Comparisons(Kept(settings.comparisons_dir), journal),
            presets=presets,
            chores=Chores(settings),
            disk=DiskUse(settings),
            gallery=Gallery(settings, journal),
        )

    def default_checkpoint(self) -> Checkpoint:
        """The best checkpoint already on this disk, else PixArt-Tiny. Nothing is fetched.

        On a processor a published one takes minutes a picture and tens of GB: it is there to be chosen, not given.
        """
        if self._draws_on_a_processor():
            return self.catalog.get("tiny")
        published = (entry for entry in self.catalog if not entry.is_local)
        return next((entry for entry in published if self.hub.is_available(entry)), self.catalog.get("tiny"))

    def _draws_on_a_processor(self) -> bool:
        """What the running workers say; before one runs, what was asked for and whether there is an NVIDIA driver."""
        workers = self.journal.workers()
        if workers:
            return all(is_processor(worker.device) for worker in workers)
        asked = self.settings.devices if self.settings.devices else (self.settings.device,)
        if "auto" in asked:
            return shutil.which("nvidia-smi") is None
        return all(map(is_processor, asked))

    def resolve(self, request: GenerationRequest) -> tuple[ResolvedRequest, ...]:
        """One resolved request for each picture. Raises InputError, or CheckpointError if the weights are not here."""
        return self._resolver().resolve(request)

    def predict(self, request: GenerationRequest) -> Prediction | None:
        """What a request would take on the worker that is quickest, without submitting it; None while there is none.

        Raises InputError, CheckpointError, and BudgetTooSmall where it does not fit.
        """
        requests, table = self.resolve(request), Table.load(self.settings.calibration_path)
        found, errors = list[Prediction](), list[BudgetTooSmall]()
        for info in self._infos():
            try:
                found.append(self._predict_on(info, requests, table))
            except BudgetTooSmall as error:
                errors.append(error)
        if errors and not found:
            raise errors[0]
        return min(found, key=lambda prediction: prediction.plan.predicted_seconds, default=None)

    def _require_measuring(self) -> None:
        """Raises InputError where all workers are on machines of a cluster."""
        infos = self._infos()
        if infos and not any(info.get("measures", True) for info in infos):
            raise InputError(
                "Comparisons are measured inside a worker of this machine, and all workers here are a cluster's: start "
                "the app without --cluster for them."
            )

    def _predict_on(self, info: Mapping[str, Any], requests: Sequence[ResolvedRequest], table: Table) -> Prediction:
        checkpoint = self.catalog.get(requests[0].checkpoint)
        demand = prediction.demand_of(requests, checkpoint, is_cpu=prediction.is_cpu(info))
        return prediction.predict(demand, info, table, prediction.on_device(info, requests[0]))

    def _infos(self) -> Sequence[Mapping[str, Any]]:
        """What the workers say that take jobs; of those that do not, where there are only such."""
        workers = self.journal.workers()
        taking = [worker.info for worker in workers if worker.is_taking]
        return taking if taking else [worker.info for worker in workers if "trouble" not in worker.info]

    def workers(self) -> tuple[WorkerRow, ...]:
        """Every worker: machine, device, memory, job, jobs done, last heartbeat, and whether it takes jobs."""
        return worker_rows(self.journal)

    def drain_worker(self, device: str) -> bool:
        """Let the worker of that device (`WorkerRow.device`) end its picture and take no other, also after a restart.

        False: so it was. Raises InputError, also for who may not.
        """
        _require_owner()
        return self.journal.drain_device(device)

    def resume_worker(self, device: str) -> bool:
        """Let it take jobs again. False: it was not drained. Raises InputError, also for who may not."""
        _require_owner()
        return self.journal.resume_device(device)

    def forecast(self) -> Forecast:
        """When each open job will begin and end, and what is left in all. Made once for each change of the journal."""
        return self.forecaster.now()

    def submit(self, request: GenerationRequest, owner: str | None = None) -> tuple[Job, ...]:
        """Put the pictures of a request at the head of the queue and return at once.

        Without an owner they are whoever's asks, here and below.
        """
        return self.submit_resolved(self.resolve(request), owner)

    def submit_resolved(self, requests: Sequence[ResolvedRequest], owner: str | None = None) -> tuple[Job, ...]:
        """The same for requests that are resolved already, from here or from a picture. Raises InputError."""
        limits = limits_of(viewer.current())
        for request in requests:
            if limits is not None:
                limits.check_asked(request, self._checkpoint_names())
                limits.check(request)
            confirm(request, self.catalog.get(request.checkpoint))
        return self.journal.submit(requests, _owner(owner), is_urgent=True)

    def enqueue(self, requests: Sequence[GenerationRequest], owner: str | None = None) -> tuple[Job, ...]:
        """Put the pictures of several requests at the end of the queue, all or none. Raises InputError.

        A request without a seed gets a random one of its own.
        """
        resolver = self._resolver()
        return self.journal.submit_many([resolver.resolve(request) for request in requests], _owner(owner))

    def draft(self, content: str | bytes, *, name: str | None = None, base: GenerationRequest | None = None) -> Draft:
        """What a file or a text asks to be added, each row checked as far as it can be. Raises InputError."""
        return self.check_draft(read_draft(content, name=name, base=base, wildcards=self.wildcards))

    def check_draft(self, draft: Draft) -> Draft:
        """The draft with what cannot be resolved as problems of its rows."""
        return check_rows(draft, self._resolver().resolve)

    def predict_draft(self, draft: Draft) -> float | None:
        """Seconds that all of it would take on the running workers, alone; None while there is none.

        Raises BudgetTooSmall where a picture of it does not fit there.
        """
        infos = self._infos()
        if not infos:
            return None
        info, table = infos[0], Table.load(self.settings.calibration_path)
        group_size = info.get("group_size", USUAL_GROUP_SIZE)
        seconds = predict_seconds(draft.requests, self._resolver().resolve, self.catalog.get, info, table, group_size)
        num_pictures = sum(request.num_images for request in draft.requests)
        return seconds / max(1, min(len(infos), num_pictures))

    def edit(self, job_id: int, request: GenerationRequest, *, seen: ResolvedRequest | None = None) -> Job:
        """Give a job that waits another request, for one picture.

        Raises InputError, also once the job runs, or where its request is no longer the one that was `seen`.
        """
        if request.num_images != 1:
            raise InputError(
                f"{request.num_images} images were asked for, but a job is one: set 1, or add the others as new jobs.",
                "num_images",
            )
        (resolved,) = self.resolve(request)
        return self.journal.edit(self.job(job_id).id, resolved, seen=seen)

    def job(self, job_id: int) -> Job:
        """A job that whoever asks may see. Raises InputError."""
        return seeing.job(self.journal, job_id)

    def own(self, job_ids: Sequence[int]) -> list[int]:
        """Those of these jobs that whoever asks may change."""
        return seeing.own(self.journal, job_ids)

    def start_comparison(self, sweep: Sweep, *, name: str | None = None, owner: str | None = None) -> str:
        """Keep a comparison, put its runs at the end of the queue and return its id at once.

        Raises InputError, or CheckpointError where the reference cannot be drawn.
        """
        self._require_measuring()
        return self.kept_comparisons.start(sweep, self._resolver().resolve, _owner(owner), name)

    def resume_comparison(self, comparison_id: str, *, owner: str | None = None) -> int:
        """Queue the runs that have neither a result nor an open job; returns how many. Raises InputError."""
        self._own_comparison(comparison_id)
        self._require_measuring()
        return self.kept_comparisons.resume(comparison_id, self._resolver().resolve, _owner(owner))

    def comparison(self, comparison_id: str) -> Comparison:
        """What is known of it now. Raises InputError."""
        self._seen_comparison(comparison_id)
        return self.kept_comparisons.open(comparison_id)

    def comparison_folder(self, comparison_id: str) -> Path:
        """Where its report's `images/` are. Raises InputError."""
        self._seen_comparison(comparison_id)
        return self.kept_comparisons.folder(comparison_id)

    def comparison_jobs(self, comparison_id: str) -> tuple[Job, ...]:
        """Its runs in the queue: `job.trial.cell` is the key of the run, state, phase and step say how far it is."""
        self._seen_comparison(comparison_id)
        return self.kept_comparisons.jobs(comparison_id)

    def comparisons(self) -> tuple[Entry, ...]:
        """All that are kept and that whoever asks may see, the newest first."""
        entries, asking = self.kept_comparisons.entries(), viewer.current()
        if asking.only is None:
            return entries
        shared = self.journal.shared("comparison")
        return tuple(entry for entry in entries if asking.may_see(entry.owner) or entry.id in shared)

    def cancel_comparison(self, comparison_id: str) -> int:
        """End its runs and keep what is measured; returns how many were open."""
        self._own_comparison(comparison_id)
        return self.kept_comparisons.cancel(comparison_id)

    def rename_comparison(self, comparison_id: str, name: str) -> None:
        """Raises InputError."""
        self._own_comparison(comparison_id)
        self.kept_comparisons.rename(comparison_id, name)

    def delete_comparison(self, comparison_id: str) -> None:
        """End its runs and remove it with its pictures. Raises InputError."""
        self._own_comparison(comparison_id)
        self.kept_comparisons.delete(comparison_id)

    def predict_sweep(self, sweep: Sweep) -> SweepPrediction:
        """Seconds and peak on the running worker, and the number of runs.

        Before one runs a processor's are known, as far as it was measured; a GPU's are None. Raises InputError,
        CheckpointError where the reference cannot be drawn.
        """
        infos, table = self._infos(), Table.load(self.settings.calibration_path)
        info = infos[0] if infos else processor_info(table) if self._draws_on_a_processor() else None
        return predict_sweep(sweep, self._resolver().resolve, self.catalog.get, info, table)

    def _resolver(self) -> Resolver:
        limits = limits_of(viewer.current())
        return Resolver(self.catalog, self.hub, self.styles, self.default_checkpoint, limits)

    def _checkpoint_names(self) -> frozenset[str]:
        return frozenset(entry.name for entry in self.catalog)

    def _seen_comparison(self, comparison_id: str) -> None:
        """Raises InputError where it is not there, or not for whoever asks."""
        owner, asking = self.kept_comparisons.owner(comparison_id), viewer.current()
        if not asking.may_see(owner) and comparison_id not in self.journal.shared("comparison"):
            raise unknown_comparison(comparison_id)

    def _own_comparison(self, comparison_id: str) -> None:
        if not viewer.current().may_see(self.kept_comparisons.owner(comparison_id)):
            raise unknown_comparison(comparison_id)

    def image_path(self, job: Job) -> Path | None:
        """The picture of a finished job, where it still is on disk."""
        place = self.image_place(job)
        return place if place is not None and place.is_file() else None

    def image_place(self, job: Job) -> Path | None:
        """Where the picture of a finished job is, or was."""
        if job.image is None:
            return None
        if job.trial is None:
            return self.settings.images_dir / job.image
        return self.settings.comparisons_dir / job.trial.comparison / IMAGES / job.image


def _require_owner() -> None:
    if not viewer.current().is_owner:
        raise InputError("Workers are for the owner of this app to drain and resume: ask them.")


def _owner(owner: str | None) -> str:
    return owner if owner is not None else viewer.current().name


def _allowance() -> Allowance:
    """What whoever asks may add to the queue."""
    limits = limits_of(viewer.current())
    return limits.allowance if limits is not None else NO_ALLOWANCE


def catalog() -> Catalog:
    """Every checkpoint that has a name."""
    return Catalog([tiny_checkpoint(tiny.checkpoint_dir()), *hub_checkpoints()])


def presets_dir() -> Path:
    return Path(__file__).resolve().parent.parent / "presets"


def make_folders(settings: Settings) -> None:
    """Create the data folders. Raises InputError where they cannot be written."""
    folders = (
        settings.images_dir,
        settings.previews_dir,
        settings.logs_dir,
        settings.checkpoints_dir,
        settings.weights_dir,
    )
    try:
        for folder in (*folders, settings.temp_dir):
            folder.mkdir(parents=True, exist_ok=True)
        probe = settings.temp_dir / f".probe-{secrets.token_hex(4)}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise InputError(
            f"Data folder {settings.data_dir} cannot be written ({error.strerror}): "
            "choose another with --data-dir, or correct its permissions."
        ) from None
