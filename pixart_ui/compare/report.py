"""A comparison on disk: `report.html`, `report.json`, `report.csv`, `figure.png` and `images/` in one folder.

`report.json` is the comparison itself and can be read back; the others are made from it. A file is written aside and
renamed, so no reader sees half of one, and the JSON comes after the pictures that it names. A report is somebody
else's file when it is read: only our format, and only names of pictures inside its own folder.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
from pathlib import Path

from pydantic import ValidationError

from pixart_ui.compare.comparison import FORMAT, IMAGES, Comparison
from pixart_ui.compare.table import as_csv
from pixart_ui.errors import DiskFullError, InputError

JSON_NAME, HTML_NAME, CSV_NAME, FIGURE_NAME = "report.json", "report.html", "report.csv", "figure.png"
MAX_JSON_BYTES = 256 * 2**20


def write(comparison: Comparison, folder: Path, pictures: Path | None = None) -> Path:
    """Write the whole report; returns the HTML file. `pictures` is where `images/` is now, if not in `folder`.

    A picture that is not there is left out and said to be. Raises DiskFullError, InputError for a folder that cannot
    be written.
    """
    from pixart_ui.compare import drawing, report_page

    try:
        (folder / IMAGES).mkdir(parents=True, exist_ok=True)
        if pictures is not None:
            _copy_pictures(comparison, pictures, folder)
        save_json(comparison, folder)
        write_aside(folder / CSV_NAME, as_csv(comparison).encode("utf-8-sig"))
        figure = drawing.guides_figure(comparison, folder)
        write_aside(folder / FIGURE_NAME, figure)
        write_aside(folder / HTML_NAME, report_page.render(comparison, folder, figure).encode())
    except OSError as error:
        raise _cannot_write(folder, error) from None
    return folder / HTML_NAME


def save_json(comparison: Comparison, folder: Path) -> None:
    """Only `report.json`: what is known so far, while a comparison runs."""
    write_aside(folder / JSON_NAME, (comparison.model_dump_json(indent=1) + "\n").encode())


def read(path: Path) -> Comparison:
    """The comparison of a report; `path` is its folder or its `report.json`. Raises InputError with one sentence."""
    file = path / JSON_NAME if path.is_dir() else path
    comparison = _parse(file)
    for result in comparison.results:
        for name in (result.image, result.heat_map):
            _check_inside(file.parent, name)
    return comparison


def write_aside(path: Path, content: bytes) -> None:
    """Write to another name and rename. Raises OSError."""
    aside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with aside.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)


def _copy_pictures(comparison: Comparison, source: Path, folder: Path) -> None:
    for result in comparison.results:
        for name in (result.image, result.heat_map):
            if name is None or not (source / name).is_file() or (source / name).resolve() == (folder / name).resolve():
                continue
            aside = folder / f"{name}.{os.getpid()}.part"
            shutil.copyfile(source / name, aside)
            aside.replace(folder / name)


def _parse(file: Path) -> Comparison:
    document = _read_document(file)
    if document.get("format") != FORMAT:
        raise InputError(
            f"Report {file.name} has format {str(document.get('format'))[:20]}, this version reads {FORMAT}: "
            "make the comparison again, or use the version that wrote it."
        )
    try:
        return Comparison.model_validate(document)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])[:80]
        raise InputError(
            f"Report {file.name} is damaged ({where}: {first['msg']}): choose a report that this app wrote, unchanged."
        ) from None


def _read_document(file: Path) -> dict[str, object]:
    try:
        if file.stat().st_size > MAX_JSON_BYTES:
            raise InputError(
                f"Report {file.name} has {file.stat().st_size // 2**20} MiB, a report may have "
                f"{MAX_JSON_BYTES // 2**20}: choose a report.json that this app wrote."
            )
        document = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"Report {str(file)!r} does not exist: give a report.json, or the folder of one.") from None
    except (OSError, ValueError, RecursionError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not JSON"
        raise InputError(f"Report {file.name} cannot be read ({reason}): choose a report.json of this app.") from None
    if not isinstance(document, dict):
        raise InputError(f"Report {file.name} is not a report, it must be a JSON object: choose a report.json.")
    return document


def _check_inside(folder: Path, name: str | None) -> None:
    """The name is inside by its spelling (see `comparison.py`); a link must not lead outside either."""
    if name is None:
        return
    root = folder.resolve()
    if not (folder / name).resolve().is_relative_to(root):
        raise InputError(
            f"The report's picture {name!r} is a link that leads out of its folder: "
            "choose a report that this app wrote, unchanged."
        )


def _cannot_write(folder: Path, error: OSError) -> InputError | DiskFullError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DiskFullError(f"The report does not fit on the disk of {folder}: free some space and try again.")
    return InputError(f"The report cannot be written to {folder} ({error.strerror}): choose another folder.")
