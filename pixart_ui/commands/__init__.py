"""One module a command of `python -m pixart_ui`: `add_parser` says what it takes, `run` does it."""
