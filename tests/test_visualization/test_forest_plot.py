"""The forest plot: every row is drawn where its numbers say."""

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from ultrarefiner.visualization.forest_plot import Panel, draw_forest_plot


def test_means_intervals_and_notes_stand_in_their_rows(tmp_path, monkeypatch):
    figures, save = [], Figure.savefig
    monkeypatch.setattr(Figure, 'savefig', lambda self, *args, **kw: (figures.append(self), save(self, *args, **kw)))
    panel = Panel('Dice', [0.7, np.nan, 0.9], [0.6, np.nan, 0.85], [0.8, np.nan, 0.95], reference=0.7)
    labels = ['box', 'mask', 'point']
    draw_forest_plot(tmp_path / 'plot.png', labels, [panel, panel], ['done', 'failed', 'done'])
    axis = figures[0].axes[1]
    means = next(line for line in axis.lines if line.get_marker() == 'o')
    assert means.get_xdata()[[0, 2]].tolist() == [0.7, 0.9] and means.get_ydata().tolist() == [0, 1, 2]
    segments = [path.vertices.tolist() for path in axis.collections[0].get_paths()]
    assert [[0.6, 0], [0.8, 0]] in segments and [[0.85, 2], [0.95, 2]] in segments
    assert [(text.get_text(), text.get_position()) for text in axis.texts] == [('failed', (0.5, 1))]
    assert axis.get_ylim()[0] > axis.get_ylim()[1], 'the first row is at the top'
    assert [tick.get_text() for tick in figures[0].axes[0].get_yticklabels()] == labels


def test_more_rows_make_a_taller_picture(tmp_path):
    heights = []
    for count in (1, 14):
        panel = Panel('Dice', [0.5] * count, [0.4] * count, [0.6] * count)
        draw_forest_plot(tmp_path / f'{count}.png', ['x'] * count, [panel], ['done'] * count)
        picture = np.asarray(Image.open(tmp_path / f'{count}.png').convert('RGB'))
        heights.append(picture.shape[0])
        blue = (picture == (31, 95, 168)).all(-1).any(1)  # rows of pixels with an interval or a mean in them
        assert int(np.diff(blue.astype(int)).clip(0).sum()) == count
    assert heights[1] > 3 * heights[0]
