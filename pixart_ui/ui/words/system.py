"""The words of the System tab."""

from __future__ import annotations

from collections.abc import Mapping

TAB = "System"
COUNTING = "Counting…"

# Memory now
MEMORY = "Memory now"
NO_WORKER = "No engine is running yet, so nothing is held."
COMPONENTS: Mapping[str, str] = {
    "text_encoder": "T5",
    "transformer": "Transformer",
    "vae": "VAE",
    "work": "Work",
    "context": "CUDA context",
    "engine": "Engine",
    "others": "Other programs",
    "free": "Free",
}
OF_VRAM = "{used} of {total} VRAM"
OF_RAM = "{used} of {total} RAM"
BUDGET = "The budget for tensors is {size}."
BAR_LABEL = "{name}: {parts}"
RAM_FREE = "{free} of {total} RAM are free"
RAM_OF_WORKER = "the engine's process has {size}"

# What fits
FITS = "What fits here"
FITS_INTRO = "Square pictures of PixArt-Σ on {device}, with {size} to use. Each says its peak and its time."
FITS_NO_WORKER = "What fits is known once the engine has started."
FITS_PRECISION = "T5 in"
FITS_CELL: Mapping[str, str] = {"fits": "fits", "tight": "tight", "no": "does not fit"}
FITS_LEAST = "needs {size}"
FITS_HOW: Mapping[str, str] = {"": "all at once", "text_encoder": "T5 streamed", "transformer": "transformer streamed"}
FITS_BOTH = "streamed"
FITS_TILED = "tiled"
FITS_OTHER = "What fits in how much"
FITS_OTHER_INTRO = "1024 × 1024 on cards of other sizes, by the same plans."
FITS_LEGEND = (
    "Fits: room to spare. Tight: the least that it can be made with is more than half of what there is. "
    "Streamed: weights pass through the device block by block, at the same quality."
)
FITS_ESTIMATE = "Times are estimates until a picture of that kind was made here."

# Workers
WORKERS = "Workers"
WORKER_COLUMNS = ("Device", "State", "Memory", "At work on", "Done", "Heard")
WORKER_STATES: Mapping[str, str] = {
    "ready": "Ready",
    "working": "Working",
    "draining": "Ends its picture",
    "drained": "Takes no jobs",
    "refused": "May not join",
    "silent": "Silent",
}
WORKER_JOB = "job {id}"
WORKER_AND_MORE = "and {count} more"
WORKER_NOW = "now"
WORKER_AGO = "{seconds} s ago"
DRAIN = "Drain"
DRAIN_HINT = "Let it end its picture and take no other"
TAKE_AGAIN = "Take jobs"
DRAINED = "{device} ends its picture and takes no other."
RESUMED = "{device} takes jobs again."
UNCHANGED = "It was so already."

# Checkpoints
CHECKPOINTS = "Checkpoints"
CHECKPOINTS_INTRO = "Published by the PixArt team. They share one T5, so the second costs far less than the first."
HERE = "on this disk, {size}"
NOT_HERE = "not here"
DAMAGED = "damaged"
BUILT_IN = "comes with the app, {size}"
DOWNLOAD = "Download"
GO_ON = "Go on"
VERIFY = "Verify"
DELETE = "Delete"
DELETE_ASK = (
    "Delete {title} from this disk? What other checkpoints share with it stays. "
    "Other programs that use the Hub's cache lose these files too."
)
DELETED = "{title} is off this disk: {size} are free again."
IN_USE = "{title} is needed by jobs that wait or run: cancel them first, or wait."
IS_BUSY = "{title} is being fetched or read: wait for that, or cancel it."
CANCEL = "Cancel"
DISMISS = "OK"
CHORES: Mapping[str, str] = {
    "download": "Downloading",
    "verify": "Reading every byte",
    "convert": "Converting",
    "prune": "Looking for what nobody uses",
}
CHORE_ENDS: Mapping[str, str] = {
    "cancelled": "Cancelled. What has arrived is kept.",
    "stopped": "Stopped before its end, with the app. What has arrived is kept.",
}
CHORE_OF = "{done} of {total}"
CHORE_RATE = "{rate}/s"
CHORE_LEFT = "{time} left"
CHORE_BEGINS = "Beginning…"
STARTED: Mapping[str, str] = {
    "download": "The download has begun. It goes on when this page is closed.",
    "verify": "Every byte is being read.",
    "convert": "The weights are being converted.",
    "prune": "Weights that nobody uses are being removed.",
}
CANCELLED = "Cancelled."

# Converted weights
STORE = "Converted weights"
STORE_INTRO = "A checkpoint's weights in the form that a precision wants, made once, at its first picture or here."
STORE_EMPTY = "None yet."
STORE_COLUMNS = ("Component", "Form", "Size", "State")
STORE_STATES: Mapping[str, str] = {"complete": "whole", "partial": "half made", "damaged": "damaged"}
CONVERT = "Convert"
CONVERT_WHICH = "Checkpoint to convert"
CONVERT_TO = "Precision"
VERIFY_STORE = "Verify all"
PRUNE = "Remove unused"
PRUNE_ASK = "Remove converted weights that no checkpoint on this disk uses? They are made again when they are needed."

# Disk
DISK = "Disk"
DISK_FREE = "{free} of {total} are free."
DISK_EMPTY = "Empty so far"
DISK_LABEL = "Disk: {parts}"
KINDS: Mapping[str, tuple[str, str]] = {
    "images": ("Pictures", "What was made. Kept until you delete it in the gallery."),
    "trash": ("Trash", "Deleted pictures, for 30 days. Brought back or removed in the gallery."),
    "comparisons": ("Comparisons", "Their pictures and measurements. Deleted on the Compare tab."),
    "weights": ("Converted weights", "T5 and the others as each precision wants them; made again when needed."),
    "embeddings": ("Known prompts", "Prompts that T5 has read, so that it need not read them again."),
    "compiled": ("Compiled code", "What torch compiled for the devices here; compiled again when needed."),
    "thumbnails": ("Thumbnails", "Small copies of pictures; made again when they are looked at."),
    "previews": ("Previews", "What a picture looks like while it is made."),
    "latents": ("Kept latents", "Drawn and not yet saved, so that a crash costs no steps."),
    "temp": ("Uploads and temporary files", "Older than ten minutes are cleared; younger ones may be in use."),
    "logs": ("Logs", "What went wrong and when."),
    "journal": ("Journal", "The queue, and what was measured."),
}
REST = "All else"
FILES = "{count} files"
ONE_FILE = "1 file"
CLEAR = "Clear"
CLEAR_ASK = "Clear {name}, {size}? {what}"
CLEARED = "{name}: {size} are free again."
NOTHING_CLEARED = "{name}: nothing could be cleared, what is there is in use."

# Health
HEALTH = "Health of the last groups"
HEALTH_INTRO = "What was held after each group of pictures. A leak would rise from left to right."
HEALTH_NONE = "No group has ended since the engine started."
HEALTH_FEW = "{count} of {least} groups: a trend shows from then on."
HEALTH_BESIDE = "Beside weights"
HEALTH_RAM = "RAM of the engine"
STEADY = "Steady: {low} to {high} over {count} groups."
GROWING = (
    "Growing: about {size} more after each group, {high} now. Restart the app, and report this with the logs below."
)
TREND_LABEL = "{name} after each of {count} groups, from {low} to {high}"

# Logs
LOGS = "Logs"
LOGS_INTRO = (
    "What “doctor” says, what failed last and the ends of the logs, for a bug report. Tokens, passwords, names and "
    "folders of people and addresses are taken out; read it before you send it."
)
LOGS_PROMPTS = "with prompts"
LOGS_SHOW = "Show"
LOGS_COPY = "Copy"
LOGS_COPIED = "Copied."
LOGS_TEXT = "Text for a bug report"
LOGS_SAVE = "Save as a file"

NOT_YOURS = "That is for the owner of this app to do: ask them."

SCRIPT_WORDS: Mapping[str, str] = {
    "copied": LOGS_COPIED,
    "gathering": "Gathering…",
    "notCopied": "The browser did not allow copying: mark the text and copy it.",
}
