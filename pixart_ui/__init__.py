"""PixArt UI: PixArt-α/Σ pictures at full 16-bit quality on small cards. See README.md, chapter Design."""

__version__ = "0.1.0"
