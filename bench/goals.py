"""The figures that the project set itself, from the rows of one file: ours, stock diffusers beside it, what is wanted.

Pure: no torch, no files. A figure whose rows are not there yet is left out; a peer that is not there is a dash.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench import table
from bench.job import COMPILED, EXACT, OURS, OURS_LEAKS, OURS_T5, STOCK_T5, is_ours
from bench.results import Results, Row
from bench.table import DASH, gib, seconds

MIB = 2**20
REFERENCE = "resident"


@dataclass(frozen=True)
class Figure:
    """One line of the table."""

    what: str
    peer: str
    ours: str
    wanted: str


HEAD = Figure("what", "stock diffusers", "PixArt UI", "wanted")


def plain(results: Results) -> str:
    """For the terminal; empty without figures."""
    lines = [HEAD, *figures(results)]
    if len(lines) == 1:
        return ""
    widths = [max(len(cell) for cell in column) for column in zip(*map(_cells, lines), strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(_cells(line), widths, strict=True)).rstrip()
        for line in lines
    )


def markdown(results: Results) -> str:
    """For the README; empty without figures."""
    return table.markdown_table(_cells(HEAD), [_cells(figure) for figure in figures(results)], num_left=4)


def figures(results: Results) -> list[Figure]:
    rows = _Rows(results.rows)
    return [
        figure
        for find in (_smallest, _cold, _warm, _t5, _store, _two_k, _queue, _claims, _laptop, _latents, _leaks)
        for figure in find(rows)
    ] + list(_predicted(results))


class _Rows:
    """Finished rows by strategy. At the size and with the steps of most of them, unless something else is named."""

    def __init__(self, rows: Sequence[Row]) -> None:
        self.all = [row for row in rows if row["error"] is None]

    def get(
        self, strategy: str, num_images: int | None = None, *, is_2k: bool = False, ram: bool = False
    ) -> Row | None:
        for row in self.all:
            is_alike = row["strategy"] == strategy and bool(row.get("is_2k")) == is_2k and ("ram_limit" in row) == ram
            if is_alike and num_images in (None, row["num_images"]):
                return row
        return None

    def part(self, strategy: str, name: str) -> Row | None:
        row = self.get(strategy)
        for part in row["parts"] if row is not None else ():
            if part["name"] == name and part["error"] is None:
                return dict(part)
        return None


def _smallest(rows: _Rows) -> Iterator[Figure]:
    ours, staged = rows.get(f"{EXACT}@0.7GiB"), rows.get("staged")
    if ours is not None:
        same = DASH if staged is None else table.equality(ours, staged)
        yield Figure(
            "smallest peak reserved, latents against staged",
            _peak(rows.get("group-leaf-tiling")),
            f"{_peak(ours)}, {same}",
            "0.9 GiB, equal",
        )


def _cold(rows: _Rows) -> Iterator[Figure]:
    peers = {"1GiB": None, "2GiB": "group-leaf-tiling", "8GiB": "staged-max-memory", "24GiB": "staged"}
    wanted = {"1GiB": "7 s", "2GiB": "5.2 s", "8GiB": "4.7 s", "24GiB": "4.7 s"}
    for budget, peer in peers.items():
        ours = rows.get(f"{OURS}@{budget}", 4)
        if ours is not None:
            other = rows.get(peer) if peer is not None else None
            yield Figure(f"queue of 4, cold, {budget}", _wall_in(other), _wall_in(ours), wanted[budget])


def _warm(rows: _Rows) -> Iterator[Figure]:
    new, peer = rows.get(f"{OURS}@2GiB", 4), rows.get("group-leaf-tiling")
    if new is not None:
        own = seconds(_detail(new, "next_new_prompt_seconds"))
        yield Figure("next image, warm, new prompt, 2GiB", _next(peer), f"{own} s", "1.25 s")
    for kind, way, wanted in (
        (EXACT, "exact", "0.86 s"),
        (OURS, "fast", "0.72 s"),
        (COMPILED, "fast, compiled", "0.72 s"),
    ):
        cached = rows.get(f"{kind}@24GiB", 4)
        if cached is not None:
            own = seconds(_detail(cached, "next_cached_prompt_seconds"))
            name = f"next image, warm, cached prompt, {way}"
            yield Figure(name, _next(rows.get(REFERENCE)), f"{own} s", wanted)


def _t5(rows: _Rows) -> Iterator[Figure]:
    stock = rows.part(STOCK_T5, "fp16")
    for name, numerics in (("fp16 streamed, 1.2 GiB", "fast"), ("fp16 streamed, 1.2 GiB, exact", "exact")):
        part = rows.part(OURS_T5, name)
        if part is not None:
            yield Figure(
                f"T5 of 4 new prompts, fp16, {numerics}, warm", _encode(stock), _encode(part), "0.40 s, 1.2 GiB"
            )
    part, stock = rows.part(OURS_T5, "nf4 streamed, least"), rows.part(STOCK_T5, "nf4")
    if part is not None:
        yield Figure("T5 in nf4, streamed in the least", _encode(stock), _encode(part), "0.7 GiB")


def _store(rows: _Rows) -> Iterator[Figure]:
    for precision, wanted in (("int8", "1.0 s"), ("nf4", "0.7 s"), ("fp16", "")):
        part, stock = rows.part(OURS_T5, f"{precision} whole"), rows.part(STOCK_T5, precision)
        if part is not None:
            peer = DASH if stock is None else f"{seconds(stock['load_seconds'])} s"
            yield Figure(f"T5 in {precision} ready, whole", peer, f"{seconds(part['first']['seconds'])} s", wanted)


def _two_k(rows: _Rows) -> Iterator[Figure]:
    for kind in (OURS, EXACT):
        ours, peer = rows.get(f"{kind}@1.5GiB", is_2k=True), rows.get("vae-tiling", is_2k=True)
        if ours is not None:
            times = f", {_next_seconds(ours) / _next_seconds(peer):.2f} ×" if peer is not None else ""
            name = f"2K, {ours['numerics']}: peak, each next image"
            own = f"{_peak(ours)}, {_next(ours)}{times}"
            yield Figure(name, f"{_peak(peer)}, {_next(peer)}", own, "1.5 GiB, 1.15 ×")


def _queue(rows: _Rows) -> Iterator[Figure]:
    """Encoding once and a constant for each image: how far the queue of one lies from the line through 4 and 32."""
    found = {count: rows.get(f"{OURS}@8GiB", count) for count in (1, 4, 32)}
    walls = {count: row["wall_seconds"] for count, row in found.items() if row is not None}
    if len(walls) == 3:
        each = (walls[32] - walls[4]) / 28
        beside = walls[1] / (walls[4] - 3 * each) - 1
        shown = " / ".join(f"{wall:.1f}" for wall in walls.values())
        yield Figure("queue of 1 / 4 / 32", DASH, f"{shown} s, one is {beside:+.1%} off the line", "3 %")


def _claims(rows: _Rows) -> Iterator[Figure]:
    claims = ((f"{OURS}@6.4GB", "staged fp16"), ("ours-int8@8GB", "8-bit T5"), ("ours-nf4@7GB", "4-bit T5"))
    peers = ("staged", "staged-int8", "staged-nf4")
    for (strategy, name), peer in zip(claims, peers, strict=True):
        ours = rows.get(strategy)
        if ours is not None:
            claim = strategy.partition("@")[2]
            yield Figure(f"queue of 4, {name}", _wall_in(rows.get(peer)), _wall_in(ours), f"{claim} claimed")


def _laptop(rows: _Rows) -> Iterator[Figure]:
    ours = rows.get(f"{OURS}@4GiB", ram=True)
    if ours is not None:
        rate, read = ours["disk_bytes_a_second"], ours["disk_bytes_read"]
        disk = f"; disk {rate / 1e9:.2f} GB/s" if rate else ""
        times = f", {read / 1e9:.1f} GB read ({read / rate:.1f} s of it)" if rate and read else ""
        own = f"{_wall_in(ours)}{disk}{times}; RAM: {ours['ram_limit']}"
        yield Figure("laptop: 12 GB RAM, from disk, 4GiB", DASH, own, "works")


def _latents(rows: _Rows) -> Iterator[Figure]:
    """Of each numerics, one set of latents at all budgets; in `exact` those of stock diffusers."""
    for kind in (OURS, EXACT):
        names = (kind, REFERENCE) if kind == EXACT else (kind,)
        alike = [row for row in rows.all if row["strategy"].partition("@")[0] in names]
        sets = {group: [row for row in alike if _settings(row) == group] for group in map(_settings, alike)}
        words = {table.equality(first, other) for first, *others in sets.values() for other in others}
        count = sum(len(found) for found in sets.values() if len(found) > 1)
        if words:
            name = f"latents of {count} rows, {'exact and stock' if kind == EXACT else 'fast'}"
            yield Figure(name, DASH, "equal" if words == {"equal"} else "differ", "equal")


def _leaks(rows: _Rows) -> Iterator[Figure]:
    row = rows.get(f"{OURS_LEAKS}@2GiB")
    if row is None:
        return
    first, last = row["runs"][0], row["runs"][-1]
    rss = (last["rss_bytes"] - row["runs"][min(9, len(row["runs"]) - 1)]["rss_bytes"]) / MIB
    reserved = [run["reserved_bytes"] for run in (first, last)]
    vram = DASH if None in reserved else " then ".join(f"{count / MIB:.0f}" for count in reserved) + " MiB"
    failed = sum(run["error"] is not None for run in row["runs"])
    own = f"{vram}, RSS {rss:+.0f} MiB since the tenth" + (f", {failed} failed" if failed else "")
    yield Figure(f"VRAM after the first and the last of {len(row['runs'])} mixed runs", DASH, own, "16 MiB, 50 MiB")


def _predicted(results: Results) -> Iterator[Figure]:
    """Over all groups of ours and all parts of T5: measured peak against the one that its plan said before."""
    found = dict(_peaks(results))
    if found:
        least, most = min(found, key=lambda name: found[name]), max(found, key=lambda name: found[name])
        own = f"{found[least] - 1:+.1%} ({least}) to {found[most] - 1:+.1%} ({most})"
        yield Figure("measured peak against predicted", DASH, own, "5 %")


def _peaks(results: Results) -> Iterator[tuple[str, float]]:
    for row in results.rows:
        if row["error"] is not None or not is_ours(row["strategy"]):
            continue
        for name, group in (row.get("details") or {}).items():
            peaks = [phase["peak_reserved_bytes"] for phase in group["phases"]] if isinstance(group, dict) else []
            if all(peaks) and peaks:
                yield f"{row['strategy']}, {name}", max(peaks) / group["predicted"]["predicted_peak_bytes"]
        for part in row.get("parts", ()):
            first = part.get("first") or {}
            encode = _encode_phase(first.get("predicted", {}))
            if part["error"] is None and encode is not None and first["peak_reserved_bytes"]:
                yield f"T5 {part['name']}", first["peak_reserved_bytes"] / encode["predicted_peak_bytes"]


def _encode_phase(prediction: Mapping[str, Any]) -> Mapping[str, Any] | None:
    return next((phase for phase in prediction.get("phases", ()) if phase["phase"] == "encode"), None)


# Words


def _cells(figure: Figure) -> tuple[str, str, str, str]:
    return figure.what, figure.peer, figure.ours, figure.wanted


def _settings(row: Row) -> tuple[Any, ...]:
    return row["size"], row["steps"], bool(row.get("is_2k"))


def _if_there(row: Row | None, words: Callable[[Row], str]) -> str:
    return DASH if row is None else words(row)


def _peak(row: Row | None) -> str:
    return _if_there(row, lambda row: f"{gib(row['peak_reserved_bytes'])} GiB")


def _wall_in(row: Row | None) -> str:
    return _if_there(row, lambda row: f"{seconds(row['wall_seconds'])} s in {gib(row['peak_reserved_bytes'])} GiB")


def _encode(part: Row | None) -> str:
    return _if_there(part, lambda part: f"{part['warm_seconds']:.2f} s in {gib(part['peak_reserved_bytes'])} GiB")


def _next_seconds(row: Row) -> float:
    return float(sum(row["next_image_seconds"]) / len(row["next_image_seconds"]))


def _next(row: Row | None) -> str:
    return _if_there(row, lambda row: f"{seconds(_next_seconds(row))} s" if row["next_image_seconds"] else DASH)


def _detail(row: Row, name: str) -> float | None:
    value = (row.get("details") or {}).get(name)
    return None if value is None else float(value)
