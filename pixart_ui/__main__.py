"""`python -m pixart_ui`."""

from __future__ import annotations

import gc
import sys

from pixart_ui.cli import main

if __name__ == "__main__":
    code = main()
    # With torch loaded, the interpreter's last look for garbage takes a second or more, and nothing hangs on it.
    gc.freeze()
    sys.exit(code)
