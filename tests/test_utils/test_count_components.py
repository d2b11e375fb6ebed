import numpy as np
import pytest

from ultrarefiner.utils.count_components import count_components


@pytest.mark.parametrize(
    'rows, count',
    [
        (['....', '....'], 0),
        (['####', '####'], 1),
        (['#..#', '#..#'], 2),
        (['#...', '.#..'], 1),  # a shared corner connects
        (['#.#.', '....', '#.#.'], 4),
    ],
)
def test_pieces_of_a_mask(rows, count):
    assert count_components(np.array([[pixel == '#' for pixel in row] for row in rows])) == count
