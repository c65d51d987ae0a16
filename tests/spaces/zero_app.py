"""The real app as a Space on ZeroGPU, whose GPU is a processor and whose lender is `lender.py`.

python -m tests.spaces.zero_app FOLDER --port N --device cpu --data-dir FOLDER/data
"""

from __future__ import annotations

import sys
from pathlib import Path

from pixart_ui import cli
from tests.spaces.lender import Lender, import_spaces


def main() -> int:
    folder = Path(sys.argv.pop(1))
    import_spaces(Lender(), folder)
    import app

    return app.main()


if __name__ == "__main__":
    sys.exit(cli.at_the_edge(main))
