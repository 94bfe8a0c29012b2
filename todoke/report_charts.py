"""Small charts of the page of effects, as SVG: numbers only, whose names stand beside them in the page."""

from collections.abc import Iterable, Sequence

from transforms.metrics.effect import PastLook
from transforms.statistics.sequences import Interval

__all__ = ["interval_chart", "looks_chart", "looks_reach", "reach"]

_WIDTH, _HEIGHT = 640, 180
#: Room for the labels of the axis, in the chart's units.
_LEFT, _BELOW = 8, 4


def reach(intervals: Iterable[Interval]) -> float:
    """How far from 0 an axis goes that has all of these in it; 1 where none has an end."""
    ends = [abs(end) for between in intervals for end in between if end is not None]
    return max(ends, default=0) * 1.05 or 1.0


def interval_chart(value: float, between: Interval, most: float) -> str:
    """One interval on an axis from -most to most: a line with its estimate, and where nothing is."""
    low, high = (_x(end, most) if end is not None else far for end, far in zip(between, (0.0, 240.0), strict=True))
    way = "even" if between.has(0) else "up" if value > 0 else "down"
    return (
        '<svg class="interval" viewBox="0 0 240 24" preserveAspectRatio="none" aria-hidden="true">'
        '<line class="zero" x1="120" x2="120" y1="0" y2="24"/>'
        f'<line class="{way}" x1="{low:.1f}" x2="{high:.1f}" y1="12" y2="12"/>'
        f'<line class="{way} dot" x1="{_x(value, most):.1f}" x2="{_x(value, most):.1f}" y1="12" y2="12"/></svg>'
    )


def _x(value: float, most: float) -> float:
    return 120 + 116 * max(-1.0, min(value / most, 1.0))


def looks_reach(looks: Sequence[PastLook]) -> float:
    """How far from 0 the axis of a `looks_chart` goes, both ways."""
    return reach(look.between for look in looks[len(looks) // 4 :])  # the first are wide, and would flatten the rest


def looks_chart(looks: Sequence[PastLook]) -> str:
    """How a difference and its interval went, by day of entry; empty where there were fewer than two looks."""
    if len(looks) < 2:
        return ""
    most = looks_reach(looks)

    def y(value: float | None, far: float) -> float:
        part = far if value is None else max(-1.0, min(value / most, 1.0))
        return _HEIGHT / 2 - part * (_HEIGHT / 2 - _BELOW)

    step = (_WIDTH - 2 * _LEFT) / (len(looks) - 1)
    xs = [_LEFT + step * place for place in range(len(looks))]
    over = [f"{x:.1f},{y(look.between.high, 1.0):.1f}" for x, look in zip(xs, looks, strict=True)]
    under = [f"{x:.1f},{y(look.between.low, -1.0):.1f}" for x, look in zip(xs, looks, strict=True)]
    line = " ".join(f"{x:.1f},{y(look.difference, 0):.1f}" for x, look in zip(xs, looks, strict=True))
    return (
        f'<svg class="looks" viewBox="0 0 {_WIDTH} {_HEIGHT}" preserveAspectRatio="none" role="img" '
        'aria-label="the difference and its interval by day of entry">'
        f'<polygon class="band" points="{" ".join([*over, *reversed(under)])}"/>'
        f'<line class="zero" x1="0" x2="{_WIDTH}" y1="{_HEIGHT / 2}" y2="{_HEIGHT / 2}"/>'
        f'<polyline class="line" points="{line}"/></svg>'
    )
