"""How many tokens of a prompt T5 reads, and where its reading ends.

Counts with the checkpoint's own `spiece.model` through sentencepiece, so that the page can say it while one types; no
torch. What the engine's caption cleaning changes besides letters' case (HTML, links) is not repeated here: such texts
are counted a little differently than they are read.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from sentencepiece import SentencePieceProcessor

from pixart_ui.catalog import Checkpoint
from pixart_ui.errors import CheckpointError
from pixart_ui.hub import Hub
from pixart_ui.presets import PLACEHOLDER, Style

# T5 ends every text with one.
END_TOKENS = 1


@dataclass(frozen=True)
class Reading:
    """`used` of `limit` tokens. `cut_at` is the place in the person's own text from which on nothing is read, or None.

    `is_style_cut` says that of what the style appends a part is not read. `unknown` are those characters of
    the person's own text that the vocabulary lacks, each once.
    """

    used: int
    limit: int
    cut_at: int | None
    is_style_cut: bool
    unknown: str = ""


class TokenCounter:
    """Keeps each checkpoint's vocabulary once it was asked for. Safe to use from several threads."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._lock = threading.Lock()
        self._processors: dict[Path, SentencePieceProcessor | None] = {}

    def read(self, prompt: str, style: Style | None, checkpoint: Checkpoint) -> Reading | None:
        """What T5 reads of the prompt in its style; None where the checkpoint has no vocabulary of that kind here."""
        processor = self._processor(checkpoint)
        if processor is None:
            return None
        before, _, after = (PLACEHOLDER if style is None else style.prompt).partition(PLACEHOLDER)
        return read_text(processor, before, prompt, after, checkpoint.max_tokens)

    def _processor(self, checkpoint: Checkpoint) -> SentencePieceProcessor | None:
        try:
            path = self._hub.locate(checkpoint).folders["tokenizer"] / "spiece.model"
        except CheckpointError:
            return None
        with self._lock:
            if path not in self._processors:
                self._processors[path] = _load(path)
            return self._processors[path]


def _load(path: Path) -> SentencePieceProcessor | None:
    """None for a file that is missing or no vocabulary: to count is a comfort, the engine says what is wrong."""
    try:
        return SentencePieceProcessor(model_file=str(path))
    except (OSError, RuntimeError):
        return None


def read_text(processor: SentencePieceProcessor, before: str, prompt: str, after: str, limit: int) -> Reading:
    """The same for a text in three parts: what a style puts before the prompt, the prompt, and what comes after."""
    found = processor.encode(_lower(before + prompt + after), out_type="offset_mapping")
    places = found["offsets"]
    used, room = len(places) + END_TOKENS, limit - END_TOKENS
    if used <= limit:
        lost = [place for place, id_ in zip(places, found["ids"], strict=True) if id_ == processor.unk_id()]
        return Reading(used, limit, None, is_style_cut=False, unknown=_at(prompt, lost, len(before)))
    # A piece's place is counted in characters of what was encoded.
    cut_at = max(0, places[room][0] - len(before))
    is_in_prompt = cut_at < len(prompt.rstrip())
    return Reading(used, limit, cut_at if is_in_prompt else None, is_style_cut=bool(after.strip()))


def _at(prompt: str, places: Iterable[tuple[int, int]], num_before: int) -> str:
    """The characters of the prompt at those places of the whole text, each once."""
    found = "".join(prompt[max(0, first - num_before) : max(0, last - num_before)] for first, last in places)
    return "".join(dict.fromkeys(found.replace(" ", "")))


def _lower(text: str) -> str:
    """In lower case as T5 gets it, each character in its place."""
    return "".join(low if len(low := character.lower()) == 1 else character for character in text)
