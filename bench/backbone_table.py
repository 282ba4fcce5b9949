"""Write the table of docs/backbones.md from what the backbones declare: ``python bench/backbone_table.py``."""

from __future__ import annotations

from pathlib import Path

from stackbone.extract.backbones.backbone import BACKBONES, Backbone

PAGE = Path(__file__).resolve().parents[1] / "docs" / "backbones.md"
BEGIN, END = "<!-- made by bench/backbone_table.py -->\n", "<!-- end -->\n"
HEADER = "| name | timm model | input | width | GFLOP | M | licence |\n|---|---|---:|---:|---:|---:|---|\n"


def table() -> str:
    """Return the table in Markdown, of our own backbones alone."""
    return HEADER + "".join(_line(BACKBONES[name]) for name in BACKBONES.our_names)


def _line(backbone: Backbone) -> str:
    height, width = backbone.transform.input_size
    size = str(height) if height == width else f"{height} x {width}"
    licence = f"{backbone.licence or '-'}{', gated' if backbone.gated else ''}"
    numbers = [f"{value:,}" for value in (backbone.width, backbone.gflop, backbone.parameters) if value is not None]
    return f"| `{backbone.name}` | `{backbone.architecture}` | {size} | {' | '.join(numbers)} | {licence} |\n"


def with_table(page: str) -> str:
    """Return the page with the table as it is now.

    Raises
    ------
    ValueError
        If the page does not say where the table goes.
    """
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        message = f"{PAGE} has no lines {BEGIN.strip()!r} and {END.strip()!r}"
        raise ValueError(message)
    return f"{before}{BEGIN}\n{table()}\n{END}{after}"


if __name__ == "__main__":
    PAGE.write_text(with_table(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    print(f"{len(BACKBONES.our_names)} backbones in {PAGE}")
