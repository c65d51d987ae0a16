"""The live regions of the System tab. What is the owner's alone is empty for everybody else."""

from __future__ import annotations

from pixart_ui.access import viewer
from pixart_ui.engine.weights import WeightStore
from pixart_ui.services import Services
from pixart_ui.ui import system_checkpoints, system_disk, system_workers
from pixart_ui.ui.moment import Moment
from pixart_ui.ui.system_fits import Fits
from pixart_ui.ui.system_memory import memory
from pixart_ui.ui.system_parts import section
from pixart_ui.ui.words import system as words


class SystemRegions:
    """Safe to use from several threads."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._fits = Fits(services)

    def render(self, now: Moment) -> dict[str, str]:
        services, is_owner = self._services, viewer.current().is_owner
        chores = services.chores.all()
        return {
            "system-memory": memory(now.workers, now.trouble),
            "system-workers": system_workers.workers(services.workers(), may_change=is_owner),
            "system-fits": self._fits.section(now.workers),
            "system-health": system_workers.trends(now.workers),
            "system-checkpoints": system_checkpoints.checkpoints(services, chores, may_change=is_owner),
            **self._owners(is_owner=is_owner),
        }

    def _owners(self, *, is_owner: bool) -> dict[str, str]:
        if not is_owner:
            return {"system-store": "", "system-disk": "", "system-logs": ""}
        services = self._services
        files = WeightStore(services.settings.weights_dir).files()
        return {
            "system-store": system_checkpoints.store(services, files, services.chores.all()),
            "system-disk": system_disk.disk(services.disk.now()),
            "system-logs": _logs(),
        }


def _logs() -> str:
    """The script fetches the text when it is asked for, and keeps it in the box beside."""
    inner = (
        '<div class="actions"><button type="button" class="quiet" data-act="system-logs">'
        f'{words.LOGS_SHOW}</button><label class="tick"><input type="checkbox" class="pick" id="logs-prompts"> '
        f"{words.LOGS_PROMPTS}</label>"
        f'<button type="button" class="quiet" data-act="system-copy" hidden>{words.LOGS_COPY}</button>'
        f'<a class="quiet" id="logs-save" href="/system/report.txt?save=1" download hidden>{words.LOGS_SAVE}</a></div>'
    )
    return section(words.LOGS, inner, intro=words.LOGS_INTRO, css="logs")
