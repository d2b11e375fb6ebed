"""The tables of the results page hold the values that follow by hand from a few images."""

import math
import re

import pytest
from results_makers import GROUPS, IMAGES, make_dataset, make_run

from ultrarefiner.apis.results.cells import change, number
from ultrarefiner.apis.results.collect import collect
from ultrarefiner.apis.results.costs import trainings
from ultrarefiner.apis.results.differences import difference
from ultrarefiner.apis.results.runs import MissingRuns, StoredRuns
from ultrarefiner.apis.results.tables import differences, guard, headline, random_split, sizes


def same(*values):
    """The same for every image: one Dice, or coarse and refined."""
    return dict.fromkeys(IMAGES, values if len(values) > 1 else values[0])


@pytest.fixture
def data(tmp_path):
    return tmp_path / 'data', make_dataset(tmp_path / 'data')


@pytest.fixture
def stored(tmp_path, data):
    """A function: collects what was made and reads it back."""

    def read():
        collect(tmp_path / 'runs', tmp_path / 'out')
        return StoredRuns(tmp_path / 'out')

    return read


@pytest.fixture
def add(tmp_path, data):
    """A function: makes a run tested on 'tiny'."""
    return lambda kind, seed, dice, name='tiny': make_run(tmp_path / 'runs', *data, kind, seed, {name: dice})


def cells(table, title):
    """The cells of the row with a title."""
    line = next(line for line in table.splitlines() if line.startswith(f'| {title} |'))
    return [cell.strip() for cell in line.split('|')[2:-1]]


def test_headline_is_mean_and_deviation_of_the_seeds(add, stored):
    add('transunet', 0, same(0.60))
    add('transunet', 1, same(0.62))
    table = headline(stored(), 'tiny', 'tiny')
    assert table.splitlines()[0] == '|  | Dice | IoU | HD95 (px) |'
    iou = (0.6 / 1.4 + 0.62 / 1.38) / 2
    spread = abs(0.6 / 1.4 - 0.62 / 1.38) / math.sqrt(2)
    assert cells(table, 'TransUNet, phase 1') == ['0.6100 ± 0.0141', f'{iou:.4f} ± {spread:.4f}', '39.0 ± 1.4']
    assert 'tested on 4 images of tiny in 3 groups; seeds 0, 1' in table


def test_headline_names_the_rows_that_are_not_there_yet(add, stored):
    add('transunet', 0, same(0.60))
    assert 'Not there yet: U-Net; refined, phase 2; coarse, phase 3; refined, phase 3' in headline(
        stored(), 'tiny', 'tiny'
    )


def test_all_rows_have_the_same_seeds(add, stored):
    for seed, dice in enumerate((0.5, 0.6, 0.9)):
        add('transunet', seed, same(dice))
    for seed in (0, 1):
        add('unet', seed, same(0.4))
    table = headline(stored(), 'tiny', 'tiny')
    assert cells(table, 'TransUNet, phase 1')[0] == '0.5500 ± 0.0707'
    assert 'seeds 0, 1.' in table


def test_a_guard_of_some_seeds_takes_no_seed_away(tmp_path, data, add, stored):
    add('ultrarefiner', 0, same(0.5, 0.6))
    make_run(tmp_path / 'runs', *data, 'ultrarefiner', 1, {name: same(0.5, 0.8) for name in ('tiny', 'tiny_guarded')})
    table = headline(stored(), 'tiny', 'tiny')
    assert cells(table, 'refined, phase 3')[0] == '0.7000 ± 0.1414'
    assert 'refined, phase 3, guarded.' in table


def test_without_runs_a_table_says_which_are_missing(add, stored):
    add('transunet', 0, same(0.60))
    runs = stored()
    for table in (headline, differences, sizes, guard):
        with pytest.raises(MissingRuns, match='nowhere'):
            table(runs, 'tiny', 'nowhere')
    with pytest.raises(MissingRuns, match='tiny_random'):
        random_split(runs, 'tiny')
    assert StoredRuns('nowhere').runs == []


def test_difference_is_averaged_over_seeds_before_it_is_counted(add, stored):
    add('sam_finetuned', 0, dict(a1=(0.5, 0.6), a2=(0.5, 0.6), b1=(0.5, 0.54), c1=(0.5, 0.4)))
    add('sam_finetuned', 1, dict(a1=(0.5, 0.6), a2=(0.5, 0.6), b1=(0.5, 0.46), c1=(0.5, 0.4)))
    found = difference(stored(), 'tiny', 'tiny', 'phase2')
    assert found.mean == pytest.approx((0.1 + 0.1 + 0 - 0.1) / 4)
    assert found.win_tie_loss() == '2 / 1 / 1'
    row = cells(differences(stored(), 'tiny', 'tiny'), 'phase 2: refined − coarse')
    assert row[0].startswith('+0.0250 [') and row[2] == '2 / 1 / 1'


def test_no_change_is_a_tie_without_a_sign(add, stored):
    add('sam_finetuned', 0, same(0.5, 0.5))
    row = cells(differences(stored(), 'tiny', 'tiny'), 'phase 2: refined − coarse')
    assert row == ['0.0000 [0.0000, 0.0000]', '1.000', '0 / 4 / 0', '0.0000 [0.0000, 0.0000]', '0.0 [0.0, 0.0]', '–']


def test_differences_across_phases_and_networks(add, stored):
    add('unet', 0, same(0.4))
    add('transunet', 0, same(0.5))
    add('ultrarefiner', 0, same(0.55, 0.6))
    table = differences(stored(), 'tiny', 'tiny')
    expected = {
        'phase 3: refined − coarse': '+0.0500',
        'refined of phase 3 − coarse of phase 1': '+0.1000',
        'refined of phase 3 − U-Net': '+0.2000',
        'coarse of phase 3 − coarse of phase 1': '+0.0500',
    }
    assert {title: cells(table, title)[0][2:9] for title in expected} == expected
    assert 'Not there yet: phase 2: refined − coarse.' in table


def test_groups_widen_the_interval(tmp_path):
    names = [f'{group}{k}' for group in 'abcdefgh' for k in range(4)]
    dice = {name: (0.5, 0.5 + 0.02 * 'abcdefgh'.index(name[0])) for name in names}
    widths = {}
    for what, groups in (('own', {name: name for name in names}), ('shared', {name: name[0] for name in names})):
        root = tmp_path / what
        splits = make_dataset(root / 'data', groups={**groups, 't1': 't1', 't2': 't2'}, tests=names)
        make_run(root / 'runs', root / 'data', splits, 'sam_finetuned', 0, {'tiny': dice})
        collect(root / 'runs', root / 'out')
        found = difference(StoredRuns(root / 'out'), 'tiny', 'tiny', 'phase2')
        widths[what] = found.interval[1] - found.interval[0]
    assert widths['shared'] > 1.5 * widths['own']


def test_different_images_are_refused(add, stored):
    add('transunet', 0, same(0.5))
    add('ultrarefiner', 0, dict(a1=(0.5, 0.6), a2=(0.5, 0.6)))
    with pytest.raises(ValueError, match='are of different images, TINY/b1'):
        difference(stored(), 'tiny', 'tiny', 'phase3_phase1')


def test_seeds_of_different_images_are_refused(add, stored):
    add('transunet', 0, same(0.5))
    add('transunet', 1, dict(a1=0.5, a2=0.5, b1=0.5))
    with pytest.raises(ValueError, match='TINY/c1/lesion was not tested with each of the seeds 0, 1'):
        headline(stored(), 'tiny', 'tiny')


def test_an_image_that_is_not_in_the_split_is_told(add, stored):
    add('transunet', 0, {**same(0.5), 'x9': 0.5})
    with pytest.raises(ValueError, match='TINY/x9 is not in the split'):
        headline(stored(), 'tiny', 'tiny')


def test_sizes_have_a_row_a_stratum(add, stored):
    add('sam_finetuned', 0, same(0.5, 0.6))
    table = sizes(stored(), 'tiny', 'tiny')  # every lesion is 5 % of its image
    assert re.findall(r'^\| (phase [^|]+) \|', table, re.MULTILINE) == ['phase 2, medium, to 10%']
    row = cells(table, 'phase 2, medium, to 10%')
    assert row == ['4', '0.5000', '0.6000', '**+0.1000** [+0.1000, +0.1000]', '4 / 0 / 0']
    assert 'Not there yet: refined, phase 3.' in table


def test_guard_counts_the_masks_that_it_changed(tmp_path, data, stored):
    refined = dict(a1=(0.5, 0.2), a2=(0.5, 0.6), b1=(0.5, 0.7), c1=(0.5, 0.6))
    tests = {'tiny': refined, 'tiny_guarded': {**refined, 'a1': (0.5, 0.5)}}
    make_run(tmp_path / 'runs', *data, 'ultrarefiner', 0, tests)
    row = cells(guard(stored(), 'tiny', 'tiny'), 'phase 3')
    assert row[:2] == ['0.5250', '0.6000'] and row[2].startswith('+0.0750 [') and row[4] == '1 of 4'
    assert 'refined, phase 3, guarded' in headline(stored(), 'tiny', 'tiny')


def test_random_split_tells_how_many_test_images_were_leaked(tmp_path, data, add, stored):
    add('transunet', 0, same(0.6))
    leaky = make_dataset(tmp_path / 'random', protocol='method', groups={**GROUPS, 't1': 'a'})
    dice = dict(a1=0.9, a2=0.8, b1=0.6, c1=0.7)
    make_run(tmp_path / 'runs', tmp_path / 'random', leaky, 'transunet', 0, {'tiny': dice}, training_set='tiny_random')
    table = random_split(stored(), 'tiny')
    assert cells(table, 'grouped') == ['0.6000', '4', '0', '–', '0.6000']
    assert cells(table, 'random') == ['0.7500', '4', '2', '0.8500', '0.6500']


def test_trainings_are_listed_with_their_cost(add, stored):
    for seed in (0, 1):
        add('unet', seed, same(0.4))
    assert trainings(stored()).splitlines()[-1] == '| tiny | U-Net | `unet_small` | 0, 1 | 2.50 | 2 |'


def test_numbers_have_as_many_digits_as_say_something():
    assert number(0.12345) == '0.1235' and number(12.345, 'HD95') == '12.3' and number(math.nan) == '–'
    assert number(-0.00001, sign='+') == '0.0000' and number(-0.5, sign='+') == '−0.5000'
    assert change(0.02, 0.01, 0.03) == '**+0.0200** [+0.0100, +0.0300]'
    assert change(0.02, -0.01, 0.03) == '+0.0200 [−0.0100, +0.0300]'
