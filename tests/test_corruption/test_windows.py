"""What is computed around the lesion alone is what it would be on the whole image, to the last pixel."""

import cv2
import numpy as np
import pytest

from ultrarefiner.corruption import (
    ERROR_TYPES,
    boundary_errors,
    corrupt,
    corruption_rng,
    geometry,
    load_preset,
    local_errors,
    secondary_errors,
)
from ultrarefiner.corruption.geometry import Lesion, equivalent_radius, highest, random_field, signed_distance
from ultrarefiner.corruption.reference_lesions import reference_lesions


def masks():
    """Lesions in the middle, at the border, in a corner, of odd shapes."""
    yield from reference_lesions(96).values()
    yield np.pad(np.ones((14, 11), bool), ((0, 30), (0, 41)))
    rng = np.random.default_rng(3)
    for _ in range(4):
        yield cv2.GaussianBlur(rng.normal(size=(70, 90)).astype(np.float32), (0, 0), 6) > 0.04


def whole_image(mask, margin=0):
    return slice(0, mask.shape[0]), slice(0, mask.shape[1])


@pytest.mark.parametrize('name', ERROR_TYPES)
def test_the_same_seed_gives_the_same_mask(name, monkeypatch):
    preset = load_preset(dict(probabilities={name: 1}))

    def made():
        return [corrupt(mask, preset, corruption_rng(seed, name)) for mask in masks() for seed in range(4)]

    windows = made()
    for module in (geometry, boundary_errors, local_errors, secondary_errors):
        monkeypatch.setattr(module, 'bounds', whole_image)
    for one, other in zip(windows, made(), strict=True):
        assert (one.error, one.severity, one.dice) == (other.error, other.severity, other.dice)
        np.testing.assert_array_equal(one.mask, other.mask)
        np.testing.assert_array_equal(one.probability, other.probability)
    assert any(corruption.error == name for corruption in windows)


@pytest.mark.parametrize('amplitude, length', [(0.02, 0.08), (0.1, 0.25), (0.16, 0.25)])
def test_a_rough_outline_is_that_of_the_whole_image_by_the_formula(amplitude, length):
    for number, mask in enumerate(masks()):
        unit = 0.8 * equivalent_radius(mask)
        field = geometry.RandomField.draw(length, np.random.default_rng(number))
        found = secondary_errors._highest_near(mask, unit, amplitude, field)
        y, x = Lesion(mask).frame
        scale = Lesion(mask).radius / unit
        noise = random_field((y * scale, x * scale), length, np.random.default_rng(number))
        score = signed_distance(mask) / unit + amplitude * noise
        np.testing.assert_array_equal(found, highest(score, mask.sum(), np.ones_like(mask)))


def test_where_the_field_lifts_the_surroundings_above_the_lesion_the_whole_image_is_searched():
    """A field at its lowest on the lesion and at its highest far from it: none that is drawn is like that."""
    mask = np.zeros((40, 200), bool)
    mask[15:25, 10:20] = True
    unit = equivalent_radius(mask)

    class Adverse:
        highest = 8.0

        @staticmethod
        def on(frame):
            y, x = frame
            return np.where(x + 0 * y > 10, 8.0, -8.0).astype(np.float32)

    found = secondary_errors._highest_near(mask, unit, 1.5, Adverse)
    assert found.sum() == mask.sum() and not (found & mask).any() and found[:, 70:].any()
