"""Makes the fonts of the figures from the page's: `python -m scripts.figure_fonts`.

Matplotlib reads neither woff2 nor one weight of a variable font, so each weight becomes a file of its own. Figures
are full of numbers: the tabular digits take the place of the proportional ones.
"""

from __future__ import annotations

from pathlib import Path

from fontTools.ttLib import TTFont
from fontTools.varLib import instancer

FONTS = Path(__file__).resolve().parent.parent / "pixart_ui" / "assets" / "fonts"
SOURCE = FONTS / "inter-latin-wght-normal.woff2"
WEIGHTS = (400, 600)
# Their glyphs' names; other signs of the feature, such as the hyphen, stand in words too.
DIGITS = frozenset(("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"))
# What Matplotlib does not look at.
UNUSED = ("GSUB", "GDEF", "STAT")


def main() -> None:
    for weight in WEIGHTS:
        font = instancer.instantiateVariableFont(TTFont(SOURCE), {"wght": weight})
        _use_tabular_digits(font)
        for table in UNUSED:
            if table in font:
                del font[table]
        font.flavor = None
        path = FONTS / f"inter-latin-{weight}.ttf"
        font.save(path)
        print(f"{path.name}: {path.stat().st_size:,} bytes")


def _use_tabular_digits(font: TTFont) -> None:
    swaps = {name: other for name, other in _substitutions(font, "tnum").items() if name in DIGITS}
    for table in font["cmap"].tables:
        table.cmap.update({code: swaps[name] for code, name in table.cmap.items() if name in swaps})


def _substitutions(font: TTFont, feature: str) -> dict[str, str]:
    """Glyph to glyph, of a feature that swaps one for one."""
    found: dict[str, str] = {}
    table = font["GSUB"].table
    for record in table.FeatureList.FeatureRecord:
        if record.FeatureTag == feature:
            for index in record.Feature.LookupListIndex:
                for subtable in table.LookupList.Lookup[index].SubTable:
                    found.update(getattr(getattr(subtable, "ExtSubTable", subtable), "mapping", {}))
    return found


if __name__ == "__main__":
    main()
