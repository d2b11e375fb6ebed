import re
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from ultrarefiner.visualization.report import (
    Point,
    Series,
    line_chart,
    mask_path,
    picture_size,
    picture_uri,
    scatter_chart,
)


def polygons(path):
    return [np.array(re.findall(r'([-\d.]+) ([-\d.]+)', part), float) for part in path.split('Z') if part]


def area(path):
    """Of the fill rule 'evenodd', for outlines that lie in one another."""
    areas = [
        abs(np.dot(p[:, 0], np.roll(p[:, 1], 1)) - np.dot(p[:, 1], np.roll(p[:, 0], 1))) / 2 for p in polygons(path)
    ]
    return max(areas) - sum(sorted(areas)[:-1])


def ring(outer, inner, size=200):
    y, x = np.mgrid[:size, :size] + 0.5
    distance = np.hypot(x - 100, y - 90)
    return (distance <= outer) & (distance > inner)


def test_an_outline_has_the_area_of_its_mask_holes_left_out():
    for mask in (ring(60, 0), ring(60, 30)):
        assert area(mask_path(mask)) == pytest.approx(mask.sum(), rel=0.01)
    assert len(polygons(mask_path(ring(60, 30)))) == 2


def test_an_outline_is_in_pixels_of_the_scaled_picture():
    large = np.kron(ring(60, 0), np.ones((6, 6))) > 0
    assert picture_size(1200, 1200) == (480, 480)
    assert area(mask_path(large)) == pytest.approx(large.sum() * 0.4**2, rel=0.01)


def test_outlines_of_masks_at_the_border_tiny_and_empty():
    whole = np.ones((20, 30), bool)
    assert polygons(mask_path(whole))[0].min(0) == pytest.approx([0, 0], abs=0.5)
    assert polygons(mask_path(whole))[0].max(0) == pytest.approx([30, 20], abs=0.5)
    dot = np.zeros((2000, 2000), bool)
    dot[1000, 400] = True
    assert polygons(mask_path(dot))[0].mean(0) == pytest.approx([96, 240], abs=1)
    assert mask_path(np.zeros((20, 30), bool)) == ''


def test_a_picture_is_made_small_never_large():
    assert [picture_size(*size) for size in ((960, 480), (100, 50), (4000, 3))] == [(480, 240), (100, 50), (480, 1)]
    assert picture_uri(Image.new('L', (9, 9))).startswith('data:image/jpeg;base64,/9j/')


def test_points_lie_where_their_values_say_and_lead_to_their_cases():
    points = [Point(0, 0, 'win', 'a <b>', '#case/a'), Point(1, 0.5, 'loss', 'c')]
    svg = ElementTree.fromstring(scatter_chart(points, 'x', 'y', 'all'))
    circles = svg.findall('.//circle')
    (x0, y0), (x1, y1) = ((float(c.get('cx')), float(c.get('cy'))) for c in circles)
    diagonal = next(line for line in svg.findall('line') if line.get('class') == 'diagonal')
    assert (x0, y0) == (float(diagonal.get('x1')), float(diagonal.get('y1')))
    assert x1 == float(diagonal.get('x2')) and y1 == pytest.approx((y0 + float(diagonal.get('y2'))) / 2, abs=0.1)
    assert [link.get('href') for link in svg.findall('a')] == ['#case/a']
    assert [circle.get('class') for circle in circles] == ['point win', 'point loss hollow']
    assert svg.find('a/circle/title').text == 'a <b>'


def test_a_line_goes_through_its_points_and_leaves_out_what_is_not_finite():
    lines = [Series('coarse', 'coarse', [(1, 0.5), (2, float('nan')), (3, 0.7)])]
    svg = ElementTree.fromstring(line_chart(lines, 'epoch', 'Dice'))
    corners = [tuple(map(float, corner.split(','))) for corner in svg.find('polyline').get('points').split()]
    assert len(corners) == 2 and corners[0][0] < corners[1][0] and corners[0][1] > corners[1][1]
    assert len(svg.findall('circle')) == 2


@pytest.mark.parametrize('values', [[0.5], [0.0], [0.3, 0.3]])
def test_a_line_that_does_not_change_is_drawn(values):
    svg = line_chart([Series('a', 'coarse', list(enumerate(values)))], 'epoch', 'Dice', zero_line=True)
    assert 'nan' not in svg and 'class="zero"' in svg
