"""What was measured on a device, and what it says about sizes that were not: a small JSON table, no torch.

A *kind* names what was measured in words with slashes between, such as `denoise/1152x28/fp16/fast/batch2`; its first
two words are the phase and the architecture. Under a kind lie points: x (pixels, or tokens of a text), the bytes that
the phase took beside weights, and the seconds of one text, step or picture. Predictions come from the points where
there are any, and else from a formula that the caller gives.

The values are frozen: learning makes a new one. The file is only a cache; one that cannot be read counts as empty.
"""

from __future__ import annotations

import json
import logging
import os
from bisect import bisect_left
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

FORMAT_VERSION = 1
MAX_POINTS, MAX_KINDS, MAX_DEVICES = 16, 64, 16
MAX_FILE_BYTES = 4_000_000
# What a first prediction of bytes adds to the formula; measured values get nothing added.
SAFETY = 1.1
# A smaller measurement lowers a known peak or rate by this part of the difference only; a larger one counts at once.
DOWNWARD = 1 / 4
# Of seconds it is the other way round: a process's first picture, with kernels that are cold, and a busy machine take
# longer than is usual, and nothing takes less.
UPWARD = 1 / 4
# Fewer bytes say little of a disk's speed. Up to the first share of them from the disk counts as none, from the second
# on the disk is what was waited for.
MIN_READ_BYTES = 64 * 2**20
CACHED_SHARE, DISK_SHARE = 0.02, 0.5

Formula = Callable[[int], float]
Number = TypeVar("Number", int, float)
Value = TypeVar("Value")
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Point:
    """What was measured at one x; None where it was not."""

    x: int
    activation_bytes: int | None = None
    seconds: float | None = None


@dataclass(frozen=True)
class Estimate:
    """A prediction. `is_measured` says that a point of its own kind stands behind it."""

    value: float
    is_measured: bool


@dataclass(frozen=True)
class Rates:
    """Bytes a second: host to device, file to host memory where the disk gives it, and where the page cache does.

    `compute` is what a processor reaches in fp32, in operations a second.
    """

    link: float | None = None
    disk: float | None = None
    host: float | None = None
    compute: float | None = None


@dataclass(frozen=True)
class Reads:
    """Bytes that were read in so many seconds; `disk_bytes` of them came from the disk, None where nobody counts."""

    nbytes: int
    seconds: float
    disk_bytes: int | None


@dataclass(frozen=True)
class Calibration:
    """What is known of one device.

    `pace` is measured / expected seconds, by phase and architecture; `kernels` names the attention kernels that were
    chosen by measuring, by the shape that they were measured with.
    """

    points: Mapping[str, tuple[Point, ...]] = field(default_factory=dict)
    rates: Rates = field(default_factory=Rates)
    pace: Mapping[str, float] = field(default_factory=dict)
    kernels: Mapping[str, str] = field(default_factory=dict)

    def predict_bytes(self, kind: str, x: int, formula: Formula) -> Estimate:
        """The measured bytes; elsewhere the formula, scaled by measured / formula of the nearest points."""
        known = {point.x: float(point.activation_bytes) for point in self._of(kind) if point.activation_bytes}
        if not known:
            return Estimate(formula(x) * SAFETY, is_measured=False)
        return Estimate(known.get(x, self._scaled(known, x, formula)), is_measured=True)

    def predict_seconds(self, kind: str, x: int, formula: Formula) -> Estimate:
        """As for bytes; where nothing of the kind is known, the pace of others of its phase."""
        known = {point.x: point.seconds for point in self._of(kind) if point.seconds}
        if not known:
            return Estimate(formula(x) * self.pace.get(_family(kind), 1.0), is_measured=False)
        return Estimate(known.get(x, self._scaled(known, x, formula)), is_measured=True)

    def learn(
        self, kind: str, x: int, *, activation_bytes: int | None, seconds: float | None, formula: Formula
    ) -> Calibration:
        """With one more measurement; `formula` is the one for seconds. None, or nothing, leaves what was known."""
        known = {point.x: point for point in self._of(kind)}
        before = known.pop(x, Point(x))
        point = Point(
            x,
            _upper(before.activation_bytes, activation_bytes),
            _usual(before.seconds, seconds),
        )
        points = dict(self.points)
        points.pop(kind, None)  # the newest last, so that the oldest is what is forgotten
        points[kind] = (*known.values(), point)[-MAX_POINTS:]
        pace = dict(self.pace)
        if point.seconds and formula(x) > 0:
            pace[_family(kind)] = point.seconds / formula(x)
        return replace(self, points=_last(points, MAX_KINDS), pace=_last(pace, MAX_KINDS))

    def learn_rates(
        self, *, link: float | None = None, disk: float | None = None, host: float | None = None
    ) -> Calibration:
        """With rates that transfers reached, in bytes a second. What waited for something else reaches less."""
        old = self.rates
        rates = replace(old, link=_upper(old.link, link), disk=_upper(old.disk, disk), host=_upper(old.host, host))
        return replace(self, rates=rates)

    def learn_compute(self, rate: float) -> Calibration:
        """With a processor's rate. Paces are told by it, so only what knows nothing else takes it, and keeps it."""
        is_new = self.rates.compute is None and not self.points
        return replace(self, rates=replace(self.rates, compute=rate)) if is_new else self

    def learn_reads(self, reads: Reads) -> Calibration:
        """With the rate of reads that came from the disk for the most part, or all from the page cache."""
        if reads.disk_bytes is None or reads.nbytes < MIN_READ_BYTES or reads.seconds <= 0:
            return self
        share, rate = min(1.0, reads.disk_bytes / reads.nbytes), reads.nbytes / reads.seconds
        if share <= CACHED_SHARE:
            return self.learn_rates(host=rate)
        # The cached part takes a small part of the time, and none of the disk's.
        return self.learn_rates(disk=share * rate) if share >= DISK_SHARE else self

    def learn_kernel(self, shape: str, name: str) -> Calibration:
        """With the kernel that was chosen for that shape: it stays, so that pictures can be made again."""
        return replace(self, kernels=_last({**self.kernels, shape: name}, MAX_KINDS))

    def taking(self, other: Calibration, phase: str) -> Calibration:
        """With what another knows of that phase."""
        points = {kind: known for kind, known in other.points.items() if kind.startswith(f"{phase}/")}
        pace = {family: ratio for family, ratio in other.pace.items() if family.startswith(f"{phase}/")}
        return replace(
            self, points=_last({**self.points, **points}, MAX_KINDS), pace=_last({**self.pace, **pace}, MAX_KINDS)
        )

    def with_kernels(self, kernels: Mapping[str, str]) -> Calibration:
        """With those that another worker chose on such a device: they win."""
        return replace(self, kernels=_last({**self.kernels, **kernels}, MAX_KINDS))

    @staticmethod
    def _scaled(known: Mapping[int, float], x: int, formula: Formula) -> float:
        return formula(x) * _between({at: _ratio(known, at, formula) for at in known}, x)

    def _of(self, kind: str) -> tuple[Point, ...]:
        return self.points.get(kind, ())


@dataclass(frozen=True)
class Table:
    """The calibrations of all devices that worked with this data folder, by `device_key`, newest last."""

    devices: Mapping[str, Calibration] = field(default_factory=dict)

    def of(self, key: str) -> Calibration:
        return self.devices.get(key, Calibration())

    def having(self, key: str, calibration: Calibration) -> Table:
        others = {name: value for name, value in self.devices.items() if name != key}
        return Table(_last(others | {key: calibration}, MAX_DEVICES))

    @classmethod
    def load(cls, path: Path) -> Table:
        """Read the file; empty where there is none or where it is damaged."""
        try:
            if path.stat().st_size > MAX_FILE_BYTES:
                raise ValueError("it is too large")
            return _read_table(json.loads(path.read_text(encoding="utf-8")))
        except FileNotFoundError:
            return cls()
        except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            log.warning("%s is left aside, measuring begins anew: %s", path, error)
            return cls()

    def save(self, path: Path) -> None:
        """Write beside the file, then rename. Raises OSError."""
        value = {"version": FORMAT_VERSION, "devices": {key: _as_json(value) for key, value in self.devices.items()}}
        aside = path.with_name(f".{path.name}.{os.getpid()}")
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            aside.write_text(json.dumps(value, indent=1, allow_nan=False), encoding="utf-8")
            aside.replace(path)
        finally:
            aside.unlink(missing_ok=True)


def device_key(name: str, total_bytes: int, torch_version: str) -> str:
    """What one calibration holds for: the same card with another torch takes other memory and other time."""
    return f"{name} | {total_bytes} | {torch_version}"


def _family(kind: str) -> str:
    return "/".join(kind.split("/")[:2])


def _ratio(known: Mapping[int, float], x: int, formula: Formula) -> float:
    expected = formula(x)
    return known[x] / expected if expected > 0 else 1.0


def _between(known: Mapping[int, float], x: int) -> float:
    """Straight between the points around x; outside of all the nearest one's value."""
    places = sorted(known)
    index = bisect_left(places, x)
    if index in (0, len(places)):
        return known[places[min(index, len(places) - 1)]]
    left, right = places[index - 1], places[index]
    return known[left] + (known[right] - known[left]) * (x - left) / (right - left)


def _upper(known: Number | None, measured: Number | None) -> Number | None:
    if known is None or measured is None:
        return known if measured is None else measured
    return measured if measured >= known else type(known)(known - (known - measured) * DOWNWARD)


def _usual(known: float | None, measured: float | None) -> float | None:
    if known is None or measured is None:
        return known if measured is None else measured
    return measured if measured <= known else known + (measured - known) * UPWARD


def _last(table: Mapping[str, Value], count: int) -> dict[str, Value]:
    return dict(list(table.items())[-count:])


def _as_json(calibration: Calibration) -> dict[str, Any]:
    return {
        "rates": asdict(calibration.rates),
        "pace": dict(calibration.pace),
        "kernels": dict(calibration.kernels),
        "points": {kind: [asdict(point) for point in points] for kind, points in calibration.points.items()},
    }


def _read_table(value: Any) -> Table:
    if value["version"] != FORMAT_VERSION:
        raise ValueError(f"its version is {value['version']!r}")
    return Table(_last({str(key): _read_calibration(entry) for key, entry in value["devices"].items()}, MAX_DEVICES))


def _read_calibration(value: Mapping[str, Any]) -> Calibration:
    points = {str(kind): tuple(_read_point(entry) for entry in entries) for kind, entries in value["points"].items()}
    rates = Rates(**{name: _positive(rate) for name, rate in value["rates"].items()})
    pace = {str(name): _needed(ratio) for name, ratio in value["pace"].items()}
    kernels = {str(shape): str(name) for shape, name in value.get("kernels", {}).items()}
    return Calibration(points, rates, pace, kernels)


def _read_point(value: Mapping[str, Any]) -> Point:
    activation = _positive(value["activation_bytes"])
    return Point(int(_needed(value["x"])), None if activation is None else int(activation), _positive(value["seconds"]))


def _needed(value: Any) -> float:
    number = _positive(value)
    if number is None:
        raise ValueError("a number is missing")
    return number


def _positive(value: Any) -> float | None:
    if value is None:
        return None
    number = float(value)
    if not 0 < number < 1e18:
        raise ValueError(f"it holds the number {number}")
    return number
