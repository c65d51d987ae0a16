"""Where checkpoints are: finding, fetching and checking them. Brings in no torch, and touches nothing at import."""

from pixart_ui.hub.progress import DownloadProgress
from pixart_ui.hub.store import Hub, Located, Problem

__all__ = ["DownloadProgress", "Hub", "Located", "Problem"]
