"""The tables of why and where, on images whose errors and predicted IoU are known."""

import json

import numpy as np
import pytest
from results_makers import IMAGES, make_dataset, make_masks, make_run

from ultrarefiner.apis.results.collect import collect
from ultrarefiner.apis.results.costs import ablations, cost
from ultrarefiner.apis.results.figures import curve_panels, gain_panels
from ultrarefiner.apis.results.insight import calibration, errors, gains
from ultrarefiner.apis.results.runs import MissingRuns, StoredRuns

DICE = dict(a1=(0.1, 0.3), a2=(0.3, 0.4), b1=(0.9, 0.8), c1=(0.95, 0.85))


@pytest.fixture
def stored(tmp_path):
    """Two seeds of phase 2, the second without an effect."""
    splits = make_dataset(tmp_path / 'data')
    for seed, dice in enumerate((DICE, {name: (coarse, coarse) for name, (coarse, _) in DICE.items()})):
        path = make_run(tmp_path / 'runs', tmp_path / 'data', splits, 'sam_finetuned', seed, {'tiny': dice})
        truth = np.zeros((100, 100), bool)
        truth[40:60, 40:60] = True
        coarse = truth.copy()
        coarse[0, :8] = True  # far, and no more there when refined
        refined = truth.copy()
        refined[40, 40:50] = False  # at the outline
        for name in IMAGES:
            make_masks(path / 'tests/tiny', tmp_path / 'data/tiny', 'TINY', name, truth, coarse, refined)
    collect(tmp_path / 'runs', tmp_path / 'out')
    return StoredRuns(tmp_path / 'out')


def row(table, title):
    line = next(line for line in table.splitlines() if line.startswith(f'| {title} |'))
    return [cell.strip() for cell in line.split('|')[2:-1]]


def test_errors_are_shares_of_the_lesions(stored):
    table = errors(stored, 'tiny', 'tiny')  # a lesion has 400 pixels
    assert row(table, 'phase 2, false positive, far') == ['2.00 %', '2.00 %', '0.00 %', '0.00 %', '−2.00 %']
    assert row(table, 'phase 2, false negative, near') == ['0.00 %', '0.00 %', '2.50 %', '2.50 %', '+2.50 %']
    assert row(table, 'phase 2, all') == ['2.00 %', '2.00 %', '2.50 %', '2.50 %', '+0.50 %']


def test_gains_are_binned_by_the_coarse_dice(stored):
    table = gains(stored, 'tiny', 'tiny')
    assert row(table, 'phase 2, 0 to 0.2')[:3] == ['1', '0.1000', '0.2000']
    assert row(table, 'phase 2, 0.8 to 1')[:3] == ['2', '0.9250', '0.8750']
    assert row(table, 'phase 2, 0.8 to 1')[3].startswith('**−0.0500** [')
    assert '0.4 to 0.6' not in table


def test_calibration_is_of_every_mask_of_every_seed(stored):
    table = calibration(stored, 'tiny', 'tiny')  # every predicted IoU is 0.1 too large
    counts = [int(line.split('|')[2]) for line in table.splitlines() if line.startswith('| phase 2')]
    assert sum(counts) == 8
    assert row(table, 'phase 2, 0.8 to 1')[3] == '+0.1000'
    assert 'mean absolute error 0.1000 over 8 masks, rank correlation (Spearman) 1.00' in table


def test_curves_are_means_over_seeds(stored):
    panel = curve_panels(stored, 'tiny')[0]
    assert panel.steps_are == 'epoch' and panel.title == 'Refiner, phase 2: Dice'
    np.testing.assert_allclose(panel.curves[0].values, [0.605, 0.705])


def test_gains_are_drawn_sorted(stored):
    panel = gain_panels(stored, 'tiny', ['tiny'])[0]
    np.testing.assert_allclose(panel.curves[0].values, [-0.05, -0.05, 0.05, 0.1])
    np.testing.assert_allclose(panel.curves[0].steps, [12.5, 37.5, 62.5, 87.5])


def test_without_runs_each_says_what_is_missing(tmp_path):
    empty = StoredRuns(tmp_path)
    for table in (errors, gains, calibration):
        with pytest.raises(MissingRuns, match='trained on tiny'):
            table(empty, 'tiny', 'tiny')
    with pytest.raises(MissingRuns):
        curve_panels(empty, 'tiny')
    with pytest.raises(MissingRuns, match='get_flops'):
        cost(tmp_path)
    with pytest.raises(MissingRuns, match='tools/ablate.py'):
        ablations(tmp_path)


def test_cost_joins_counts_and_times(tmp_path):
    stage = dict(macs=2_000_000_000, flops=4e9, activations=1, trainable=1_500_000, frozen=500_000)
    content = dict(model='any', image_size=[500, 600], stages=dict(coarse=stage, whole=stage))
    (tmp_path / 'cost_small_flops.json').write_text(json.dumps(content))
    options = dict(device='cpu', precision='bf16', allocator='default', rounds=3, threads=2)
    rows = [dict(name='coarse', seconds=[0.1, 0.3, 0.2]), dict(name='whole', seconds=[0.5])]
    timed = dict(runs=[dict(options=options, title='any, one image of 500 x 600 pixels', rows=rows)])
    (tmp_path / 'cost_small_stages.json').write_text(json.dumps(timed))
    table = cost(tmp_path)
    assert '| Stage | Parameters (M) | GMAC | ms, cpu, bf16 |' in table
    assert row(table, 'small: coarse') == ['2.000', '2.000', '200.0']
    assert 'one image of 500 × 600 pixels. Milliseconds: median of 3 rounds, one image of 500 x 600 pixels, 2' in table


def test_ablations_are_shown_without_their_details(tmp_path):
    folder = tmp_path / 'ablation_prompts'
    folder.mkdir()
    (folder / 'ablation.md').write_text(
        '# Ablation of x\n\n- fact\n\n| Cell |\n| --- |\n| a |\n\n## Dice\n\n| more |\n'
    )
    (folder / 'ablation.png').touch()
    text = ablations(tmp_path)
    assert text.startswith('### Ablation of x\n') and '| a |' in text and 'more |' not in text
    assert f']({tmp_path.name}/ablation_prompts/ablation.png)' in text
