"""Rows of results as text: a line for the terminal, Markdown for the README. Pure: no torch, no files."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from bench import job
from bench.results import Row
from pixart_ui.byte_size import parse_bytes

GIB = 2**30
# What a row of the README's tables says unless it names something else.
SIZE, STEPS, NUM_IMAGES = 1024, 20, 4
REFERENCE = "resident"
MAX_REASON_CHARS = 160
DASH = "–"


def is_ours(row: Row) -> bool:
    return job.is_ours(str(row["strategy"]))


def line(row: Row) -> str:
    """One row for the terminal."""
    name = f"{row['key']:62}"
    if row["error"] is not None:
        return f"{name} {row['error'][:MAX_REASON_CHARS]}"
    if not job.makes_pictures(row["strategy"]):
        return f"{name} {_parts(row)}"
    warm = f", warm {row['warm']['wall_seconds']:.1f} s" if row.get("warm") else ""
    return f"{name} {row['wall_seconds']:7.1f} s {gib(row['peak_reserved_bytes']):>6} GiB reserved{warm}"


def _parts(row: Row) -> str:
    """Of a row that measures no pictures."""
    failed = [f"{part['name']}: {part['error']}" for part in row.get("parts", ()) if part["error"] is not None]
    count = len(row.get("parts", ())) or len(row.get("runs", ()))
    return f"{count} parts" + (f", failed: {'; '.join(failed)}"[:MAX_REASON_CHARS] if failed else "")


def plain(rows: Iterable[Row]) -> str:
    return "\n".join(line(row) for row in rows)


def markdown(rows: Sequence[Row]) -> str:
    """Where and how it was measured, then ours, the peers, and what could not run with the reason."""
    made = [row for row in rows if row["error"] is None and job.makes_pictures(row["strategy"])]
    failed = [row for row in rows if row["error"] is not None]
    parts = [
        _conditions(rows),
        _ours([row for row in made if is_ours(row)]),
        _peers([row for row in made if not is_ours(row)]),
        _failed(failed),
    ]
    return "\n\n".join(part for part in parts if part)


def matrix(rows: Sequence[Row]) -> str:
    """Our engine's budgets by queues: seconds of a cold and of a warm group, and of a picture after them."""
    found = [row for row in rows if is_ours(row) and row["error"] is None and row.get("warm")]
    queues = sorted({row["num_images"] for row in found})
    body = []
    for budget in sorted({str(row["cap"]) for row in found}, key=parse_bytes):
        by_queue = {row["num_images"]: row for row in found if row["cap"] == budget}
        details = by_queue.get(NUM_IMAGES, next(iter(by_queue.values())))["details"]
        body.append(
            (
                budget,
                gib(max(_largest(row, "peak_reserved_bytes") or 0 for row in by_queue.values())),
                *(_cold_and_warm(by_queue.get(number)) for number in queues),
                seconds(details.get("next_new_prompt_seconds")),
                seconds(details.get("next_cached_prompt_seconds")),
            )
        )
    heads = [f"queue of {number}, cold / warm s" for number in queues]
    return markdown_table(("budget", "reserved GiB", *heads, "next, new prompt s", "next, known prompt s"), body)


def _cold_and_warm(row: Row | None) -> str:
    return DASH if row is None else f"{seconds(row['wall_seconds'])} / {seconds(row['warm']['wall_seconds'])}"


def _conditions(rows: Sequence[Row]) -> str:
    found = next((row for row in rows if "versions" in row), None)
    if found is None:
        return ""
    versions = ", ".join(f"{name} {number}" for name, number in found["versions"].items() if number != "absent")
    driver = f", driver {found['driver']}" if found.get("driver") else ""
    return (
        f"Measured on {found['device']}{driver}; {versions}. PixArt-Σ at {SIZE}², {STEPS} steps, "
        f"guidance 4.5, {NUM_IMAGES} prompts where nothing else is said. Each row is a process of its own; its time "
        "runs from after the imports, with the weights in the page cache, to the last picture on disk. Memory is the "
        "peak that torch reserved and allocated; the CUDA context comes on top."
    )


def _ours(rows: Sequence[Row]) -> str:
    body = [
        (
            _budget(row) + _differs(row, has_images=False),
            row["num_images"],
            seconds(row["wall_seconds"]),
            seconds(row["warm"]["wall_seconds"]) if row.get("warm") else DASH,
            seconds(row["first_image_seconds"]),
            _next(row),
            gib(_largest(row, "peak_reserved_bytes")),
            gib(_largest(row, "peak_allocated_bytes")),
        )
        for row in rows
    ]
    head = (
        "PixArt UI, budget",
        "pictures",
        "cold s",
        "warm s",
        "first s",
        "each next s",
        "reserved GiB",
        "allocated GiB",
    )
    return markdown_table(head, body)


def _budget(row: Row) -> str:
    name, _, budget = str(row["strategy"]).partition("@")
    kind = name.removeprefix(job.OURS).removeprefix("-")
    words = [budget, kind, "2K" if row.get("is_2k") else "", f"RAM {row['ram_limit']}" if "ram_limit" in row else ""]
    return ", ".join(word for word in words if word)


def _peers(rows: Sequence[Row]) -> str:
    body = [
        (
            row["description"] + _differs(row, has_images=True) + _cap(row),
            seconds(row["wall_seconds"]),
            seconds(row["load_seconds"]),
            seconds(row["first_image_seconds"]),
            _next(row),
            gib(row["peak_reserved_bytes"]),
            gib(row["peak_allocated_bytes"]),
            gib(row["peak_rss_bytes"]),
            _latents(row, rows),
        )
        for row in rows
    ]
    head = (
        "stock diffusers",
        "s",
        "load s",
        "first s",
        "each next s",
        "reserved GiB",
        "allocated GiB",
        "RAM GiB",
        "latents",
    )
    return markdown_table(head, body)


def _failed(rows: Sequence[Row]) -> str:
    body = [
        (
            (row.get("description") or row["strategy"]) + _differs(row, has_images=True) + _cap(row),
            row["error"].replace("|", "\\|")[:MAX_REASON_CHARS],
        )
        for row in rows
    ]
    return markdown_table(("could not run here", "what it raised"), body, num_left=2)


def markdown_table(head: Sequence[str], body: Sequence[Sequence[Any]], *, num_left: int = 1) -> str:
    """Markdown; the first `num_left` columns are text and the others numbers. Empty without rows."""
    if not body:
        return ""
    rule = ["---" if column < num_left else "---:" for column in range(len(head))]
    return "\n".join("| " + " | ".join(str(cell) for cell in row) + " |" for row in (head, rule, *body))


def _differs(row: Row, *, has_images: bool) -> str:
    """What of the row is not as the heading says."""
    said = [f"{row['size']}²"] if row["size"] != SIZE else []
    if has_images and row["num_images"] != NUM_IMAGES:
        said.append(f"{row['num_images']} picture" + ("s" if row["num_images"] > 1 else ""))
    if row["steps"] != STEPS:
        said.append(f"{row['steps']} steps")
    return f" ({', '.join(said)})" if said else ""


def _cap(row: Row) -> str:
    return f", cap {row['cap']}" if row.get("cap") is not None else ""


def _latents(row: Row, rows: Sequence[Row]) -> str:
    """Whether the latents are bit for bit those of everything resident, where that was measured alike."""
    same_settings = ("size", "steps", "device", "versions")
    for other in rows:
        is_alike = all(other[name] == row[name] for name in same_settings)
        if other["strategy"] == REFERENCE and is_alike and other.get("is_2k") == row.get("is_2k"):
            return equality(row, other)
    return DASH


def equality(row: Row, other: Row) -> str:
    """Of the latents of as many pictures as both have."""
    num = min(len(row["latents_sha256"]), len(other["latents_sha256"]))
    if num == 0:
        return DASH
    return "equal" if row["latents_sha256"][:num] == other["latents_sha256"][:num] else "differ"


def _next(row: Row) -> str:
    """The mean of every picture after the first."""
    found = row["next_image_seconds"]
    return seconds(sum(found) / len(found)) if found else DASH


def _largest(row: Row, name: str) -> int | None:
    """Of the cold group and the warm one."""
    values = [group[name] for group in (row, row.get("warm") or row) if group[name] is not None]
    return max(values, default=None)


def seconds(value: float | None) -> str:
    """Two digits after the point below ten, then one."""
    return DASH if value is None else f"{value:.2f}" if value < 10 else f"{value:.1f}"


def gib(count: int | None) -> str:
    """The same for bytes."""
    return DASH if count is None else f"{count / GIB:.2f}" if count < 10 * GIB else f"{count / GIB:.1f}"
