"""What people read in the Gallery."""

from __future__ import annotations

from collections.abc import Mapping

GALLERY = "Gallery"

# What is shown
SEARCH = "Search the prompts"
KIND = "Which pictures"
KINDS: Mapping[str, str] = {"all": "All", "starred": "Starred", "deleted": "Trash"}
FILTERS = "Filters"
ANY: Mapping[str, str] = {
    "checkpoint": "Any checkpoint",
    "precision": "Any precision",
    "style": "Any style",
    "when": "Any time",
}
LABELS: Mapping[str, str] = {
    "checkpoint": "Checkpoint",
    "precision": "Text encoder precision",
    "style": "Style",
    "when": "Date",
}
WITHOUT_STYLE = "No style"
CHOICE = "{name} ({count})"
WHEN: Mapping[str, str] = {
    "today": "Today",
    "week": "Last 7 days",
    "month": "Last 30 days",
    "between": "Between two days",
}
FROM_DAY = "From"
TO_DAY = "To"
OPEN_PNG = "Open a PNG"
OPEN_PNG_HINT = "Takes the settings out of a picture; you can also drop one anywhere here"
DROP_HERE = "Drop the picture to take its settings"
COUNT, COUNTS = "1 picture", "{count} pictures"
PICTURES = "Pictures, newest first"
SELECT = "Select: {prompt}"
UNTITLED = "a picture"

# Nothing to show
EMPTY_TITLE = "Every picture is kept here"
EMPTY_TEXT = (
    "With its prompt, seed and everything else that made it, whatever becomes of the queue. "
    "From here you make a picture again, vary it, compare it or take it along."
)
EMPTY_ACT = "Make the first one"
EMPTY_DROP = "Or drop a PNG here, made by this app, A1111 or ComfyUI: its settings go into the form."
NOTHING_FOUND = "No picture here matches."
CLEAR_FILTERS = "Show all pictures"
NO_STARS = "No picture has a star yet. Press S on one, or the star beside it: starred pictures are never tidied away."
NO_TRASH = "The trash is empty. Deleted pictures stay here for {days} days."
TRASH_HINT = "Deleted pictures stay here for {days} days and are then removed."

# Pages
PAGES = "Pages of the gallery"
PAGE_OF = "{first}–{last} of {total}"
TURNS: Mapping[str, str] = {"first": "First", "previous": "Previous", "next": "Next", "last": "Last"}

# What can be done with the selected pictures
SELECTION = "Selected pictures"
SELECT_WHOLE = "All pages"
UNSELECT = "Unselect"
STAR = "Star"
UNSTAR = "Take the star away"
DOWNLOAD = "Download"
COMPARE = "Compare"
DELETE = "Delete"
RESTORE = "Restore"
PURGE = "Delete for good"
PURGE_ASK = "Remove these pictures from the disk? This cannot be taken back."
UNDO = "Undo"

# One picture
DETAILS = "Details of the picture"
CLOSE = "Close"
EARLIER = "Next picture"
LATER = "Previous picture"
OPEN_FULL = "Open the picture in its full size"
REUSE = "Reuse settings"
REUSE_SEED = "Reuse seed"
AGAIN = "Make again"
VARY = "Vary"
VARY_COUNT = "How many variations"
VARY_HINT = "Vary makes the same with new seeds."
LARGER_SAME = "Keep {size}"
LARGER_SAME_HINT = "It was drawn at {size} and made smaller to be saved: made again, it keeps its full size."
LARGER_OTHER = "{size} with {title}"
LARGER_OTHER_HINT = (
    "With {title} it is made again from the same words and seed at {size}: another picture, not this one enlarged."
)
LARGER_FETCH = "{title} would draw it at {size}, once it is on this disk:"
LARGER_NONE = "{title} draws no larger than this."
IS_GONE = "The file of this picture is no longer on the disk."
DELETED_ON = "In the trash since"
MADE_ON = "Made"
BY = "by {owner}"
JOB = "job {id}"
SETTINGS = "Settings"
ROWS: Mapping[str, str] = {
    "negative_prompt": "Negative prompt",
    "style": "Style",
    "full_prompt": "With the style",
    "full_negative_prompt": "Negative with the style",
    "checkpoint": "Checkpoint",
    "size": "Size",
    "bin": "Drawn at",
    "steps": "Steps",
    "guidance": "Guidance",
    "scheduler": "Scheduler",
    "seed": "Seed",
    "precision": "Text encoder",
    "transformer_precision": "Transformer",
    "numerics": "Numerics",
    "compile_blocks": "Blocks",
}
COMPILED = "compiled"
NO_GUIDANCE = "off"
MADE_WITH = "Made with"
VERSIONS = "Versions and hashes"
VERSIONS_HINT = "The same settings, device and versions give the same picture."
DEVICE = "Device"
KERNELS = "Kernels"
HASH = "{name}, SHA-256"
REVISION = "Revision of {name}"
FILE = "File"
AS_TEXT = "As text"
COPY = "Copy"
COPIED = "Copied."
COMMAND = "On the command line"
UNREADABLE = "What made this picture cannot be read"

# What came of it
STARRED, STARRED_ALL = "It has a star now.", "{count} pictures have a star now."
UNSTARRED, UNSTARRED_ALL = "It has no star any more.", "{count} pictures have no star any more."
DELETED, DELETED_ALL = "1 picture is in the trash.", "{count} pictures are in the trash."
RESTORED, RESTORED_ALL = "1 picture is back.", "{count} pictures are back."
PURGED, PURGED_ALL = "1 picture is removed for good.", "{count} pictures are removed for good."
VARIED, VARIED_ALL = "1 variation is at the head of the queue.", "{count} variations are at the head of the queue."
VARY_RANGE = "{count} variations are too many or too few, it must be a whole number from 1 to {most}: try 4."
ENLARGED = "It is made again at {size} with {title}, at the head of the queue."
NOT_LARGER = "That size can no longer be had for this picture: open it again."
NO_PICTURES = "None of these pictures is on the disk any more: choose others."
REUSED_SETTINGS = "The settings of that picture are in the form."
REUSED_SEED = "Seed {seed} is kept for the next pictures."
TAKEN = "The settings of {name} are in the form."
TAKEN_FROM = "The settings of {name} are in the form, as {source} wrote them."
NOT_HONOURED = "What could not be honoured:"
DISMISS = "Close"
COMPARING = "What these pictures differ in is filled in. They are made again, measured, when you press Start."
COMPARING_ONE = "Choose what varies, then press Start: the picture is made again in each way, measured."
COMPARING_LEFT = "{names} differ too: all runs take the first picture's."
TOO_MANY_TO_COMPARE = (
    "{count} pictures are too many for a comparison, at most {most} can be laid side by side: select fewer."
)
AXES: Mapping[str, str] = {
    "precision": "text encoder precision",
    "transformer-precision": "transformer precision",
    "scheduler": "scheduler",
    "steps": "steps",
    "guidance": "guidance",
    "size": "size",
    "checkpoint": "checkpoint",
    "numerics": "numerics",
    "seed": "seeds",
    "style": "styles",
    "negative prompt": "negative prompts",
}

SCRIPT_WORDS: Mapping[str, str] = {"galleryCopied": COPIED, "galleryDrop": DROP_HERE, "galleryPurge": PURGE_ASK}


def counted(count: int, one: str, several: str) -> str:
    return one if count == 1 else several.format(count=f"{count:,}")
