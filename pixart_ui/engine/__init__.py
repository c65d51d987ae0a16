"""The engine: resolved requests in, events out. The only package that imports torch (and only when used)."""
