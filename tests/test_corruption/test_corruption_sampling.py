import json
import subprocess
import sys

import numpy as np
import pytest

from ultrarefiner.corruption import ERROR_TYPES, PRESETS, Preset, corrupt, corruption_rng, dice, load_preset
from ultrarefiner.corruption.reference_lesions import reference_lesions

DISC = reference_lesions(96)['disc']
DEFAULT = PRESETS['default']


def test_the_corruption_needs_neither_torch_nor_mmseg():
    code = (
        'import sys, ultrarefiner.corruption, ultrarefiner.corruption.fitting\n'
        'print(sorted({"torch", "mmseg", "mmengine", "mmcv"} & set(sys.modules)))'
    )
    assert subprocess.run([sys.executable, '-c', code], capture_output=True, text=True).stdout.strip() == '[]'


def test_presets_are_the_tables_of_the_prior_art_normalised():
    assert set(PRESETS) == {'default', 'mild', 'severe', 'boundary_focus', 'structural'} and len(ERROR_TYPES) == 12
    for preset in PRESETS.values():
        assert sum(preset.probabilities.values()) == pytest.approx(1, abs=1e-12)
        assert set(preset.probabilities) == set(ERROR_TYPES)
    normalised = [0.111, 0.126, 0.074, 0.126, 0.089, 0.074, 0.074, 0.126, 0.074, 0.074, 0.030, 0.022]
    assert list(DEFAULT.probabilities.values()) == pytest.approx(normalised, abs=6e-4)
    p = {name: preset.probabilities for name, preset in PRESETS.items()}
    assert (
        p['mild']['identity'] > 2 * p['default']['identity'] and p['mild']['empty'] == p['mild']['noise_scatter'] == 0
    )
    assert p['severe']['giant_over_segmentation'] > 2 * p['default']['giant_over_segmentation'] * 0.9
    assert p['boundary_focus']['over_segmentation'] == p['boundary_focus']['under_segmentation'] > 0.16
    assert p['structural']['missing_chunk'] == p['structural']['internal_holes'] > p['structural']['fragmentation']


def test_error_types_come_as_often_as_the_preset_says():
    drawn = [DEFAULT.draw_error(corruption_rng(0, str(index))) for index in range(3000)]
    for name, probability in DEFAULT.probabilities.items():
        assert drawn.count(name) / 3000 == pytest.approx(probability, abs=0.02)
    assert {DEFAULT.draw_error(corruption_rng(0, str(i)), without=set(ERROR_TYPES) - {'bridge'}) for i in range(9)} == {
        'bridge'
    }
    assert Preset({'shift': 1, 'empty': 0}).draw_error(corruption_rng(0, ''), without=['shift']) is None


def test_severities_follow_their_bins():
    preset = Preset({'shift': 1}, {'shift': [0, 3, 1, 0]})
    drawn = np.array([preset.draw_severity('shift', corruption_rng(0, str(index))) for index in range(400)])
    assert 0.25 <= drawn.min() and drawn.max() < 0.75
    assert (drawn < 0.5).mean() == pytest.approx(0.75, abs=0.06)


@pytest.mark.parametrize(
    'content, message',
    [
        (dict(probabilities={'shfit': 1}), "error type 'shfit'; did you mean 'shift'"),
        (dict(probabilities={}), 'at least one above 0'),
        (dict(probabilities={'shift': -1}), 'weights of 0 or more'),
        (dict(probabilities={'shift': float('nan')}), 'weights of 0 or more'),
        (dict(probabilities={'shift': 1}, severities={'shift': [0, 0]}), 'severities of shift'),
        (dict(probabilities={'shift': 1}, soft=1.5), 'soft is 1.5'),
        (dict(probabilities={'shift': 1}, temperature=(0, 1)), 'temperature is'),
        (dict(weights={}), "unexpected keyword argument 'weights'"),
    ],
)
def test_preset_refuses_what_does_not_fit(content, message):
    with pytest.raises(ValueError, match=message):
        load_preset(content)


def test_preset_survives_its_file(tmp_path):
    preset = Preset({'shift': 3, 'empty': 1}, {'shift': [1, 3]}, secondary=0.1, soft=0.2, temperature=(0.1, 0.3))
    preset.save(tmp_path / 'p.json')
    assert load_preset(str(tmp_path / 'p.json')) == preset
    assert json.loads((tmp_path / 'p.json').read_text())['probabilities'] == {'shift': 0.75, 'empty': 0.25}


def test_preset_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ValueError, match="no corruption preset 'hard'; give one of default, mild"):
        load_preset('hard')
    with pytest.raises(ValueError, match='absent.json cannot be read'):
        load_preset(str(tmp_path / 'absent.json'))
    (tmp_path / 'list.json').write_text('[1]')
    with pytest.raises(ValueError, match='list.json does not fit'):
        load_preset(str(tmp_path / 'list.json'))


def test_a_mask_depends_on_seed_name_copy_and_epoch_alone():
    def made(*key):
        return corrupt(DISC, DEFAULT, corruption_rng(*key)).probability

    np.testing.assert_array_equal(made(1, 'a', 0, 2), made(1, 'a', 0, 2))
    reference = made(1, 'a', 0, 2)
    for other in ((2, 'a', 0, 2), (1, 'b', 0, 2), (1, 'a', 1, 2), (1, 'a', 0, 3), (1, 'a', 2, 0)):
        assert (made(*other) != reference).any()
    # The same numbers on every machine.
    assert corruption_rng(0, 'benign (1)').integers(0, 1000, 3).tolist() == [30, 666, 89]


def test_the_soft_mask_is_the_hard_one_above_one_half():
    soft = 0
    for index in range(60):
        corruption = corrupt(DISC, DEFAULT, corruption_rng(0, str(index)))
        assert ((corruption.probability > 0.5) == corruption.mask).all()
        assert corruption.probability.dtype == np.float32 and 0 <= corruption.probability.min()
        assert corruption.dice == dice(corruption.mask, DISC)
        soft += ((corruption.probability > 0.05) & (corruption.probability < 0.95)).any()
    assert soft / 60 == pytest.approx(0.8 * 0.97, abs=0.12)


@pytest.mark.parametrize('band', [(0.9, 0.97), (0.8, 0.9), (0.6, 0.8), (0.3, 0.5)])
def test_the_dice_band_is_reached(band):
    found = [
        corrupt(truth, DEFAULT, corruption_rng(0, f'{name} {index}'), band)
        for name, truth in reference_lesions(96).items()
        for index in range(4)
    ]
    scores = np.array([corruption.dice for corruption in found])
    assert (band[0] <= scores).all() and (scores <= band[1]).all()
    # Drawn all over the band, by more than one error type.
    assert np.ptp(scores) > 0.5 * (band[1] - band[0]) and len({corruption.error for corruption in found}) >= 2


def test_a_band_out_of_reach_gives_the_nearest_try_and_says_so():
    found = corrupt(DISC, Preset({'missing_chunk': 1}, secondary=0), corruption_rng(0, 'a'), (0.3, 0.4))
    assert found.error == 'missing_chunk' and found.dice == pytest.approx(2 * 0.7 / 1.7, abs=0.01)  # 30 % missing
    found = corrupt(DISC, Preset({'identity': 1, 'missing_chunk': 1}), corruption_rng(0, 'a'), (0.3, 0.4))
    assert found.error == 'missing_chunk'


def test_an_error_that_is_not_possible_is_replaced():
    full = np.pad(np.ones((38, 38), bool), 11)  # 40 % of the image
    found = {
        corrupt(full, Preset({'giant_over_segmentation': 9, 'shift': 1}), corruption_rng(0, str(i))).error
        for i in range(9)
    }
    assert found == {'shift'}
    alone = corrupt(full, Preset({'giant_over_segmentation': 1}), corruption_rng(0, 'a'))
    assert alone.error == 'identity' and (alone.mask == full).all()


@pytest.mark.parametrize('pixels', [0, 1, 9])
def test_nothing_and_next_to_nothing_stay_as_they_are(pixels):
    truth = np.zeros((20, 20), bool)
    truth.ravel()[:pixels] = True
    for index in range(5):
        found = corrupt(truth, DEFAULT, corruption_rng(0, str(index)), (0.5, 0.6))
        assert (found.error, found.dice) == ('identity', 1) and (found.probability == truth).all()


def test_ten_pixels_are_corrupted_like_any_other_lesion():
    truth = np.zeros((40, 40), bool)
    truth[20:23, 20:23] = truth[23, 20] = True
    found = [corrupt(truth, DEFAULT, corruption_rng(0, str(index))) for index in range(80)]
    assert len({corruption.error for corruption in found}) >= 10
    assert np.mean([(corruption.mask != truth).any() for corruption in found]) > 0.75
