"""The words of the Single tab's comforts: what T5 reads, quality, sizes, keys, the state of the page's icon.

Text here is ours and safe in HTML, as in the other modules of this folder.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

# Under the prompt
TOKENS = "{used} of {limit} tokens"
TOKENS_HINT = "T5 reads the first {limit} tokens of the prompt and its style"
CUT = "Longer than T5 reads. Nothing of this is seen:"
STYLE_CUT = "The prompt fills all {limit} tokens: what the style adds at its end is not read."
UNKNOWN = "T5 does not know these signs, they say nothing to it:"
IDEA = "Idea"
IDEA_HINT = "Put one of the examples into the prompt"

# Quality, styles, sizes
QUALITY = "Quality"
QUALITY_CHOICE = "{name}\n{steps} steps · {scheduler}"
SWAP = "Swap"
SWAP_HINT = "Swap width and height"
DRAWN = "Drawn at {bin}"
DRAWN_AND_SCALED = "Drawn at {bin}, saved as {size}"
SIZE_INFO = "Any size, for example 640x480: drawn at the nearest one that the checkpoint knows, then scaled"
STYLE_OWN = "The pictures of the styles are your newest ones with this checkpoint."
STYLE_NONE_YET = "A style shows your newest picture in it, once this checkpoint has made one."

# The button
SENDING = "Sending…"

# The header
KEYS = "Keyboard shortcuts"
KEYS_CLOSE = "Close"
KEYS_GROUPS: Sequence[tuple[str, Sequence[tuple[str, str]]]] = (
    (
        "Anywhere",
        (
            ("Ctrl + Enter", "Generate; on Queue and Compare: add, start (⌘ works too)"),
            ("Ctrl + Shift + Enter", "Add to queue"),
            ("Esc", "Cancel what this page asked for, or close what is open"),
            ("/", "Go to the prompt"),
            ("1 … 5", "Open a tab"),
            ("?", "This list"),
        ),
    ),
    (
        "In the queue's list",
        (
            ("↑ ↓", "Move between jobs; with Shift, select them"),
            ("Space", "Select"),
            ("Ctrl + A", "Select all of the page"),
            ("Alt + ↑ ↓", "Move the selected jobs"),
            ("Enter", "Open on Single"),
            ("Del", "Cancel"),
        ),
    ),
    (
        "In the Gallery",
        (
            ("← → ↑ ↓", "Move between pictures; with Shift, select them"),
            ("Space", "Select"),
            ("Ctrl + A", "Select all of the page"),
            ("Enter", "Open beside the others"),
            ("S", "Give it a star, or take it away"),
            ("Del", "Delete; it can be brought back"),
        ),
    ),
)

SCRIPT_WORDS: Mapping[str, str] = {"sending": SENDING}
