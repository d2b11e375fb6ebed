import numpy as np
import pytest
from scipy import ndimage

from ultrarefiner.corruption.geometry import (
    Lesion,
    bounds,
    count_components,
    count_holes,
    ellipse_metric,
    equivalent_radius,
    highest,
    lesion_distance,
    pick_lesion,
    random_field,
    signed_distance,
)
from ultrarefiner.corruption.measures import measure
from ultrarefiner.corruption.reference_lesions import reference_lesions
from ultrarefiner.corruption.soft_mask import soften


def frame(size, unit):
    return np.arange(size)[:, None] / unit, np.arange(size)[None] / unit


@pytest.mark.parametrize('size', [128, 256, 512])
def test_radius_and_centre_of_a_disc_are_known(size):
    lesion = Lesion(reference_lesions(size)['disc'])
    assert lesion.radius / size == pytest.approx(0.16, rel=0.01)
    assert lesion.centre == pytest.approx((size / 2, size / 2), abs=1e-6)
    assert np.hypot(*lesion.boundary_point(0.7)) == pytest.approx(1, abs=1.5 / lesion.radius)


def test_the_farthest_point_answers_where_the_ray_misses_a_concave_lesion():
    ring_half = np.zeros((40, 40), bool)
    ring_half[5:35, 5:10] = True
    ring_half[5:10, 5:35] = True
    lesion = Lesion(ring_half)
    y, x = lesion.boundary_point(np.pi / 4)  # down and right of an L is nothing
    assert (y + x) * lesion.radius > 0
    row, column = int(lesion.centre[0] + y * lesion.radius), int(lesion.centre[1] + x * lesion.radius)
    assert ring_half[row, column]


def test_signed_distance_counts_from_the_outline_between_two_pixels():
    mask = np.zeros((5, 9), bool)
    mask[:, :4] = True
    np.testing.assert_allclose(signed_distance(mask)[2], [3.5, 2.5, 1.5, 0.5, -0.5, -1.5, -2.5, -3.5, -4.5], atol=1e-5)
    assert (signed_distance(np.ones((3, 4), bool)) == 5).all() and (signed_distance(np.zeros((3, 4), bool)) == -5).all()


def test_lesion_distance_is_relative_to_each_lesion():
    masks = reference_lesions(256)['two']
    large, small = (masks[:, 128:], masks[:, :128])
    distance = lesion_distance(masks)
    assert distance[:, 128:].max() == pytest.approx(distance[:, :128].max(), abs=0.05) == pytest.approx(1, abs=0.05)
    assert equivalent_radius(large) > 1.5 * equivalent_radius(small)


def test_components_and_holes_are_counted_with_opposite_connectivity():
    ring = np.zeros((7, 7), bool)
    for row, column in ((1, 3), (2, 2), (3, 1), (4, 2), (5, 3), (4, 4), (3, 5), (2, 4)):
        ring[row, column] = True  # a diamond, touching at corners only
    assert (count_components(ring), count_holes(ring)) == (1, 1)
    cup = ring.copy()
    cup[5, 3] = False
    assert count_holes(cup) == 0
    assert count_components(ring, min_area=9) == 0


def test_picking_a_lesion_prefers_the_larger():
    mask = np.zeros((20, 40), bool)
    mask[:, :9] = True
    mask[0, 20:40] = True  # 180 and 20 pixels
    picked = [pick_lesion(mask, np.random.default_rng(seed)).area for seed in range(400)]
    assert set(picked) == {180, 20}
    assert picked.count(180) / 400 == pytest.approx(0.9, abs=0.05)


def test_random_field_has_the_correlation_length_it_is_given():
    # The prior art had the width of the spectrum inverted and made white noise at every length.
    for length in (5, 20):
        fields = np.stack([random_field(frame(64, 1), length, np.random.default_rng(seed)) for seed in range(300)])
        at_length = (fields[:, :, :-length] * fields[:, :, length:]).mean()
        neighbours = (fields[:, :, :-1] * fields[:, :, 1:]).mean()
        assert fields.mean() == pytest.approx(0, abs=0.12) and fields.var() == pytest.approx(1, abs=0.06)
        assert at_length == pytest.approx(np.exp(-0.5), abs=0.06)
        assert neighbours == pytest.approx(np.exp(-0.5 / length**2), abs=0.06)


def test_random_field_is_the_same_at_every_resolution():
    coarse = random_field(frame(32, 8), 0.5, np.random.default_rng(1))
    fine = random_field(frame(64, 16), 0.5, np.random.default_rng(1))
    np.testing.assert_allclose(fine[::2, ::2], coarse, atol=1e-4)


def test_highest_takes_exactly_so_many_pixels_in_order():
    score = np.random.default_rng(0).normal(size=(9, 11))
    within = np.zeros((9, 11), bool)
    within[:, 2:] = True
    chosen = highest(score, 17, within)
    assert chosen.sum() == 17 and not chosen[:, :2].any()
    assert score[chosen].min() > score[within & ~chosen].max()
    assert highest(score, 0, within).sum() == 0 and (highest(score, 1000, within) == within).all()


def test_ellipse_metric_encloses_the_area_it_says():
    for aspect in (0.5, 1.0, 3.0):
        inside = ellipse_metric(frame(200, 1), (100, 95), aspect, 0.4) <= 30
        assert inside.sum() == pytest.approx(np.pi * 900, rel=0.01)


@pytest.mark.parametrize('size', [128, 256, 512])
def test_soft_mask_is_the_mask_above_one_half_and_as_soft_at_every_size(size):
    mask = reference_lesions(size)['disc']
    radius = equivalent_radius(mask)
    soft = soften(mask, 0.1 * radius)
    assert ((soft > 0.5) == mask).all() and 0 <= soft.min() < 0.01 and soft.max() > 0.99
    # Of a disc the ring of probabilities 0.25 to 0.75 covers 4 ln(3) temperatures (in radii) of its area.
    assert measure(soft, mask)['softness'] == pytest.approx(4 * np.log(3) * 0.1, rel=0.06)


def test_soft_mask_of_nothing_is_nothing():
    assert soften(np.zeros((4, 5), bool), 1.0).max() == 0 and soften(np.ones((4, 5), bool), 1.0).min() == 1


def test_measures_of_a_known_case():
    truth = np.zeros((60, 60), bool)
    truth[10:30, 10:30] = True
    wrong = np.zeros((60, 60))
    wrong[10:30, 10:20] = 0.9  # half of it
    wrong[14:17, 14:17] = 0.4  # a hole
    wrong[50, 50:54] = 1.0  # an island
    found = measure(wrong, truth)
    assert found['area_ratio'] == pytest.approx((200 - 9 + 4) / 400)
    assert found['dice'] == pytest.approx(2 * 191 / (400 + 195))
    assert (found['components'], found['false_positives'], found['holes']) == (2, 1, 1)
    assert found['softness'] == pytest.approx(9 / 195)
    assert measure(truth.astype(float), truth)['boundary_distance'] == 0
    nothing = measure(np.zeros((60, 60)), truth)
    assert (nothing['dice'], nothing['area_ratio'], nothing['components']) == (0, 0, 0)
    assert np.isnan(nothing['boundary_distance']) and np.isnan(nothing['softness'])


def test_boundary_distance_of_concentric_discs_is_the_difference_of_their_radii():
    y, x = np.mgrid[:200, :200] - 100
    truth, larger = np.hypot(y, x) <= 40, np.hypot(y, x) <= 60
    assert measure(larger.astype(float), truth)['boundary_distance'] == pytest.approx(0.5, abs=0.02)


def random_masks():
    """Small masks of all kinds: smooth and noisy, at the border, empty and full, of one pixel."""
    rng = np.random.default_rng(4)
    for density in (0.02, 0.3, 0.5, 0.7, 0.98):
        yield rng.random((13, 17)) < density
    for _ in range(6):
        coarse = rng.normal(size=(5, 6)).repeat(4, 0).repeat(5, 1)
        yield coarse > 0.4
    yield np.zeros((6, 7), bool)
    yield np.ones((6, 7), bool)
    yield np.pad(np.ones((1, 1), bool), ((0, 6), (3, 5)))


def test_signed_distance_is_that_to_every_pixel_tried():
    for mask in random_masks():
        if mask.all() or not mask.any():
            continue
        pixels = np.argwhere(np.ones_like(mask))
        apart = np.hypot(*(pixels[:, None] - pixels[None]).transpose(2, 0, 1))
        inside = mask.ravel()
        nearest = np.where(inside, apart[:, ~inside].min(1), apart[:, inside].min(1)) - 0.5
        expected = np.where(inside, nearest, -nearest).reshape(mask.shape)
        np.testing.assert_allclose(signed_distance(mask), expected, atol=2e-6)


def test_counts_are_those_of_scipy():
    for mask in random_masks():
        assert count_components(mask) == ndimage.label(mask, np.ones((3, 3)))[1]
        # Holes are what filling fills: parts of the background that a walk from the border does not reach.
        holes = ndimage.label(ndimage.binary_fill_holes(mask) & ~mask)[1]
        assert count_holes(mask) == holes


def test_highest_takes_as_many_where_scores_are_equal():
    score = np.repeat(np.arange(5.0), 4).reshape(4, 5)
    for count in range(1, 20):
        chosen = highest(score, count, np.ones_like(score, bool))
        assert chosen.sum() == count
        assert score[chosen].sum() == np.sort(score.ravel())[-count:].sum()


def test_a_window_holds_the_mask_and_its_margin():
    mask = np.zeros((20, 30), bool)
    mask[3:9, 25:28] = True
    assert bounds(mask) == (slice(3, 9), slice(25, 28))
    assert mask[bounds(mask, 4)].shape == (13, 9)  # cut by the border above and on the right
    assert mask[bounds(np.zeros_like(mask))].size == 0
