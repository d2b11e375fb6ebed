"""Charts as SVG inside of the page: they take its colours, light or dark, and their points are links.

Every element gets its looks from the classes of ``style.css``; text is escaped by the XML writer.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from xml.etree.ElementTree import Element, SubElement, tostring

from markupsafe import Markup
from matplotlib.ticker import MaxNLocator

# About as wide as a telephone, so that text is of readable size there; a wider card enlarges it.
WIDTH, HEIGHT, SQUARE = 400, 250, 400
LEFT, RIGHT, TOP, BOTTOM = 46, 12, 12, 40
DOTS = 12  # of more points the line says enough


@dataclass(frozen=True)
class Series:
    """A line.

    Args:
        name (str): For the legend.
        look (str): A class of ``style.css``, such as 'refined'.
        points (Sequence[tuple[float, float]]): x and y; those that are not finite leave a gap.
    """

    name: str
    look: str
    points: Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Point:
    """A point of a scatter plot.

    Args:
        x (float): In [0, 1].
        y (float): In [0, 1].
        look (str): A class of ``style.css``, such as 'win'.
        label (str): What it says when pointed at, and to a screen reader.
        link (str): Where it leads, '#...'; '' for a point that leads nowhere, which is drawn hollow.
    """

    x: float
    y: float
    look: str
    label: str
    link: str = ''


def line_chart(series: Sequence[Series], x_label: str, label: str, zero_line: bool = False) -> Markup:
    """Draw lines over time.

    Args:
        series (Sequence[Series]): With at least one finite point among them.
        x_label (str): Below the axis, such as 'epoch'.
        label (str): What the chart shows, for a screen reader.
        zero_line (bool): Whether 0 belongs on the axis and has a line, as for differences.

    Returns:
        Markup: An ``svg`` element.
    """
    points = [point for line in series for point in line.points if math.isfinite(point[1])]
    xs, ys = [x for x, _ in points], [y for _, y in points] + [0.0] * zero_line
    frame = _Frame(WIDTH, HEIGHT, _ticks(xs, whole=True), _ticks(ys))
    svg = frame.svg(label, x_label)
    if zero_line:
        frame.line(svg, 'zero', (frame.x_low, 0), (frame.x_high, 0))
    for line in series:
        finite = [point for point in line.points if math.isfinite(point[1])]
        corners = ' '.join(f'{frame.x(x):.1f},{frame.y(y):.1f}' for x, y in finite)
        SubElement(svg, 'polyline', {'class': f'line {line.look}', 'points': corners})
        if len(finite) <= DOTS:
            for x, y in finite:
                dot = frame.dot(svg, f'dot {line.look}', x, y, 3.2)
                SubElement(dot, 'title').text = f'{line.name}, {x_label} {x:g}: {y:.4g}'
    return _markup(svg)


def scatter_chart(points: Sequence[Point], x_label: str, y_label: str, label: str) -> Markup:
    """Draw points of two values of the same kind, with the diagonal on which both are equal.

    Args:
        points (Sequence[Point]): Both values in [0, 1].
        x_label (str): Below.
        y_label (str): On the left.
        label (str): What the chart shows, for a screen reader.

    Returns:
        Markup: An ``svg`` element.
    """
    ticks = [0, 0.2, 0.4, 0.6, 0.8, 1.0]
    frame = _Frame(SQUARE, SQUARE, ticks, ticks)
    svg = frame.svg(label, x_label, y_label)
    frame.line(svg, 'diagonal', (0, 0), (1, 1))
    for point in points:
        holder = SubElement(svg, 'a', {'href': point.link, 'aria-label': point.label}) if point.link else svg
        look = f'point {point.look}' + ('' if point.link else ' hollow')
        SubElement(frame.dot(holder, look, point.x, point.y, 4.5), 'title').text = point.label
    return _markup(svg)


class _Frame:
    """Axes: from values to places."""

    def __init__(self, width: int, height: int, x_ticks: Sequence[float], y_ticks: Sequence[float]):
        self.width, self.height = width, height
        self.x_ticks, self.y_ticks = x_ticks, y_ticks
        self.x_low, self.x_high, self.y_low, self.y_high = x_ticks[0], x_ticks[-1], y_ticks[0], y_ticks[-1]

    def x(self, value: float) -> float:
        return LEFT + (value - self.x_low) / (self.x_high - self.x_low) * (self.width - LEFT - RIGHT)

    def y(self, value: float) -> float:
        share = (value - self.y_low) / (self.y_high - self.y_low)
        return self.height - BOTTOM - share * (self.height - TOP - BOTTOM)

    def svg(self, label: str, x_label: str, y_label: str = '') -> Element:
        box = f'0 0 {self.width} {self.height}'
        svg = Element('svg', {'class': 'chart', 'viewBox': box, 'role': 'group', 'aria-label': label})
        for value in self.y_ticks:
            self.line(svg, 'grid', (self.x_low, value), (self.x_high, value))
            self._text(svg, LEFT - 7, self.y(value) + 4, _number(value), 'end')
        for value in self.x_ticks:
            self._text(svg, self.x(value), self.height - BOTTOM + 17, _number(value), 'middle')
        middle = (LEFT + self.width - RIGHT) / 2
        self._text(svg, middle, self.height - 5, x_label, 'middle', 'axis')
        if y_label:
            centre = (TOP + self.height - BOTTOM) / 2
            text = self._text(svg, 11, centre, y_label, 'middle', 'axis')
            text.set('transform', f'rotate(-90 11 {centre:.0f})')
        return svg

    def line(self, parent: Element, look: str, start: tuple[float, float], end: tuple[float, float]) -> None:
        (x1, y1), (x2, y2) = ((f'{self.x(x):.1f}', f'{self.y(y):.1f}') for x, y in (start, end))
        SubElement(parent, 'line', {'class': look, 'x1': x1, 'y1': y1, 'x2': x2, 'y2': y2})

    def dot(self, parent: Element, look: str, x: float, y: float, radius: float) -> Element:
        place = {'cx': f'{self.x(x):.1f}', 'cy': f'{self.y(y):.1f}', 'r': f'{radius:g}'}
        return SubElement(parent, 'circle', {'class': look, **place})

    @staticmethod
    def _text(parent: Element, x: float, y: float, text: str, anchor: str, look: str = 'tick') -> Element:
        place = {'x': f'{x:.1f}', 'y': f'{y:.1f}', 'text-anchor': anchor}
        element = SubElement(parent, 'text', {'class': look, **place})
        element.text = text
        return element


def _ticks(values: Sequence[float], whole: bool = False) -> list[float]:
    """Round numbers from at most the smallest to at least the largest value, two or more."""
    low, high = min(values), max(values)
    if low == high:
        margin = 1 if whole else abs(low) * 0.05 or 1
        low, high = low - (0 if whole and low == 0 else margin), high + margin
    return [float(tick) for tick in MaxNLocator(nbins=5, integer=whole, min_n_ticks=2).tick_values(low, high)]


def _number(value: float) -> str:
    return f'{value:.6g}'.replace('-', '\N{MINUS SIGN}')


def _markup(svg: Element) -> Markup:
    return Markup(tostring(svg, encoding='unicode'))
