"""What somebody may see and change of the journal. What is not theirs is answered like what is not there."""

from __future__ import annotations

from collections.abc import Sequence

from pixart_ui.access import viewer
from pixart_ui.catalog import Catalog, Checkpoint
from pixart_ui.errors import InputError
from pixart_ui.jobs.job import Job, JobState
from pixart_ui.jobs.journal import Journal
from pixart_ui.jobs.listing import unknown_job


def job(journal: Journal, job_id: int) -> Job:
    """Raises InputError where there is no such job of theirs."""
    found = journal.job(job_id)
    if not viewer.current().may_see(found.owner):
        raise unknown_job(job_id)
    return found


def own(journal: Journal, job_ids: Sequence[int]) -> list[int]:
    """Those of these that are theirs, in the same order; the owner of the app has all."""
    only = viewer.current().only
    if only is None:
        return list(job_ids)
    found = {found.id for found in journal.jobs(ids=job_ids, owner=only)}
    return [job_id for job_id in job_ids if job_id in found]


class Checkpoints(Catalog):
    """Folders of this machine are checkpoints for its owner alone: nobody else looks into one, or learns of it."""

    def get(self, name: str) -> Checkpoint:
        """As every catalog's. Raises InputError for whoever may not name a folder."""
        if name not in self.names and not viewer.current().is_owner:
            raise InputError("A checkpoint here is one of those in the list: choose one of them.", "checkpoint")
        return super().get(name)


def may_see_picture(journal: Journal, name: str) -> bool:
    """Whether the picture of that file name is theirs, or shared to all and not deleted."""
    if is_own_picture(journal, name):
        return True
    picture = journal.picture_named(name)
    return picture is not None and picture.deleted_at is None and journal.is_shared("picture", name)


def is_own_picture(journal: Journal, name: str) -> bool:
    """Whether it is theirs, with what is written into it; the owner of the app has all."""
    asking = viewer.current()
    if asking.only is None:
        return True
    picture = journal.picture_named(name)
    return picture is not None and asking.may_see(picture.owner)


def may_see_preview(journal: Journal, name: str) -> bool:
    """Whether the preview of that file name is of a job of theirs that runs."""
    only = viewer.current().only
    if only is None:
        return True
    return any(running.preview == name for running in journal.jobs(states=[JobState.RUNNING], owner=only))


def require_owner(what: str) -> None:
    """Raises InputError for everybody but the owner of the app; `what` they may not do, as in "pause the queue"."""
    if not viewer.current().is_owner:
        raise InputError(f"Only the owner of this app can {what}: ask them.")
