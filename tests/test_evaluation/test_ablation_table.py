"""The table of an ablation on per-image results made by hand."""

import numpy as np
import pandas as pd
import pytest

from ultrarefiner.evaluation.ablation_markdown import ablation_markdown
from ultrarefiner.evaluation.ablation_table import CellResult, ablation_table
from ultrarefiner.evaluation.statistics import bootstrap_interval

NAMES = [f'i{number}' for number in range(6)]
COARSE = np.array([0.5, 0.6, 0.7, 0.8, 0.9, 0.7])


def rows(refined, names=NAMES, coarse=COARSE, label='lesion') -> pd.DataFrame:
    """As `RefinementMetric` writes them."""
    refined, coarse = np.broadcast_to(refined, len(names)), np.asarray(coarse)[: len(names)]
    columns = {'coarse/Dice': coarse, 'refined/Dice': refined, 'delta/Dice': refined - coarse}
    return pd.DataFrame({'dataset': 'busi', 'name': names, 'class': label, **columns})


def cell(label: str, *frames: pd.DataFrame, **arguments) -> CellResult:
    return CellResult(label, dict(prompts=label), pd.concat(frames) if frames else None, **arguments)


def test_a_row_has_means_intervals_and_the_difference_to_the_base():
    better = COARSE + [0.1, 0.05, 0.1, 0.05, 0.05, 0.25]
    table = ablation_table([cell('box', rows(better)), cell('mask', rows(COARSE))], base='mask')
    box, mask = (row for _, row in table.iterrows())
    assert list(table['cell']) == list(table['prompts']) == ['box', 'mask'] and box['images'] == 6
    assert box['refined/Dice'] == pytest.approx(0.8) and box['delta/Dice'] == pytest.approx(0.1)
    assert box['difference'] == pytest.approx(0.1) and np.isnan(mask['difference']) and np.isnan(mask['p'])
    low, high = bootstrap_interval(better - COARSE)
    assert (box['difference.low'], box['difference.high']) == pytest.approx((low, high))
    assert box['p'] == pytest.approx(2 / 2**6)  # all six differences have the same sign
    assert box['p_holm'] == box['p']


def test_holm_counts_the_cells_that_were_compared():
    cells = [cell('base', rows(COARSE)), cell('a', rows(COARSE + 0.05)), cell('b', rows(COARSE + 0.1)), cell('failed')]
    table = ablation_table(cells, base='base')
    assert table['p_holm'].iloc[1:3].tolist() == pytest.approx([2 * 2 / 2**6] * 2)
    assert np.isnan(table['p_holm'].iloc[3])


def test_seeds_are_averaged_for_each_image_and_folds_are_pooled():
    seeds = rows(0.4, NAMES[:3]), rows(0.8, NAMES[:3])
    table = ablation_table([cell('box', *seeds, rows(0.9, NAMES[3:]))], base='box')
    assert table['images'].item() == 6 and table['refined/Dice'].item() == pytest.approx((3 * 0.6 + 3 * 0.9) / 6)


def test_classes_are_averaged_for_each_image():
    table = ablation_table([cell('box', rows(0.4), rows(0.8, label='cyst'))], base='box')
    assert table['images'].item() == 6 and table['refined/Dice'].item() == pytest.approx(0.6)


def test_only_images_that_both_cells_have_are_compared():
    fewer = rows(COARSE[:4] + 0.1, NAMES[:4])
    table = ablation_table([cell('base', rows(COARSE)), cell('box', fewer, runs=2)], base='base')
    box = table.iloc[1]
    assert (box['images'], box['status']) == (4, '1 of 2 not run')
    assert box['difference'] == pytest.approx(0.1) and box['p'] == pytest.approx(2 / 2**4)


def test_images_of_a_group_count_as_one():
    cells = [cell('base', rows(COARSE)), cell('box', rows(COARSE + 0.1))]
    groups = {('busi', name): f'g{index // 2}' for index, name in enumerate(NAMES)}
    assert ablation_table(cells, 'base', groups)['p'].iloc[1] == pytest.approx(2 / 2**3)


def test_costs_are_means_over_runs_and_the_largest_memory():
    costs = [
        dict(parameters=10, trainable=5, seconds=2.0, seconds_per_iteration=0.2, peak_memory=100),
        dict(parameters=10, trainable=5, seconds=4.0, seconds_per_iteration=None, peak_memory=300),
    ]
    row = ablation_table([cell('box', rows(0.5), costs=costs)], base='box').iloc[0]
    assert [row[name] for name in costs[0]] == [10, 5, 3, 0.2, 300]


def test_a_phase_without_refined_masks_is_compared_by_its_coarse_ones():
    plain = rows(0.5).drop(columns=['refined/Dice', 'delta/Dice'])
    better = plain.assign(**{'coarse/Dice': COARSE + 0.1})
    table = ablation_table([cell('base', plain), cell('box', better)], base='base')
    assert table['compared'].iloc[0] == 'coarse/Dice' and table['difference'].iloc[1] == pytest.approx(0.1)
    assert 'refined/Dice' not in table


@pytest.mark.parametrize(
    'finished, failure, expected',
    [(3, None, 'done'), (0, 'x', 'failed'), (0, None, 'not run'), (2, 'x', '1 of 3 failed')],
)
def test_status(finished, failure, expected):
    assert cell('box', runs=3, finished=finished, failure=failure).status() == expected


def test_a_table_without_any_result_is_still_one():
    table = ablation_table([cell('a', finished=0, failure='a | b'), cell('b', finished=0)], base='a')
    assert list(table['status']) == ['failed', 'not run'] and table['images'].sum() == 0
    text = ablation_markdown(table, 'Title', 'a', [])
    assert '- a failed: a | b' in text


def test_an_unknown_base_is_refused():
    with pytest.raises(ValueError, match="there is no cell 'x' to compare with; there are box"):
        ablation_table([cell('box', rows(0.5))], base='x')


def test_markdown_shows_every_cell_with_its_numbers():
    costs = [dict(parameters=12345, trainable=5, seconds=2.0, seconds_per_iteration=0.2, peak_memory=2**30)]
    better = rows(COARSE + 0.1).assign(**{'coarse/HD95': 9.0, 'refined/HD95': 7.5, 'delta/HD95': -1.5})
    cells = [
        cell('mask', rows(COARSE)),
        cell('box', better, costs=costs),
        cell('bad', finished=0, failure='the reason'),
    ]
    lines = ablation_markdown(ablation_table(cells, 'mask'), 'Title', 'mask', ['one fact']).splitlines()
    assert lines[:3] == ['# Title', '', '- one fact']
    tables = [line.strip('| ').split(' | ') for line in lines if line.startswith('|')]
    assert tables[2][:5] == ['mask (base)', '6', '0.7000', '0.7000', '+0.0000']
    assert tables[3][:6] == ['box', '6', '0.7000', '0.8000', '+0.1000', '+0.1000 [+0.1000, +0.1000]']
    assert tables[3][6:] == ['0.031', '0.031', '12,345', '5', '2 s', '200 ms', '1.00 GiB', 'done']
    assert len({line.count('|') for line in lines if line.startswith(('| mask', '| box', '| bad'))}) <= 2
    assert '- bad failed: the reason' in lines
    assert any(line.startswith('## HD95 in px, smaller is better') for line in lines)
    assert '| box | 9.00 [9.00, 9.00] | 7.50 [7.50, 7.50] | -1.50 [-1.50, -1.50] |' in lines
