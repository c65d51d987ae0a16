"""Every word of the page, in one place.

Short, plain, the terms of the glossary. Text here is ours and safe in HTML; what people type is escaped where it is
put into HTML, never here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pixart_ui.request import Precision, TransformerPrecision

TITLE = "PixArt UI"

# The tabs
SINGLE = "Single"
QUEUE = "Queue"

# The form
PROMPT = "Prompt"
PROMPT_HINT = "What should the picture show?"
NEGATIVE_PROMPT = "Negative prompt"
NEGATIVE_PROMPT_HINT = "What it should not show"
STYLE = "Style"
NO_STYLE = "None"
SHAPE = "Shape"
PRECISION = "Text encoder precision"
SEED = "Seed"
SEED_HINT = "random"
LOCK_SEED = "Keep"
RANDOM_SEED = "Random"
NUM_IMAGES = "Images"
ADVANCED = "Advanced"
STEPS = "Steps"
GUIDANCE = "Guidance"
GUIDANCE_INFO = "How closely the picture follows the prompt; 1 or less turns guidance off"
SCHEDULER = "Scheduler"
SIZE = "Size"
NUMERICS = "Numerics"
NUMERICS_INFO = "fast trims padding and picks the device's kernels; exact equals stock diffusers bit for bit"
COMPILE_BLOCKS = "Compile blocks"
COMPILE_BLOCKS_INFO = (
    "the first picture takes about 10 s longer, then pictures come about an eighth faster; needs a C++ compiler, "
    "and a GPU of compute capability 7.0 or newer; not for exact numerics or a transformer below 16 bits"
)
TRANSFORMER_PRECISION = "Transformer precision"
TRANSFORMER_PRECISION_INFO = (
    "fp16 and bf16 can be streamed through a small card, the others come whole; the VAE stays in 16 bits"
)
CHECKPOINT = "Checkpoint"
GENERATE = "Generate"
GENERATE_KEYS = "Ctrl + Enter"
ADD_TO_QUEUE = "Add to queue"
MORE_CHECKPOINTS = "Larger checkpoints"
MORE_CHECKPOINTS_INTRO = "Published by the PixArt team. Run the command once, then choose the checkpoint above."

# Names with height over width, in the order of the little frames in page.css.
SHAPES: Sequence[tuple[str, float]] = (
    ("Square", 1.0),
    ("Landscape", 2 / 3),
    ("Portrait", 3 / 2),
    ("Wide", 9 / 16),
    ("Tall", 16 / 9),
)

PRECISION_LABELS: Mapping[Precision, str] = {
    Precision.FP16: "fp16",
    Precision.BF16: "bf16",
    Precision.INT8: "8-bit",
    Precision.NF4: "4-bit nf4",
    Precision.FP4: "4-bit fp4",
}
# The weights of T5-XXL as each precision stores them (`wo` stays in fp32 beside fp16).
PRECISION_COSTS: Mapping[Precision, str] = {
    Precision.FP16: "11.5 GB",
    Precision.BF16: "9.5 GB",
    Precision.INT8: "7.9 GB",
    Precision.NF4: "6.3 GB",
    Precision.FP4: "6.3 GB",
}
PRECISION_EFFECTS: Mapping[Precision, str] = {
    Precision.FP16: "Best quality: T5 in 16 bits, on the device for its phase only.",
    Precision.BF16: "16 bits, wider in range, with fewer digits; 2 GB less than fp16.",
    Precision.INT8: "3.6 GB less than fp16 to read and keep; pictures differ a little.",
    Precision.NF4: "5.2 GB less than fp16; pictures differ a bit more than with 8 bits.",
    Precision.FP4: "As small as nf4, numbers evenly spaced; pictures differ most.",
}
PRECISION_TINY = "Tiny fits anywhere: this changes the picture, hardly the memory."

# What each choice means; where a person leaves it to the rule, the value is empty.
TRANSFORMER_PRECISION_USUAL = "as usual: fp16, or bf16 beside a bf16 text encoder"
TRANSFORMER_PRECISION_EFFECTS: Mapping[TransformerPrecision, str] = {
    TransformerPrecision.FP16: "full quality",
    TransformerPrecision.BF16: "a wider range and fewer digits",
    TransformerPrecision.FP8: "weights rounded to 8-bit floats, computed in 16 bits; steps take longer",
    TransformerPrecision.INT8: "weights and products in 8 bits; needs an NVIDIA GPU",
    TransformerPrecision.NF4: "weights in 4 bits, pictures differ most; needs an NVIDIA GPU",
}
# The weights of PixArt's published transformers.
TRANSFORMER_PRECISION_COSTS: Mapping[TransformerPrecision, str] = {
    TransformerPrecision.FP16: "1.2 GB",
    TransformerPrecision.BF16: "1.2 GB",
    TransformerPrecision.FP8: "0.6 GB",
    TransformerPrecision.INT8: "0.6 GB",
    TransformerPrecision.NF4: "0.36 GB",
}

# The estimate above the button
FOR_PICTURES = " for {count} pictures"
OF_BUDGET = "{peak} of {budget}"
OF_RAM = "{peak} of RAM"
ESTIMATE = "estimate"
NO_ESTIMATE = "Time and memory are known once the engine has started."
WHY = "Why"
BESIDE_WORKER = "for weights and work, beside the engine's own"
BESIDE_CONTEXT = "+ {size} CUDA context"
BESIDE_CONTEXT_UNKNOWN = "+ the CUDA context, not measured here"
FITS_CARD = ": fits a {size} GB card"
LEAST = "The least that this can be made with is {size}."

# The header
THEME_SWITCH = "Switch between light and dark"
MEMORY_FREE = "{free} of {total} GiB free"
BUDGET_FREE = "{free} of {total} GiB budget free"
ENGINE_STARTING = "Starting the engine…"
ENGINE_READY = "Ready"
QUEUE_RUNNING = "▶ {step}/{steps}"
QUEUE_WAITING = "{count} waiting"
QUEUE_PAUSED = "Paused"

# The stage
EMPTY_TITLE = "Say what you would like to see"
EMPTY_TEXT = "Choose one of these to begin, or write your own and press Generate."
EXAMPLES = "Examples"
EXAMPLES_TINY: Sequence[str] = (
    "a red circle above a blue square at sunset",
    "a yellow moon above a purple house at night",
    "a green tree to the left of a small red house in the snow",
    "a blue boat by the sea at dawn, watercolour",
    "a pink heart to the right of a yellow star, neon",
    "an orange sun above a purple mountain, pixel art",
)
EXAMPLES_LARGE: Sequence[str] = (
    "a small red lighthouse on a cliff, morning fog, long exposure",
    "a fox asleep in a library, warm lamplight, oil painting",
    "a glass greenhouse on the moon, wide shot, volumetric light",
    "macro photograph of a dew drop on a fern, shallow depth of field",
    "a paper boat on a rainy street, reflections, cinematic",
    "an old clockmaker at his bench, portrait, soft window light",
)
PHASES: Mapping[str, str] = {"encode": "Encode", "denoise": "Denoise", "decode": "Decode"}
WAITING_FOR_ENGINE = "Waiting for the engine to start…"
WAITING_TURN = "Waiting for its turn."
WAITING_PAUSED = "Waiting: the queue is paused."
ENCODING = "Encoding the prompt."
DENOISING = "Step {step} of {steps}."
DENOISED = "Drawing: {share} done."
DECODING = "Turning latents into pixels."
SAVING = "Saving the picture."
PREPARING = "Preparing {what}, once: {amount}."
PREPARED: Mapping[str, str] = {"text_encoder": "T5 as {precision}", "transformer": "the transformer", "vae": "the VAE"}
PREPARED_ELSE = "the weights"
STEPPED_DOWN = "Memory ran out, so a smaller plan was taken."
RESTARTED = "The engine was restarted; this picture is made again."
CANCELLING = "Cancelling after this step…"
CANCELLED = "Cancelled. Nothing was saved."
DONE = "Done in {seconds:.1f} s"
SECONDS = "{seconds:.1f} s"
CACHED = "cached"
FAILED = "This picture could not be made."
FILE_GONE = "This picture's file is no longer on disk."
PREVIEW_ALT = "Preview: {prompt}"
CANCEL = "Cancel"
CANCEL_KEYS = "Esc"
REUSE_SETTINGS = "Reuse settings"
REUSE_SEED = "Reuse seed"
DOWNLOAD = "Download PNG"
RECENT = "Recent"
RECENT_EMPTY = "Your pictures collect here."
TILES = "Pictures of this request"
SHOW_PICTURE = "Show: {prompt}"

# How a picture was made
HOW_MADE = "How it was made"
VRAM = "VRAM"
RAM = "RAM"
TIME = "Time"
PREDICTED = "predicted"
MEASURED = "measured"
NO_FIGURE = "–"
SUM_BYTES = "{measured}, predicted {predicted}"
SUM_SECONDS = "{measured}, predicted {predicted}"
PROMPT_KNOWN = "The prompt was encoded already: T5 was not needed."
MOVED = "{size} were moved."
NOTHING_MOVED = "No weights were moved."
GROUP_NOTE = (
    "Made in a group of {count}: encoding served all of them, and the other phases' predicted times are averages."
)
RAM_NOTE = "Predicted is RAM for weights and work; measured is the whole engine at its largest since it started."

# The queue: what stands above the list
NUM_RUNNING = "{count} being made"
NUM_WAITING = "{count} waiting"
NOTHING_OPEN = "Nothing is waiting"
QUEUE_HINT = "Jobs go on while this page is closed. Everybody who has it open sees the same list."
PAUSE = "Pause"
RESUME = "Resume"
# What only an owner may do, as the end of a sentence.
TO_PAUSE, TO_RESUME = "pause the queue", "let the queue go on"
PAUSED = "Paused: {reason}. No new picture is started."
CANCEL_ALL = "Cancel all"
TIME_LEFT = "{time} left"
NO_TIME = "How long it takes is known once the engine has started."
NO_TIME_PAUSED = "How long it takes is known once it goes on."
FILTER = "Which jobs are listed"
SHOWS: Mapping[str, str] = {
    "open": "Open",
    "done": "Done",
    "failed": "Failed",
    "cancelled": "Cancelled",
    "all": "All",
}
SEARCH = "Search the prompts"

# The queue: the list
JOBS = "Jobs"
JOB = "Job {id}"
STEPS_SHORT, STEP_SHORT = "{steps} steps", "1 step"
TRANSFORMER_SHORT = "transformer {precision}"
COMPILED = "compiled"
GUIDANCE_SHORT = "guidance {guidance:g}"
NO_GUIDANCE = "no guidance"
SEED_SHORT = "seed {seed}"
WAITING = "Waiting"
IN_LINE = "{place} in line"
DONE_IN = "Done in {time}"
STATES: Mapping[str, str] = {"failed": "Failed", "cancelled": "Cancelled"}
DENOISE_STEP = "Denoise {step}/{steps}"
STOPPING = "Stopping…"
SAVING_SHORT = "Saving"
UP_NEXT = "Up next"
NOTHING_FOUND = "No job here says “{text}”."
LOOK_EVERYWHERE = "Look in all jobs"
NOTHING_HERE: Mapping[str, str] = {
    "open": "Add what is in the form, a prompt a line, or a file of many rows: it stands here, in order of its turn.",
    "done": "No picture is done yet.",
    "failed": "No job has failed.",
    "cancelled": "No job was cancelled.",
    "all": "The queue is empty.",
}
PAGES = "Pages of the list"
PAGE_OF = "{first}–{last} of {total}"
FIRST_PAGE = "First"
PREVIOUS_PAGE = "Previous"
NEXT_PAGE = "Next"
LAST_PAGE = "Last"
FOLDS: Mapping[str, str] = {"failed": "Failed", "done": "Done"}
RETRY_FAILED = "Retry all"
ALL_PICTURES = "Download all pictures"
CLEAR = "Clear what ended"
CLEAR_ASK = "Take all done, failed and cancelled jobs off the list? Their pictures stay in the Gallery."
NO_PICTURES = "None of these jobs has a picture: choose some that are done."
EXPORT = "Export"
EXPORTS: Mapping[str, str] = {
    "/export/queue.csv": "This list as CSV",
    "/export/queue.json": "This list as JSON",
    "/archive.zip": "Its pictures as ZIP",
}
LOADS_SAVED = "{saved} loads of T5 saved"
LOADS_SAVED_HINT = "Loads of T5 so far: {loads}. One serves a whole group, and a prompt that is known needs none."
SHOW_ALL = "Show all {count}"

# The queue: the ways in
ADD_JOBS = "Add jobs"
WAYS: Mapping[str, str] = {"form": "Form", "lines": "Lines", "file": "File"}
VARY_LABEL = "Vary"
VARY: Mapping[str, str] = {
    "": "Nothing",
    "seed": "Seed",
    "steps": "Steps",
    "guidance_scale": "Guidance",
    "scheduler": "Scheduler",
    "precision": "Text encoder precision",
}
VALUES = "Values"
VALUES_HINT = "With commas between; 1-8 stands for all from 1 to 8"
NO_VALUES = "There is no value to try: write some, for example 10, 20, 30."
TOO_MANY_VALUES = "More than {count} values are too many at a time: write fewer."
# What stands there first; the scheduler's are those of the checkpoint.
VARY_EXAMPLES: Mapping[str, str] = {
    "": "",
    "seed": "1-4",
    "steps": "10, 20, 30",
    "guidance_scale": "3, 4.5, 6",
    "precision": "fp16, int8, nf4",
}
EACH = "Seeds"
LINES = "Prompts, one a line"
LINES_EXAMPLE = "a {red|blue} circle above a green square\na yellow moon above a purple house"
LINES_HINT = "{red|blue} makes a job of each, a wildcard a job of every line of its list."
WILDCARDS = "Wildcards"
FILE = "CSV, JSON or JSONL"
FILE_HINT = "Or one of ours:"
FILE_IS_GONE = "The file is no longer here: choose it again."
KINDS: Mapping[str, str] = {"lines": "lines", "CSV": "CSV", "JSON": "JSON", "JSONL": "JSONL"}
ROW = "Row"
WITHOUT = "without {text}"
FROM_FORM = "As in the form: {settings}."
AND_MORE = "and {count} more"
PROBLEM_ROW = "One row is not right, so nothing is added yet."
PROBLEM_ROWS = "{count} rows are not right, so nothing is added yet."
NOTHING_TO_ADD: Mapping[str, str] = {
    "form": "There is no prompt in the form on Single yet.",
    "lines": "Everything but the prompt is taken from the form on Single.",
    "file": "What a row leaves out is taken from the form on Single.",
}
ADD = "Add"
ADD_COUNT = "Add {jobs}"

# The queue: what can be done with the selected jobs
SELECTION = "Selected jobs"
SELECT_ALL = "Select all on this page"
MOVE_FIRST = "First"
MOVE_UP = "Up"
MOVE_UP_KEYS = "Alt + ↑"
MOVE_DOWN = "Down"
MOVE_DOWN_KEYS = "Alt + ↓"
MOVE_LAST = "Last"
RETRY = "Try again"
DUPLICATE = "Duplicate"
CANCEL_SELECTED_KEYS = "Del"
EDIT = "Edit"
OPEN_JOB = "Open"
OPEN_JOB_ID = "Open job {id}"
DOWNLOAD_ZIP = "Download"
CLEAR_SELECTION = "Unselect"
UNDO = "Undo"
DISMISS = "Close"
JOB_ADDED, JOBS_ADDED = "1 job is in the queue.", "{count} jobs are in the queue."
PLACE = "It is {place} in line."
FIRST_PLACE = "The first is {place} in line."
JOB_CANCELLED, JOBS_CANCELLED = "1 job is cancelled.", "{count} jobs are cancelled."
JOB_RESTORED, JOBS_RESTORED = "1 job is back in line.", "{count} jobs are back in line."
STILL_STOPPING = "One is still stopping: try it again in a moment."
JOB_RETRIED, JOBS_RETRIED = "1 job is tried again.", "{count} jobs are tried again."
JOB_DUPLICATED, JOBS_DUPLICATED = "1 copy stands at the end.", "{count} copies stand at the end."
JOB_CLEARED, JOBS_CLEARED = "1 job is off the list.", "{count} jobs are off the list."
SELECT_WHOLE = "All pages"
NONE_OF_THESE = "None of these jobs is in a state for that: choose others."
UNKNOWN_VERB = "This page is older than the app: reload it."

# The form while a job of the queue is changed
SAVE = "Save"
SAVE_JOB = "Save job {id}"
ADD_AS_NEW = "Add as new"
LEAVE = "Discard"
EDITING = "These are the settings of job {id}. It waits as it was until you save."
SAVED = "Job {id} is changed and keeps its place."
HAS_BEGUN = "Job {id} has begun or is over, so it cannot be changed any more: duplicate it and change the copy."

# Comparisons: what is asked
COMPARE = "Compare"
COMPARE_THIS = "Compare"
NEW_COMPARISON = "New comparison"
COMPARE_AXIS = "What varies"
COMPARE_SECOND_AXIS = "And also"
COMPARE_NO_AXIS = "Nothing else"
COMPARE_VALUES = "Values"
COMPARE_MORE = "More values"
COMPARE_MORE_HINT = "With commas between, for example {example}"
COMPARE_PROMPTS_LABEL = "Prompts"
COMPARE_PROMPTS: Mapping[str, str] = {"form": "The one on Single", "set": "24 of ours", "lines": "Lines"}
COMPARE_LINES = "Prompts, one a line"
COMPARE_LINES_EXAMPLE = "a red circle above a blue square\na yellow moon above a purple house"
COMPARE_START = "Start"
COMPARE_START_COUNT = "Start {runs}"
COMPARE_AXES: Mapping[str, str] = {
    "precision": "Text encoder precision",
    "transformer-precision": "Transformer precision",
    "strategy": "Memory strategy",
    "numerics": "Numerics",
    "scheduler": "Scheduler",
    "steps": "Steps",
    "guidance": "Guidance",
    "size": "Size",
    "checkpoint": "Checkpoint",
    "seed": "Seed",
}
COMPARE_EXAMPLES: Mapping[str, str] = {
    "strategy": "ours@3GiB, diffusers:group-block-stream",
    "steps": "12, 16",
    "guidance": "2.5, 7",
    "size": "192x320",
    "seed": "7, 42",
    "checkpoint": "a folder of this machine",
}
COMPARE_NO_PROMPT = "There is no prompt on Single yet. Take one of these, or write your own there:"
COMPARE_NOTHING = "Write a prompt a line."
COMPARE_BASE = "All else as on Single: {settings}."
COMPARE_REFERENCE = "reference"
COMPARE_GRID = "{columns} for {prompts}"
COMPARE_FLOOR = "The reference also runs again and with another seed, so that differences have a scale."
COMPARE_PEAK = "peak {peak}"
COMPARE_NO_TIME = "how long it takes is known once the engine has started"
COMPARE_STARTED = "{runs} are in the queue."

# Comparisons: those that are kept
COMPARISONS = "Comparisons"
COMPARE_EMPTY_TITLE = "What does each precision cost?"
COMPARE_EMPTY_TEXT = (
    "One prompt, drawn in several ways: pictures side by side, with the memory, the time and the distance of each. "
    "Press Start; the runs go through the queue like any other job."
)
COMPARE_DONE_OF = "{done} of {total}"
COMPARE_RUNNING = "{done} of {total} runs done"
COMPARE_PARTLY = "{done} of {total} runs done; the others were not run"
COMPARE_COMPLETE = "All {total} runs done"
COMPARE_UNREADABLE = "cannot be read"
COMPARE_RENAME = "Rename"
COMPARE_RENAME_LABEL = "Name of this comparison"
COMPARE_DELETE = "Delete"
COMPARE_DELETE_ASK = "Delete “{name}” with its pictures? This cannot be taken back."
COMPARE_CANCEL = "Cancel"
COMPARE_RESUME = "Run the rest"
COMPARE_REPORT = "Report"
COMPARE_REPORTS: Mapping[str, str] = {
    "report.html?open": "Open the report",
    "report.html": "Report as HTML",
    "report.json": "Report as JSON",
    "report.csv": "Table as CSV",
    "figure.png": "Figure as PNG",
}
COMPARE_RENAMED = "It is called “{name}” now."
COMPARE_DELETED = "“{name}” is deleted."
COMPARE_CANCELLED = "Its open runs are cancelled; what is done stays."
COMPARE_RESUMED = "{runs} are in the queue again."
COMPARE_NOTHING_TO_RESUME = "Every run has its result or its place in the queue."
RUN, RUNS = "1 run", "{count} runs"
COLUMN, COLUMNS = "1 way", "{count} ways"
PROMPT_COUNT, PROMPTS_COUNT = "1 prompt", "{count} prompts"

# Comparisons: what came of it
COMPARE_ADVICE = "Which should I use?"
COMPARE_ADVICE_FOR = "For"
COMPARE_ROOM_HERE = "{name}, {free} free"
COMPARE_ROOM_OF = "{name} with {size}"
COMPARE_ROOM_ANY = "any device"
COMPARE_ROOM = "a budget of {size} GiB"
COMPARE_ONE_BY_ONE = "One by one"
COMPARE_PICTURES = "Pictures"
COMPARE_PICK_HINT = "Choose two pictures to lay them over each other."
COMPARE_PICKED_HINT = "Now choose the second one."
COMPARE_PICK = "{name}: {prompt}"
COMPARE_SCALE = "The scale"
COMPARE_OTHER_PROMPTS = "The other {count} prompts"
COMPARE_WAITING = "Waiting"
COMPARE_NOT_RUN = "Not run"
COMPARE_IS_REFERENCE = "the reference"
COMPARE_IDENTICAL = "identical to the reference"
COMPARE_LEVELS = "{levels:.1f} levels away"
COMPARE_NO_PICTURE = "its picture is gone"
COMPARE_TIMELINE = "Memory over time"
COMPARE_TIMELINE_LABEL = "Memory over time, a line for each run. The arrow keys move through it."
COMPARE_TIMELINE_HINT = "Point at a moment, or move through it with the arrow keys."
COMPARE_BARS = "Side by side"
COMPARE_BAR_MEMORY = "Memory"
COMPARE_BAR_SECONDS = "Seconds"
COMPARE_BAR_DISTANCE = "Difference, × another seed"
COMPARE_BAR_LOADING = "of them {seconds} loading"
COMPARE_NONE = "none"
COMPARE_LEAST = "under 0.01"
COMPARE_TABLE = "Every run"
COMPARE_TABLE_ALL = "Over all rows"
COMPARE_TABLE_HINT = "Press a heading to sort."
COMPARE_METHOD = "How it was measured"
COMPARE_VERSIONS = "Versions"

# Comparisons: two pictures
PAIR = "Two pictures"
PAIR_FIRST = "Left"
PAIR_SECOND = "Right"
PAIR_SWAP = "Swap"
PAIR_MODES: Mapping[str, str] = {"slider": "Slider", "beside": "Side by side", "map": "Heat map"}
PAIR_MODE = "How they are shown"
PAIR_ZOOMS: Mapping[str, str] = {"fit": "Fit", "1": "1:1", "2": "2×", "4": "4×"}
PAIR_ZOOM = "Zoom"
PAIR_CLOSE = "Close"
PAIR_SLIDER = "How much of the left picture is shown"
PAIR_MAP_ALT = "Where the two pictures differ: the brighter, the more"
PAIR_IDENTICAL = "The two pictures are identical, pixel by pixel."
PAIR_DIFFER = "They differ by {levels:.1f} levels of 255 (PSNR {psnr:.1f} dB)."
PAIR_SHARE = "That is {share}."
PAIR_SCALE = "{scale} levels of 255, or more"
PAIR_GONE = "A picture of this pair is no longer here: choose two others."

# Messages
REUSED_SETTINGS = "The settings of that picture are in the form."
REUSED_SEED = "Seed {seed} is kept for the next pictures."
ALREADY_OVER = "Nothing is running that could be cancelled."
UNKNOWN_JOB = "That picture is no longer in the journal: choose another one."
BROKEN = "Something went wrong inside the app ({kind}): the details are in its terminal; try again."
CONNECTION_LOST = "The app does not answer. Your prompt is kept; this page goes on as soon as it is back."

# What script needs to say
SCRIPT_WORDS: Mapping[str, str] = {
    "lost": CONNECTION_LOST,
    "selected": "{count} selected",
    "soon": "any moment",
    "seconds": "in {n} s",
    "minutes": "in {n} min",
    "at": "at {time}",
    "span": "Starts about {starts}, done about {ends}",
    "yes": "Yes",
    "no": "No, leave it",
    "pick": COMPARE_PICK_HINT,
    "picked": COMPARE_PICKED_HINT,
    "name": COMPARE_RENAME_LABEL,
    "save": SAVE,
    "leave": LEAVE,
    "gone": PAIR_GONE,
}


def enqueued(count: int, place: int | None) -> str:
    """What was added, and where it stands; the place is None once it has begun."""
    added = count_jobs(count, JOB_ADDED, JOBS_ADDED)
    if place is None:
        return added
    return f"{added} {(FIRST_PLACE if count > 1 else PLACE).format(place=ordinal(place))}"


def num_jobs(count: int) -> str:
    return "1 job" if count == 1 else f"{count:,} jobs"


def num_runs(count: int) -> str:
    return count_jobs(count, RUN, RUNS)


def quarters(share: float) -> str:
    """As far as whole quarters: 0 %, 25 %, 50 %, 75 %, 100 %."""
    return f"{int(4 * share) * 25} %"


def num_steps(steps: object) -> str:
    return STEP_SHORT if str(steps) == "1" else STEPS_SHORT.format(steps=steps)


def num_seeds(count: int) -> str:
    return f"{count} seeds"


def setting(name: str, value: object) -> str:
    """A setting with its value, in short."""
    match name:
        case "steps":
            return num_steps(value)
        case "guidance_scale":
            return GUIDANCE_SHORT.format(guidance=value)
        case "seed":
            return SEED_SHORT.format(seed=value)
        case "transformer_precision":
            return TRANSFORMER_SHORT.format(precision=value)
    return str(value)


def example_name(file: str) -> str:
    """`article_queue.csv` is shown as: Article queue."""
    stem = file.rpartition(".")[0].replace("_", " ").replace("-", " ")
    return stem[:1].upper() + stem[1:]


def count_jobs(count: int, one: str, several: str) -> str:
    """The sentence for one job, or the one for any other number of them."""
    return one if count == 1 else several.format(count=f"{count:,}")


def ordinal(number: int) -> str:
    """1st, 2nd, 3rd, 4th; 11th; 1,021st."""
    ending = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number:,}{ending}"


def size_label(width: int, height: int) -> str:
    return f"{width}×{height}"


def duration(seconds: float) -> str:
    """As precise as it is worth: 6.2 s, 45 s, 3 min 20 s, 2 h 5 min."""
    if seconds < 0.05:
        return "under 0.1 s"
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 100:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s" if whole % 60 else f"{whole // 60} min"
    minutes = round(whole / 60)
    return f"{minutes // 60} h {minutes % 60} min" if minutes % 60 else f"{minutes // 60} h"


def about(seconds: float) -> str:
    text = duration(seconds)
    return text if text.startswith("under") else f"about {text}"


def part_of(done: int, total: int) -> str:
    """How much of a file, as disks are counted: 3.2 of 6.3 GB."""
    if total >= 10**9:
        return f"{done / 10**9:.1f} of {total / 10**9:.1f} GB"
    return f"{done / 10**6:.0f} of {total / 10**6:.0f} MB"


def as_sentence(text: str) -> str:
    """With a capital letter and a full stop."""
    return f"{text[:1].upper()}{text[1:].rstrip('.')}." if text else ""


def title(running: tuple[int, int] | None, waiting: int) -> str:
    """What the browser's tab says."""
    state = []
    if running is not None:
        state.append(QUEUE_RUNNING.format(step=running[0], steps=running[1]))
    if waiting:
        state.append(QUEUE_WAITING.format(count=f"{waiting:,}"))
    return f"{' · '.join(state)} – {TITLE}" if state else TITLE
