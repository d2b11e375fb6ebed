"""The tables: units, digits, and arrows that know which way is better."""

from ultrarefiner.evaluation import METRICS, comparison_table
from ultrarefiner.evaluation.table import size_table, with_arrow


def cells(text):
    return [line.strip('│ ').split() for line in text.splitlines()]


def test_a_smaller_distance_is_an_improvement():
    assert with_arrow(-2.5, METRICS['HD95']) == '-2.50 ↑' and with_arrow(2.5, METRICS['HD95']) == '+2.50 ↓'
    assert with_arrow(-0.001, METRICS['HD95']) == '0.00 ='
    assert with_arrow(-0.012) == with_arrow(-0.012, METRICS['NSD']) == '-0.0120 ↓'


def test_distances_have_a_unit_and_the_arrows_a_legend():
    means = {f'{stage}/Dice': 0.5 for stage in ('coarse', 'refined', 'delta')}
    plain = comparison_table(means, '9 images')
    assert 'better' not in plain
    means.update({'coarse/HD95': 20.125, 'refined/HD95': 12.5, 'delta/HD95': -7.625, 'coarse/NSD': 0.5})
    means.update({'refined/NSD': 0.4, 'delta/NSD': -0.1})
    text = comparison_table(means, '9 images')
    assert ['HD95', '(px)', '20.12', '12.50', '-7.62', '↑'] in cells(text)
    assert ['NSD', '0.5000', '0.4000', '-0.1000', '↓'] in cells(text)
    assert '↑ better, ↓ worse' in text and '9 images' in text
    assert [line[0] for line in cells(text)[1:4]] == ['Metric', 'Dice', 'HD95']  # in the order of METRICS


def group(images, coarse, refined, missed=0, invented=0):
    return dict(
        images=images,
        means={'coarse/Dice': coarse, 'refined/Dice': refined, 'delta/Dice': refined - coarse},
        missed=dict(coarse=missed, refined=0),
        invented=dict(coarse=invented, refined=0),
        win_tie_loss=dict(win=images - 1, tie=1, loss=0),
    )


def test_sizes_with_how_often_refining_helped():
    summary = dict(
        all=group(10, 0.6, 0.7, missed=2, invented=1),
        present=group(8, 0.55, 0.7, missed=2),
        none=group(2, 0.5, 0.5, invented=1),
        small=group(8, 0.55, 0.7, missed=2),
        medium=group(0, 0, 0),
        large=group(0, 0, 0),
    )
    text = size_table(summary, 'Dice of benign')
    assert ['none', '2', '0.5000', '0.5000', '0.0000', '=', *'1/1/0', '1', '→', '0'] in cells(text)
    assert ['small,', '<', '2%', '8', '0.5500', '0.7000', '+0.1500', '↑', *'7/1/0', '2', '→', '0'] in cells(text)
    assert ['all', 'images', '10', '0.6000', '0.7000', '+0.1000', '↑', *'9/1/0', '3', '→', '0'] in cells(text)
    assert any(line[:2] == ['any', '8'] for line in cells(text))
    assert 'medium' not in text and 'Dice of benign' in text
    summary['none'] = group(0, 0, 0)
    assert not any(line[:1] == ['any'] for line in cells(size_table(summary, '')))  # the same as all images


def test_sizes_of_phase_1_have_one_stage():
    one = dict(images=3, means={'coarse/Dice': 0.6}, missed=dict(coarse=1), invented=dict(coarse=0))
    nothing = dict(one, images=0, means={})
    text = size_table(dict(all=one, present=one, none=nothing, small=nothing, medium=nothing, large=one), '')
    assert ['large,', '>', '10%', '3', '0.6000', '1'] in cells(text)
    assert 'tie' not in text
