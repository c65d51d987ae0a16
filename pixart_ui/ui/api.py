"""The HTTP API: Gradio's own, with five named endpoints that `/gradio_api/info` and `Client.view_api()` document.

No endpoint waits for a worker: `submit` puts pictures at the end of the queue and returns their jobs, `status` and
`result` are asked again until they are done. Requests pass the same validator as the form's. An error is one sentence
and nothing else. What stands in the docstrings below is what people read there.
"""

# No postponed annotations here: Gradio reads the types of what an endpoint returns as they stand.

import hashlib
import secrets
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar

import gradio as gr

from pixart_ui.access import viewer
from pixart_ui.errors import InputError, PixArtError, unknown_name
from pixart_ui.forecast import Forecast
from pixart_ui.gallery.plain import plain
from pixart_ui.jobs.job import Job, JobState
from pixart_ui.request import GenerationRequest
from pixart_ui.services import Services
from pixart_ui.ui.api_status import note_refusal
from pixart_ui.ui.edge import guarded
from pixart_ui.ui.result import picture_url

MAX_IDS = 1000
MAX_LISTED = 500
MAX_ID = 2**63 - 1

T = TypeVar("T")


def build_api(services: Services) -> None:
    """Add the endpoints to the page that is being put together."""
    api = Api(services)
    endpoints = {
        "submit": api.submit,
        "status": api.status,
        "result": api.result,
        "cancel": api.cancel,
        "list": api.list_jobs,
    }
    for name, endpoint in endpoints.items():
        gr.api(_telling(endpoint), api_name=name, queue=False, concurrency_limit=None)


def _telling(endpoint: Callable[..., T]) -> Callable[..., T]:
    """Errors become what Gradio sends to a client as they are."""

    @wraps(endpoint)
    def told(*args: Any) -> T:
        return guarded(lambda: endpoint(*args), _refuse)

    return told


def _refuse(error: PixArtError) -> Any:
    if type(error) is not PixArtError:  # that one is our own fault
        note_refusal()
    raise gr.Error(error.message, print_exception=False)


class Api:
    """The endpoints. Whatever they are given may be of any type: Gradio checks nothing."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def submit(
        self,
        prompt: str | None = None,
        negative_prompt: str | None = None,
        style: str | None = None,
        checkpoint: str | None = None,
        precision: str | None = None,
        transformer_precision: str | None = None,
        numerics: str | None = None,
        compile_blocks: bool | None = None,
        width: int | None = None,
        height: int | None = None,
        steps: int | None = None,
        guidance_scale: float | None = None,
        scheduler: str | None = None,
        seed: int | None = None,
        num_images: int | None = None,
        request: dict[str, Any] | None = None,
    ) -> list[int]:
        """Put pictures at the end of the queue and return the numbers of their jobs, one for each picture, at once.

        All but the prompt may be left out. Instead of, or beside, the named fields `request` takes them as one JSON
        object, for example {"prompt": "a red circle", "steps": 20}; a field that is named beside it wins.
        """
        named = {name: value for name, value in locals().items() if name in GenerationRequest.model_fields}
        if request is not None and not isinstance(request, dict):
            raise InputError('Request is not a JSON object: write it like {"prompt": "a red circle"}.', "request")
        values = {**(request or {}), **{name: value for name, value in named.items() if value is not None}}
        jobs = self._services.enqueue([GenerationRequest.parse(values)])
        return [job.id for job in jobs]

    def status(self, job_ids: list[int]) -> list[dict[str, Any]]:
        """Say where jobs are, in the order asked for.

        Each has its `state` (queued, running, done, failed, cancelled), its `position` until a worker takes it,
        its `phase` and `step` while it runs, the `error` if it failed, the address of its `image` once it is done, and
        `start_in` and `finish_in`, predicted seconds from now, where something can be predicted.
        """
        ids = _ids(job_ids)
        found = {job.id: job for job in self._services.journal.jobs(ids=ids, owner=viewer.current().only)}
        # The journal's own sentence for the first that it does not know, or that is somebody else's.
        jobs = [found[id_] if id_ in found else self._services.job(id_) for id_ in ids]
        return self._described(jobs, self._services.journal.places())

    def result(self, job_id: int) -> dict[str, Any]:
        """Give the picture of a job that is done, a PNG with its settings inside; the Python client saves the file."""
        (id_,) = _ids([job_id])
        job = self._services.job(id_)
        path = self._services.image_path(job)
        if path is None:
            raise InputError(_no_picture(job))
        return gr.FileData(path=str(self._as_told(path)), orig_name=path.name, mime_type="image/png").model_dump()

    def _as_told(self, path: Path) -> Path:
        """The picture for whoever asks: others than the owner get it without its settings. Raises InputError.

        However often it is asked for there is one copy, in a folder that nobody can name who does not have it.
        """
        if viewer.current().is_owner:
            return path
        try:
            content = plain(path.read_bytes())
            copy = self._services.settings.temp_dir / "gradio" / hashlib.sha256(content).hexdigest() / path.name
            copy.parent.mkdir(parents=True, exist_ok=True)
            aside = copy.with_name(f".{secrets.token_hex(8)}.part")
            aside.write_bytes(content)
            aside.replace(copy)  # also where it is there: it is new again for whoever tidies up
        except (OSError, ValueError) as error:
            raise InputError(f"The picture {path.name} cannot be read ({error}): submit it again.") from None
        return copy

    def cancel(self, job_ids: list[int]) -> list[int]:
        """Cancel jobs: those that wait at once, those that run at their next step.

        Returns the jobs for which this is news; those that ended already, or are not known, stay as they are.
        """
        return list(self._services.journal.cancel(self._services.own(_ids(job_ids))))

    def list_jobs(
        self, state: str | None = None, text: str | None = None, limit: int = 50, offset: int = 0
    ) -> dict[str, Any]:
        """List jobs: what runs, then what waits in its order, then what ended, the latest first.

        `state` narrows it to queued, running, done, failed or cancelled, `text` to prompts that hold it, in capitals or
        not. Returns the `jobs` from `offset` on, `limit` of them at most (500), and the `total` that there is.
        """
        states = None if state is None else [_state(state)]
        if text is not None and not isinstance(text, str):
            raise InputError(f"Text {_shown(text)} is not text: write what the prompts hold, or leave it out.", "text")
        page = self._services.journal.page(
            states=states,
            text=text,
            owner=viewer.current().only,
            limit=_number(limit, "Limit", 1, MAX_LISTED),
            offset=_number(offset, "Offset", 0, MAX_ID),
        )
        return {"jobs": self._described(page.jobs, page.places), "total": page.total}

    def _described(self, jobs: Sequence[Job], places: Mapping[int, int]) -> list[dict[str, Any]]:
        forecast = self._services.forecast()
        return [self._as_json(job, places.get(job.id), forecast) for job in jobs]

    def _as_json(self, job: Job, position: int | None, forecast: Forecast) -> dict[str, Any]:
        expected = forecast.of(job.id)
        return {
            "id": job.id,
            "state": job.state,
            "position": position,
            "phase": job.phase,
            "step": job.step,
            "start_in": None if expected is None else round(expected.start_in, 1),
            "finish_in": None if expected is None else round(expected.finish_in, 1),
            "image": None if self._services.image_path(job) is None else picture_url(job),
            "error": job.error,
            "owner": job.owner,
            "batch": job.batch,
            "is_cancel_requested": job.is_cancel_requested,
            "created_at": job.created_at,
            "started_at": job.started_at,
            "finished_at": job.finished_at,
            "request": job.request.model_dump(mode="json"),
        }


def _no_picture(job: Job) -> str:
    if job.state is JobState.FAILED:
        return f"Job {job.id} failed: {job.error}"
    if job.state is JobState.CANCELLED:
        return f"Job {job.id} was cancelled, it has no picture: submit it again."
    if job.state is JobState.DONE:
        return f"The picture of job {job.id} is no longer on the server's disk: submit it again with the same seed."
    return f"Job {job.id} is {job.state}, its picture is not there yet: ask for its status until it is done."


def _ids(value: object) -> list[int]:
    """Numbers of jobs as a client sent them. Raises InputError."""
    if not isinstance(value, list) or len(value) > MAX_IDS or not all(_is_whole(entry, 1, MAX_ID) for entry in value):
        raise InputError(
            f"Jobs {_shown(value)} are not job numbers, they must be a list of at most {MAX_IDS:,} whole numbers: "
            "send the list that submit returned.",
            "job_ids",
        )
    return value


def _state(name: object) -> JobState:
    choices = [state.value for state in JobState]
    if name not in choices:
        raise unknown_name("state", str(name), choices, "state")
    return JobState(str(name))


def _number(value: Any, label: str, least: int, most: int) -> int:
    if not _is_whole(value, least, most):
        raise InputError(
            f"{label} {_shown(value)} is not a whole number from {least} to {most}: leave it out.", label.lower()
        )
    return int(value)


def _is_whole(value: object, least: int, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


def _shown(value: object) -> str:
    text = str(value)
    return text if len(text) <= 60 else text[:57] + "…"
