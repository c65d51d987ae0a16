"""What a PNG says of its making, whoever wrote it: this app, A1111 and what writes like it, or ComfyUI.

The values are not checked here and fit no checkpoint yet: see `adopting.py`. What names something that PixArt does not
have is listed in `dropped`, in words. Whatever a stranger's file holds, it is text and numbers and never run.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import UnidentifiedImageError

from pixart_ui.errors import InputError
from pixart_ui.gallery import images
from pixart_ui.request import ResolvedRequest, Scheduler, parse_size

A1111, COMFY, OURS = "A1111", "ComfyUI", "PixArt UI"
MAX_TEXT_CHARS = 300_000
MAX_SHOWN_CHARS = 40

# Their names, without case, spaces and signs, by ours; what a name has on top of it is named as dropped.
_SAMPLERS: Mapping[str, Scheduler] = {
    "dpm++": Scheduler.DPM_SOLVER,
    "dpmpp": Scheduler.DPM_SOLVER,
    "dpmsolver": Scheduler.DPM_SOLVER,
    "sasolver": Scheduler.SA_SOLVER,
    "unipc": Scheduler.UNIPC,
    "euler": Scheduler.EULER,
    "ddim": Scheduler.DDIM,
    "ddpm": Scheduler.DDPM,
    "lcm": Scheduler.LCM,
}
_EXACT_SAMPLERS = frozenset({"dpm++", "dpm++2m", "dpmpp2m", "sasolver", "unipc", "euler", "ddim", "ddpm", "lcm"})
# What says nothing about the picture's look.
_IGNORED = frozenset(
    {"version", "model hash", "vae hash", "hashes", "lora hashes", "ti hashes", "created date", "blocks"}
)
# Bounded wherever two parts could take the same signs: a stranger's text of a million spaces must cost no time.
_SETTING = re.compile(r'(\w[\w \-/+.]{0,40}?):\s*("(?:\\.|[^"\\])*"|[^,]*)(?:,|$)')
_LORA = re.compile(r"<(?:lora|lyco|hypernet):[^>]{1,200}>")
_WEIGHT = re.compile(r"\(([^()]{1,400}):\s*\d+(?:\.\d+)?\)")


@dataclass(frozen=True)
class Taken:
    """`settings` are fields of a request, unchecked; `request` is set where the file is ours and says everything."""

    source: str
    settings: Mapping[str, Any]
    dropped: tuple[str, ...] = ()
    request: ResolvedRequest | None = None


def read(path: Path) -> Taken:
    """Raises InputError with one sentence for a file that says nothing."""
    try:
        texts = images.texts(path)
    except FileNotFoundError:
        raise InputError("The file is no longer here: choose it again.") from None
    except (OSError, UnidentifiedImageError, ValueError, SyntaxError):
        raise InputError("That file is not a readable PNG: drop a picture as a program saved it.") from None
    if images.JSON_CHUNK in texts:
        request = images.read_request(path)
        return Taken(OURS, request.model_dump(mode="json"), (), request)
    if parameters := texts.get(images.PARAMETERS_CHUNK):
        return read_parameters(parameters[:MAX_TEXT_CHARS])
    if graph := texts.get("prompt"):
        return read_graph(graph[:MAX_TEXT_CHARS])
    raise InputError(
        "That PNG says nothing of how it was made: messengers and image editors take it out; drop the file as it was "
        "saved by this app, A1111 or ComfyUI."
    )


def read_parameters(text: str) -> Taken:
    """The text that A1111 writes: prompt, `Negative prompt: …`, then `Steps: 20, Sampler: …` on the last line."""
    lines = text.replace("\r\n", "\n").split("\n")
    last = lines.pop() if re.search(r"\bSteps:\s*\d", lines[-1]) else ""
    at = next((index for index, line in enumerate(lines) if line.startswith("Negative prompt:")), len(lines))
    prompt = "\n".join(lines[:at]).strip()
    negative = "\n".join(lines[at:]).removeprefix("Negative prompt:").strip()
    if not prompt and not last:
        raise InputError("The text in that PNG is not in A1111's form: drop another picture.")
    values = {name.lower().strip(): _unquoted(value) for name, value in _SETTING.findall(last)}
    taking = _Taking()
    taking.texts(prompt, negative)
    for name, value in values.items():
        taking.setting(name, value)
    return Taken(A1111, taking.settings, tuple(taking.dropped))


def read_graph(text: str) -> Taken:
    """ComfyUI's graph: its first sampler, and what leads into it."""
    try:
        graph = json.loads(text)
    except (ValueError, RecursionError):
        graph = None
    nodes = graph if isinstance(graph, dict) else {}
    sampler = next((node for node in nodes.values() if _is_sampler(node)), None)
    if sampler is None:
        raise InputError("The graph in that PNG has no sampler that this app knows: write the settings by hand.")
    inputs, taking = sampler["inputs"], _Taking()
    prompt, negative = (_text_behind(nodes, inputs.get(name)) for name in ("positive", "negative"))
    taking.texts(prompt, negative)
    for ours, theirs in (
        ("steps", "steps"),
        ("cfg scale", "cfg"),
        ("sampler", "sampler_name"),
        ("schedule type", "scheduler"),
    ):
        if isinstance(inputs.get(theirs), str | int | float):
            taking.setting(ours, str(inputs[theirs]))
    seed = inputs.get("seed", inputs.get("noise_seed"))
    if isinstance(seed, int):
        taking.setting("seed", str(seed))
    latent = _behind(nodes, inputs.get("latent_image"))
    if isinstance(latent.get("width"), int) and isinstance(latent.get("height"), int):
        taking.setting("size", f"{latent['width']}x{latent['height']}")
    for node in nodes.values():
        name = _inputs(node).get("ckpt_name")
        if isinstance(name, str):
            taking.setting("model", name)
            break
    return Taken(COMFY, taking.settings, tuple(taking.dropped))


@dataclass
class _Taking:
    """Collects what is understood, and names what is not."""

    settings: dict[str, Any] = field(default_factory=dict)
    dropped: list[str] = field(default_factory=list)

    def texts(self, prompt: str, negative: str) -> None:
        self.settings["prompt"] = self._plain(prompt)
        if negative:
            self.settings["negative_prompt"] = self._plain(negative)

    def setting(self, name: str, value: str) -> None:
        known = self._ways().get(name)
        if known is not None:
            known(value)
        elif name not in _IGNORED:
            self._drop(name[:1].upper() + name[1:], value)

    def _ways(self) -> Mapping[str, Callable[[str], None]]:
        def keep(field: str) -> Callable[[str], None]:
            return lambda value: self.settings.update({field: value})

        return {
            "steps": keep("steps"),
            "cfg scale": keep("guidance_scale"),
            "seed": keep("seed"),
            "t5 precision": keep("precision"),
            "transformer precision": keep("transformer_precision"),
            "size": self._size,
            "sampler": self._sampler,
            "schedule type": self._schedule,
            "model": keep("checkpoint"),
        }

    def _size(self, value: str) -> None:
        try:
            self.settings["width"], self.settings["height"] = parse_size(value)
        except InputError:
            self._drop("Size", value)

    def _schedule(self, value: str) -> None:
        if value.lower() not in ("automatic", "normal", "uniform", "simple"):
            self._drop("Schedule type", value)

    def _sampler(self, value: str) -> None:
        bare = re.sub(r"[^a-z0-9+]", "", value.lower())
        found = next((ours for start, ours in _SAMPLERS.items() if bare.startswith(start)), None)
        if found is None:
            self._drop("Sampler", value)
            return
        self.settings["scheduler"] = str(found)
        if bare not in _EXACT_SAMPLERS:
            self.dropped.append(f"Sampler {_shown(value)}: the nearest one here is {found}")

    def _plain(self, text: str) -> str:
        """Without what is not words to T5."""
        for tag in dict.fromkeys(_LORA.findall(text)):
            self.dropped.append(f"{_shown(tag)}: there are no add-ons of that kind for PixArt")
        text = _LORA.sub("", text)
        if _WEIGHT.search(text):
            self.dropped.append("Weights such as (word:1.2): T5 reads words, so they stand without them")
            text = _WEIGHT.sub(r"\1", text)
        return text.strip()

    def _drop(self, name: str, value: str) -> None:
        self.dropped.append(f"{name} {_shown(value)}: PixArt has no such setting")


def _inputs(node: object) -> Mapping[str, Any]:
    inputs = node.get("inputs") if isinstance(node, dict) else None
    return inputs if isinstance(inputs, dict) else {}


def _is_sampler(node: object) -> bool:
    inputs = _inputs(node)
    return "positive" in inputs and ("seed" in inputs or "noise_seed" in inputs)


def _behind(nodes: Mapping[str, Any], link: object) -> Mapping[str, Any]:
    """The inputs of the node that a link, `["6", 0]`, comes from."""
    return _inputs(nodes.get(str(link[0]))) if isinstance(link, list) and link else {}


def _text_behind(nodes: Mapping[str, Any], link: object) -> str:
    """The text of the node behind it, or behind the nodes before that."""
    for inputs in _chain(nodes, link):
        for name in ("text", "text_g", "t5xxl", "prompt"):
            if isinstance(inputs.get(name), str):
                return str(inputs[name])
            if isinstance(inputs.get(name), list):
                inner = _behind(nodes, inputs[name])
                if text := next((value for value in inner.values() if isinstance(value, str)), ""):
                    return text
    return ""


def _chain(nodes: Mapping[str, Any], link: object) -> Iterator[Mapping[str, Any]]:
    for _ in range(10):
        inputs = _behind(nodes, link)
        if not inputs:
            return
        yield inputs
        link = next((value for name, value in inputs.items() if "conditioning" in name.lower()), None)


def _unquoted(value: str) -> str:
    value = value.strip()
    if len(value) > 1 and value.startswith('"') and value.endswith('"'):
        try:
            return str(json.loads(value))
        except (ValueError, RecursionError):
            return value[1:-1]
    return value


def _shown(value: str) -> str:
    value = " ".join(value.split())
    return value if len(value) <= MAX_SHOWN_CHARS else value[: MAX_SHOWN_CHARS - 1] + "…"
