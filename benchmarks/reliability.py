"""The reliability diagram: how often rows are right of which so much confidence is said.

`python -m benchmarks.judge_prior` draws it of tables that the confidence has not seen.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

__all__ = ["Reliability", "reliability", "reliability_figure"]


class Reliability(NamedTuple):
    """Rows of like confidence, a bin for each tenth; every table weighs the same.

    Attributes:
        share: `f64[10]`, of all rows.
        confidence: `f64[10]`, mean of each bin; not a number where it is empty.
        accuracy: `f64[10]`, likewise.
    """

    share: np.ndarray
    confidence: np.ndarray
    accuracy: np.ndarray


def reliability(tables: Sequence[Sequence[tuple[np.ndarray, np.ndarray]]]) -> Reliability:
    """How often rows of each confidence are right.

    Args:
        tables: confidence `f[n]` and `bool[n]` of the rows of every split of each table.
    """
    totals = np.zeros((3, 10))
    for splits in tables:
        for sure, right in splits:
            weight = np.full(len(sure), 1 / (len(tables) * len(splits) * len(sure)))
            of_bin = np.minimum((sure * 10).astype(int), 9)
            for row, values in zip(totals, (1.0, sure, right), strict=True):
                np.add.at(row, of_bin, weight * values)
    with np.errstate(invalid="ignore"):
        return Reliability(totals[0], totals[1] / totals[0], totals[2] / totals[0])


def reliability_figure(found: Reliability) -> str:
    """The diagram as SVG: accuracy against confidence, discs as large as their share of rows."""
    size, edge = 320, 44

    def at(x: float, y: float) -> tuple[float, float]:
        return edge + x * size, 10 + (1 - y) * size

    def line(start: tuple[float, float], end: tuple[float, float], look: str) -> str:
        (x1, y1), (x2, y2) = start, end
        return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" {look}/>'

    parts = []
    for tick in np.linspace(0, 1, 6):
        parts += [line(at(tick, 0), at(tick, 1), 'stroke="#ddd"')]
        parts += [line(at(0, tick), at(1, tick), 'stroke="#ddd"')]
        (x, y), (u, v) = at(tick, 0), at(0, tick)
        label = f"{100 * tick:.0f}"
        parts += [f'<text x="{x:.0f}" y="{y + 16:.0f}" text-anchor="middle">{label}</text>']
        parts += [f'<text x="{u - 6:.0f}" y="{v + 4:.0f}" text-anchor="end">{label}</text>']
    parts += [line(at(0, 0), at(1, 1), 'stroke="#888" stroke-dasharray="4"')]
    for share, sure, right in zip(*found, strict=True):
        if share > 0:
            x, y = at(sure, right)
            radius = 2 + 30 * np.sqrt(share)
            parts += [
                f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius:.1f}" fill="#3569b0" opacity="0.6">'
                f"<title>{100 * share:.1f} % of the rows: {100 * sure:.1f} % sure, "
                f"{100 * right:.1f} % right</title></circle>"
            ]
    middle = edge + size / 2
    parts += [
        f'<text x="{middle:.0f}" y="{size + 46}" text-anchor="middle">confidence (%)</text>',
        f'<text x="12" y="{10 + size / 2:.0f}" text-anchor="middle" '
        f'transform="rotate(-90 12 {10 + size / 2:.0f})">rows that are right (%)</text>',
    ]
    box = f"{edge + size + 20} {size + 54}"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {box}" width="{edge + size + 20}" '
        f'font-family="sans-serif" font-size="12">\n<rect width="100%" height="100%" '
        'fill="white"/>\n' + "\n".join(parts) + "\n</svg>\n"
    )
