import numpy as np
import pytest

from ultrarefiner.corruption import PRESETS, Preset
from ultrarefiner.corruption.fitting import compare, fit_preset, measure_all, simulate, to_working_size
from ultrarefiner.corruption.measures import QUANTITIES
from ultrarefiner.corruption.reference_lesions import reference_lesions

TRUTHS = list(reference_lesions(64).values())


def test_a_fit_finds_the_errors_it_is_shown():
    shown = Preset(
        {'under_segmentation': 0.6, 'false_positive_islands': 0.4},
        {'under_segmentation': [0, 0, 0, 1], 'false_positive_islands': [1, 0, 0, 0]},
        soft=1.0,
        temperature=(0.1, 0.12),
    )
    real = simulate(shown, TRUTHS, 100, seed=9)
    fitted = fit_preset(real, TRUTHS, samples=16, seed=0)
    assert fitted.probabilities['under_segmentation'] == pytest.approx(0.6, abs=0.15)
    assert fitted.severities['under_segmentation'][3] > 0.6
    assert fitted.soft > 0.95
    assert 0.08 < fitted.temperature[0] <= fitted.temperature[1] < 0.2
    before = compare(simulate(PRESETS['default'], TRUTHS, 100, seed=10), real)
    after = compare(simulate(fitted, TRUTHS, 100, seed=10), real)
    for quantity in ('dice', 'area_ratio', 'components', 'boundary_distance', 'softness'):
        assert after[quantity][0] < 0.6 * before[quantity][0], quantity
        assert after[quantity][1] < before[quantity][1], quantity


def test_a_distribution_is_at_distance_0_from_itself_and_farther_from_another():
    one = simulate(PRESETS['mild'], TRUTHS, 60, seed=1)
    other = simulate(PRESETS['severe'], TRUTHS, 60, seed=1)
    assert compare(one, one) == {name: (0, 0) for name in QUANTITIES}
    assert compare(one, other)['dice'][0] > 0.05


def test_hard_masks_are_fitted_as_hard():
    real = simulate(Preset({'shift': 1}, soft=0), TRUTHS, 20, seed=0)
    assert fit_preset(real, TRUTHS, samples=2, seed=0).soft == 0


def test_too_few_predictions_are_refused():
    real = measure_all((truth.astype(float), truth) for truth in TRUTHS)
    with pytest.raises(ValueError, match='4 predictions of images with a lesion.*expected 10 or more'):
        fit_preset(real, TRUTHS, samples=2, seed=0)


def test_working_size_keeps_shapes_and_small_images():
    truth = reference_lesions(384)['ellipse'][:, 40:]
    probability, small = to_working_size(truth.astype(np.float32), truth)
    assert small.shape == probability.shape == (192, 172)
    assert small.mean() == pytest.approx(truth.mean(), rel=0.02)
    assert to_working_size(TRUTHS[0] * 1.0, TRUTHS[0])[1] is TRUTHS[0]
