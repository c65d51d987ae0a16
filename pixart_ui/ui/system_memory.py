"""Memory now: a bar for each device, by component. Reads what workers report; asks no device itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any

from pixart_ui import prediction
from pixart_ui.byte_size import show_bytes
from pixart_ui.jobs.job import WorkerStatus
from pixart_ui.ram import ram
from pixart_ui.ui.system_parts import Share, bar, section
from pixart_ui.ui.words import system as words

# A machine with many devices shows the first of them; the table of workers has all.
MAX_BARS = 8


def memory(workers: Sequence[WorkerStatus], trouble: str | None) -> str:
    if not workers:
        told = trouble if trouble is not None else words.NO_WORKER
        return section(words.MEMORY, f'<p class="hint">{escape(told)}</p>', css="memory")
    known = [worker.info for worker in workers if "trouble" not in worker.info]
    devices = [device for info in known for device in _devices(info)]
    return section(words.MEMORY, "".join(map(_device, devices[:MAX_BARS])) + _ram(known), css="memory")


def _devices(info: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The worker's own, and the second GPU of one that has a pair."""
    yield info
    if "beside" in info:
        yield {**info["beside"], "watch": info.get("watch", {}).get("beside", {})}


def _device(info: Mapping[str, Any]) -> str:
    name, total = str(info.get("name", "")), int(info.get("memory_total_bytes") or 0)
    if not total:
        return f"<h3>{escape(name)}</h3>"
    shares = _shares(info, total)
    free = next(share.nbytes for share in shares if share.kind == "free")
    of = (words.OF_RAM if prediction.is_cpu(info) else words.OF_VRAM).format(
        used=show_bytes(total - free), total=show_bytes(total)
    )
    label = words.BAR_LABEL.format(name=name, parts=", ".join(f"{share.name} {share.amount}" for share in shares))
    budget = info.get("budget_bytes")
    limit = f'<p class="hint">{words.BUDGET.format(size=show_bytes(budget))}</p>' if budget else ""
    return f'<h3>{escape(name)}<span class="num">{of}</span></h3>{bar(shares, label)}{limit}'


def _shares(info: Mapping[str, Any], total: int) -> list[Share]:
    """What the worker holds, then what others do; a part that is nothing keeps its place in the legend.

    On a GPU what is free was measured beside the weights that lie there now, so the parts may be older by a second:
    whatever does not add up counts as others', and never below nothing.
    """
    watch = info.get("watch", {})
    held, components = int(watch.get("held_bytes", 0)), dict(watch.get("components", {}))
    weights = {name: int(components.get(name, 0)) for name in ("text_encoder", "transformer", "vae")}
    rest = max(0, held - sum(weights.values()))
    own = (
        {"engine": rest} if prediction.is_cpu(info) else {"work": rest, "context": int(info.get("context_bytes") or 0)}
    )
    ours = {**weights, **own}
    free = min(int(info.get("memory_free_bytes") or 0), total)
    if prediction.is_cpu(info):
        free = min(ram().available, total)
    free = min(free, max(0, total - sum(ours.values())))
    parts = {**ours, "others": max(0, total - free - sum(ours.values())), "free": free}
    return [Share(kind, words.COMPONENTS[kind], size, show_bytes(size)) for kind, size in parts.items()]


def _ram(known: Sequence[Mapping[str, Any]]) -> str:
    """Beside GPUs: how much RAM is left on this machine."""
    if not known or all(map(prediction.is_cpu, known)):
        return ""
    found = ram()
    return (
        f'<p class="hint">{words.RAM_FREE.format(free=show_bytes(found.available), total=show_bytes(found.total))}.</p>'
    )
