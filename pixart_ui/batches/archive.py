"""A ZIP of pictures as a stream: no file of its own, and no more memory for a thousand pictures than for one.

They are stored, not deflated: a PNG does not shrink. What must stay true: the archive is whole and readable whatever
becomes of the files meanwhile, and it says what is not in it.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath

from pixart_ui.gallery.plain import plain

CHUNK_BYTES = 1 << 20
MISSING = "MISSING.txt"


def zip_stream(files: Iterable[tuple[str, Path]], *, is_plain: bool = False) -> Iterator[bytes]:
    """A ZIP with those files under those names; `MISSING.txt` in it names those that are not there or not readable.

    Of several with the same name, the later ones are numbered. `is_plain` leaves out what is written into the pictures.
    """
    sink = _Sink()
    missing: list[str] = []
    taken = {MISSING.casefold()}
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_STORED) as archive:  # type: ignore[call-overload]
        for name, path in files:
            name = _free(name, taken)
            try:
                yield from _add(archive, sink, name, path, is_plain=is_plain)
            except OSError as error:
                missing.append(f"{name}: {error.strerror if error.strerror is not None else error}")
            except ValueError as error:
                missing.append(f"{name}: {error}")
        if missing:
            archive.writestr(MISSING, "".join(f"{line}\n" for line in missing))
    yield sink.take()


class _Sink:
    """Where an archive is written to and taken from, a piece at a time. It cannot go back, and says so."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def write(self, data: bytes) -> int:
        self._pieces.append(bytes(data))
        return len(data)

    def flush(self) -> None:
        """Nothing waits elsewhere."""

    def take(self) -> bytes:
        data = b"".join(self._pieces)
        self._pieces.clear()
        return data


def _add(archive: zipfile.ZipFile, sink: _Sink, name: str, path: Path, *, is_plain: bool) -> Iterator[bytes]:
    """Copy one file into the archive. Raises OSError or ValueError; what was copied by then is closed."""
    if is_plain:
        archive.writestr(zipfile.ZipInfo.from_file(path, name, strict_timestamps=False), plain(path.read_bytes()))
        yield sink.take()
        return
    with path.open("rb") as file:
        # Size and date come first, so that only an entry that needs it has the long form.
        info = zipfile.ZipInfo.from_file(path, name, strict_timestamps=False)
        with archive.open(info, "w") as entry:
            while data := file.read(CHUNK_BYTES):
                entry.write(data)
                yield sink.take()


def _free(name: str, taken: set[str]) -> str:
    """The name, numbered if another file has it; upper and lower case are the same to some systems."""
    path, number = PurePosixPath(name), 1
    while name.casefold() in taken:
        number += 1
        name = str(path.with_name(f"{path.stem}-{number}{path.suffix}"))
    taken.add(name.casefold())
    return name
