"""`plan`: what a picture would take, phase by phase, on a card with so much memory, and why it would be made that way.

It needs no card, no weights and no network: published checkpoints are known by their shapes, local ones by the headers
of their files. Without --vram it tells what fits in how much. Seconds are those of the one device that was measured in
this data folder, or of a middling card where none was.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pixart_ui.byte_size import GIB, parse_bytes, show_bytes
from pixart_ui.engine import planner
from pixart_ui.engine.calibration import Calibration, Table
from pixart_ui.engine.costs import GPU_GRAIN_BYTES, Demand, Limits
from pixart_ui.errors import BudgetTooSmall
from pixart_ui.events import Plan
from pixart_ui.prediction import demand_of
from pixart_ui.request import GenerationRequest, ResolvedRequest, parse_size, resolve
from pixart_ui.services import catalog
from pixart_ui.settings import Settings

DEFAULT_CHECKPOINT = "sigma-1024"
BUDGETS = tuple(count * GIB for count in (1, 2, 3, 4, 6, 8, 12, 24))
# Flags that make up a request, by the request's field; `generate` has the same.
REQUEST_FLAGS: Mapping[str, tuple[tuple[str, ...], str, str]] = {
    "checkpoint": (("--checkpoint",), "NAME|FOLDER", f"which checkpoint (default: {DEFAULT_CHECKPOINT})"),
    "precision": (("--precision",), "NAME", "of the text encoder: fp16, bf16, int8, nf4 or fp4"),
    "transformer_precision": (
        ("--transformer-precision",),
        "NAME",
        "of the transformer: fp16, bf16, fp8, int8 or nf4 (default: bf16 beside a bf16 text encoder, else fp16)",
    ),
    "numerics": (("--numerics",), "NAME", "exact or fast"),
    "steps": (("--steps",), "N", "denoising steps"),
    "size": (("--size",), "WxH", "in pixels, for example 1024x1024"),
    "guidance_scale": (("--guidance",), "X", "how closely to follow the prompt, for example 4.5"),
    "num_images": (("--images", "--num-images"), "N", "pictures of one prompt, one after the other"),
}


def add_parser(
    subparsers: argparse._SubParsersAction[argparse.ArgumentParser], parents: Sequence[argparse.ArgumentParser]
) -> None:
    parser = subparsers.add_parser(
        "plan", parents=parents, help="what a picture would take, in memory and time", description=__doc__
    )
    for field, (flags, metavar, text) in REQUEST_FLAGS.items():
        parser.add_argument(*flags, dest=field, metavar=metavar, help=text)
    parser.add_argument(
        "--vram", metavar="SIZE", help="what may be used of the card, for example 6GiB (default: a table)"
    )
    parser.add_argument("--ram", metavar="SIZE", help="the machine's memory (default: enough for all weights)")
    parser.add_argument("--device", help="cpu plans for a processor, whose memory --vram then is")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=run)


def run(settings: Settings, args: argparse.Namespace) -> int:
    question = Question.of(args, is_cpu=settings.device == "cpu")
    device, calibration = _known_device(settings)
    limits = Limits(
        budget_bytes=parse_bytes(args.vram, "--vram") if args.vram is not None else 0,
        is_cpu=question.is_cpu,
        grain_bytes=1 if question.is_cpu else GPU_GRAIN_BYTES,
        ram_bytes=parse_bytes(args.ram, "--ram") if args.ram is not None else None,
        calibration=calibration if not question.is_cpu else Calibration(),
    )
    about = question.as_json() | {"device": device if not question.is_cpu else None}
    if args.vram is None:
        _print_table(question, limits, about, is_json=args.json)
        return 0
    plan = planner.choose_plan(question.demand, limits)
    if args.json:
        print(json.dumps(about | plan.as_json(), indent=2, ensure_ascii=False))
    else:
        _print_plan(question, plan, device if not question.is_cpu else None)
    return 0


@dataclass(frozen=True)
class Question:
    """What is to be planned: a request, resolved as the page would, and what it demands of a device."""

    request: ResolvedRequest
    demand: Demand
    is_cpu: bool

    @classmethod
    def of(cls, args: argparse.Namespace, *, is_cpu: bool) -> Question:
        """Raises InputError, or CheckpointError for a damaged local folder."""
        values = {field: value for field in REQUEST_FLAGS if (value := getattr(args, field)) is not None}
        if "size" in values:
            values["width"], values["height"] = parse_size(values.pop("size"))
        asked = GenerationRequest.parse({"prompt": "any", "checkpoint": DEFAULT_CHECKPOINT} | values)
        assert asked.checkpoint is not None
        checkpoint = catalog().get(asked.checkpoint)
        requests = resolve(asked, checkpoint, None, random_seed=0)
        return cls(requests[0], demand_of(requests, checkpoint, is_cpu=is_cpu), is_cpu)

    @property
    def words(self) -> str:
        """The request in a line, such as `PixArt at 1024×1024 …`."""
        request, count = self.request, self.demand.num_images
        guidance = f"guidance {request.guidance_scale:g}" if request.is_guided else "no guidance"
        pictures = "1 picture" if count == 1 else f"{count} pictures"
        transformer = "" if request.is_transformer_usual else f"transformer {request.transformer_precision}, "
        return (
            f"{request.checkpoint}, {pictures} of {request.bin}, {request.steps} steps, {guidance}, "
            f"{request.precision}, {transformer}{request.numerics}"
        )

    def as_json(self) -> dict[str, Any]:
        names = ("checkpoint", "precision", "transformer_precision", "numerics", "steps", "guidance_scale")
        sizes = ("bin_width", "bin_height")
        return {name: getattr(self.request, name) for name in (*names, *sizes)} | {"num_images": self.demand.num_images}


def _known_device(settings: Settings) -> tuple[str | None, Calibration]:
    """The one GPU that was measured here; none where there are several, as this command may not ask which it is."""
    devices = Table.load(settings.calibration_path).devices
    gpus = [(key, found) for key, found in devices.items() if not key.startswith("CPU")]
    return gpus[0] if len(gpus) == 1 else (None, Calibration())


def _print_plan(question: Question, plan: Plan, device: str | None) -> None:
    print(question.words)
    print(f"budget {show_bytes(plan.budget_bytes)}, {_certainty(plan, device)}\n")
    rows = [("phase", "residency", "peak", "seconds")]
    rows += [
        (entry.phase, entry.residency, show_bytes(entry.predicted_peak_bytes), f"{entry.predicted_seconds:.1f}")
        for entry in plan.phases
    ]
    rows.append(("all", "", show_bytes(plan.predicted_peak_bytes), f"{plan.predicted_seconds:.1f}"))
    for row in rows:
        print(f"{row[0]:<9}{row[1]:<10}{row[2]:>10}{row[3]:>10}")
    print()
    for entry in plan.phases:
        print(f"{entry.phase}: {entry.reason}.")


def _print_table(question: Question, limits: Limits, about: Mapping[str, Any], *, is_json: bool) -> None:
    """What fits in how much."""
    plans = [_plan_or_reason(question.demand, replace(limits, budget_bytes=budget)) for budget in BUDGETS]
    if is_json:
        entries = [
            found.as_json() if isinstance(found, Plan) else {"budget_bytes": budget, "problem": found}
            for budget, found in zip(BUDGETS, plans, strict=True)
        ]
        print(json.dumps(dict(about) | {"budgets": entries}, indent=2, ensure_ascii=False))
        return
    print(f"{question.words}\n")
    print(f"{'budget':>8}{'peak':>10}{'seconds':>10}  {'encode':<10}{'denoise':<10}decode")
    for budget, found in zip(BUDGETS, plans, strict=True):
        if isinstance(found, Plan):
            phases = "".join(f"{_short(entry.residency, entry.tile):<10}" for entry in found.phases)
            amounts = f"{show_bytes(found.predicted_peak_bytes):>10}{found.predicted_seconds:>10.1f}"
            print(f"{show_bytes(budget):>8}{amounts}  {phases}".rstrip())
        else:
            print(f"{show_bytes(budget):>8}  {found}")
    device = about["device"]
    certainty = _certainty(next((found for found in plans if isinstance(found, Plan)), None), device)
    print(f"\n{certainty[:1].upper()}{certainty[1:]}.")


def _plan_or_reason(demand: Demand, limits: Limits) -> Plan | str:
    try:
        return planner.choose_plan(demand, limits)
    except BudgetTooSmall as error:
        return error.message


def _short(residency: str, tile: int | None) -> str:
    return residency if tile is None else f"{tile} px"


def _certainty(plan: Plan | None, device: str | None) -> str:
    if device is None:
        return "estimated for a middling device, nothing was measured here yet"
    name = device.partition(" |")[0]
    return f"measured on {name}" if plan is not None and not plan.is_estimate else f"estimated from runs on {name}"
