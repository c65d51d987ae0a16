"""Many prompts at once: text, CSV and JSON into requests, jobs into CSV, JSON and ZIP. No torch, no gradio, no journal.

A file becomes a `Draft`: every row is read and checked before any is added, and what is wrong says its row.
"""

from pixart_ui.batches.archive import zip_stream
from pixart_ui.batches.draft import Draft, RowProblem
from pixart_ui.batches.export import queue_rows, write_csv, write_json
from pixart_ui.batches.reading import ENDINGS, draft_of_prompts, read_draft, read_file, read_stream
from pixart_ui.batches.sharing import check_rows, predict_seconds
from pixart_ui.batches.wildcards import Wildcards

__all__ = [
    "ENDINGS",
    "Draft",
    "RowProblem",
    "Wildcards",
    "check_rows",
    "draft_of_prompts",
    "predict_seconds",
    "queue_rows",
    "read_draft",
    "read_file",
    "read_stream",
    "write_csv",
    "write_json",
    "zip_stream",
]
