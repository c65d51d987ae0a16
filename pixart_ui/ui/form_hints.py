"""Small hints beside the form's fields, as HTML: what T5 reads of the prompt, and the size that is really drawn."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from pixart_ui import bins
from pixart_ui.bins import Size
from pixart_ui.catalog import Checkpoint
from pixart_ui.prompt_tokens import Reading
from pixart_ui.ui import words
from pixart_ui.ui.fragments import button
from pixart_ui.ui.words import single as single_words

# From so much of the limit on the number of tokens stands out.
NEARLY_FULL = 0.9
# So many of the signs that T5 does not know are shown.
MAX_SIGNS = 16


def prompt_hint(reading: Reading | None, prompt: str, examples: Sequence[str]) -> str:
    """Above the prompt: an idea, and the tokens; below it what T5 does not read, struck through."""
    following = examples[(list(examples).index(prompt) + 1) % len(examples)] if prompt in examples else examples[0]
    idea = button(single_words.IDEA, "idea", css="link", prompt=following, title=single_words.IDEA_HINT)
    return f'<div class="above">{idea}{_count(reading, prompt)}</div>{_cut(reading, prompt)}'


def size_hint(size: Size, checkpoint: Checkpoint) -> str:
    """What it is drawn at, and what it is saved as where that differs."""
    drawn, asked = bins.nearest(size, checkpoint.sample_size), words.size_label(*size)
    label = words.size_label(*drawn)
    text = single_words.DRAWN if drawn == size else single_words.DRAWN_AND_SCALED
    return f'<p class="hint">{text.format(bin=label, size=asked)}</p>'


def _count(reading: Reading | None, prompt: str) -> str:
    if reading is None or not prompt.strip():
        return ""
    state = "over" if reading.used > reading.limit else "near" if reading.used > NEARLY_FULL * reading.limit else "free"
    text = single_words.TOKENS.format(used=f"{reading.used:,}", limit=reading.limit)
    title = single_words.TOKENS_HINT.format(limit=reading.limit)
    return f'<span class="tokens" data-is="{state}" title="{title}">{text}</span>'


def _cut(reading: Reading | None, prompt: str) -> str:
    """What is not read, or not understood. A status, so that it is heard when it comes up."""
    if reading is not None and reading.cut_at is not None:
        lost = f"<s>{escape(prompt[reading.cut_at :].strip())}</s>"
        return f'<p class="cut" role="status">{single_words.CUT} {lost}</p>'
    if reading is not None and reading.is_style_cut:
        return f'<p class="cut" role="status">{single_words.STYLE_CUT.format(limit=reading.limit)}</p>'
    if reading is not None and reading.unknown:
        signs = f"<b>{escape(' '.join(reading.unknown[:MAX_SIGNS]))}</b>"
        return f'<p class="cut unknown" role="status">{single_words.UNKNOWN} {signs}</p>'
    return '<p class="cut" role="status"></p>'
