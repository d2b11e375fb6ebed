import numpy as np
import pandas as pd
import pytest

from ultrarefiner.evaluation.interval_table import IMAGE, interval_table, mean_of_runs, stratum_table
from ultrarefiner.evaluation.statistics import bootstrap_interval, paired_test

RNG = np.random.default_rng(0)


def results(names, classes=('lesion',), gain=0.1):
    rows = []
    for name in names:
        for label in classes:
            coarse = RNG.uniform(0.3, 0.8)
            row = {'dataset': 'd', 'name': name, 'class': label, 'area/image': 1000, 'area/ground_truth': 50}
            row.update({'coarse/Dice': coarse, 'refined/Dice': coarse + gain, 'delta/Dice': gain})
            rows.append({**row, **{f'{f}/{s}': 0 for f in ('missed', 'invented') for s in ('coarse', 'refined')}})
    return pd.DataFrame(rows)


def test_an_image_counts_once_whatever_number_of_runs_measured_it():
    first, second = results(['a', 'b'], gain=0.1), results(['a'], gain=0.3)
    images = mean_of_runs(pd.concat([first, second]), tuple(IMAGE)).set_index('name')
    assert list(images.index) == ['a', 'b']
    assert images['delta/Dice'].tolist() == pytest.approx([0.2, 0.1])


def test_classes_are_averaged_or_kept():
    rows = results(['a', 'b'], ['x', 'y'])
    assert len(mean_of_runs(rows)) == 4
    images = mean_of_runs(rows, tuple(IMAGE))
    assert images['coarse/Dice'].tolist() == pytest.approx(rows.groupby('name')['coarse/Dice'].mean().tolist())


def test_a_missing_value_is_not_averaged_away():
    rows = pd.concat([results(['a']), results(['a'])])
    rows['refined/Dice'] = [0.5, np.nan]
    assert np.isnan(mean_of_runs(rows)['refined/Dice'][0])
    assert np.isnan(interval_table(mean_of_runs(rows)).loc['Dice', 'refined'])


def test_means_intervals_and_p_are_those_of_the_statistics():
    images = results([f'n{i}' for i in range(12)])
    images['refined/Dice'] += RNG.normal(0, 0.1, 12)
    images['delta/Dice'] = images['refined/Dice'] - images['coarse/Dice']
    groups = {('d', f'n{i}'): f'g{i // 3}' for i in range(12)}
    row = interval_table(images, groups).loc['Dice']
    of = [f'g{i // 3}' for i in range(12)]
    assert row['delta'] == images['delta/Dice'].mean()
    assert (row['coarse.low'], row['coarse.high']) == bootstrap_interval(images['coarse/Dice'], of)
    assert row['p'] == paired_test(images['coarse/Dice'], images['refined/Dice'], of)


def test_strata_count_and_end_with_all():
    rows = results(['a', 'b', 'c'])
    rows['area/ground_truth'] = [0, 5, 500]
    rows['delta/Dice'] = [0.0, 0.1, -0.1]
    rows.loc[2, 'missed/refined'] = 1
    table = stratum_table(rows)
    assert list(table.index) == ['none', 'small', 'large', 'all']
    assert table.loc['all', ['rows', 'win', 'tie', 'loss', 'missed/refined']].tolist() == [3, 1, 1, 1, 1]
    assert table.loc['large', ['win', 'tie', 'loss']].tolist() == [0, 0, 1]


def test_one_stage_has_no_change():
    rows = results(['a', 'b']).drop(columns=['refined/Dice', 'delta/Dice'])
    assert list(interval_table(rows)) == ['coarse', 'coarse.low', 'coarse.high']
    assert 'win' not in stratum_table(rows)


def test_a_single_image_has_a_mean_and_no_interval():
    row = interval_table(results(['a'])).loc['Dice']
    assert row['delta'] == pytest.approx(0.1) and np.isnan(row['delta.low']) and row['p'] == 1
