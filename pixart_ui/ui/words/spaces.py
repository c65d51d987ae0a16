"""The words of a Hugging Face Space."""

from __future__ import annotations

NOT_KEPT = (
    "This Space keeps nothing: when it restarts or sleeps, every picture is gone. Download what you like. "
    "Your pictures belong to this browser, nobody else is shown them."
)
BORROWED = (
    "Its GPU is borrowed for each picture and counts towards your daily ZeroGPU time: keep this page open until the "
    "picture is there."
)
NO_QUEUE = (
    "There is no queue on this Space. ZeroGPU lends a GPU to whoever asks for a picture, for as long as their page is "
    "open, so nothing can wait here by itself; visitors do not wait for each other. Below are the pictures that you "
    "asked for. On a machine of your own, or on a Space with its own GPU, this tab holds the queue."
)
NO_COMPARISONS = (
    "Comparisons take minutes, which is longer than ZeroGPU lends a GPU for: run the app on a machine of your own, or "
    "on a Space with its own GPU, to make them."
)
