"""`python -m pixart_ui`."""

from __future__ import annotations

import sys

from pixart_ui.cli import main

if __name__ == "__main__":
    sys.exit(main())
