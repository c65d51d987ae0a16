"""The words of a Hugging Face Space."""

from __future__ import annotations

NOT_KEPT = (
    "Pictures are gone when this Space restarts: download what you like. They belong to this browser, nobody else is "
    "shown them."
)
BORROWED = "Keep this page open while a picture is drawn: its GPU is borrowed, from your daily ZeroGPU time."
NO_QUEUE = (
    "There is no queue on this Space. ZeroGPU lends a GPU to whoever asks for a picture, for as long as their page is "
    "open, so nothing can wait here by itself, and visitors do not wait for each other. Your pictures are in the "
    "Gallery. On a machine of your own, or on a Space with its own GPU, this tab holds the queue."
)
NO_COMPARISONS = (
    "Comparisons take minutes, which is longer than ZeroGPU lends a GPU for: run the app on a machine of your own, or "
    "on a Space with its own GPU, to make them."
)
