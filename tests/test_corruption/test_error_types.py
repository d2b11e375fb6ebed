"""Each error type does what it says, at three image sizes."""

import numpy as np
import pytest

from ultrarefiner.corruption import ERROR_TYPES, UnreachableError, dice
from ultrarefiner.corruption.geometry import Lesion, count_components, count_holes, equivalent_radius
from ultrarefiner.corruption.measures import measure
from ultrarefiner.corruption.reference_lesions import reference_lesions
from ultrarefiner.corruption.secondary_errors import SECONDARY_ERRORS, boundary_jitter

SIZES = (128, 256, 512)
SEEDS = range(4)
LESIONS = {size: reference_lesions(size) for size in SIZES}


def wrong(name, size, lesion='lobulated', severity=0.5, seed=0):
    truth = LESIONS[size][lesion]
    return truth, ERROR_TYPES[name](truth, severity, np.random.default_rng(seed))


def ratio(truth, mask):
    return mask.sum() / truth.sum()


AREA_RATIOS = {  # at severity 0, 0.5 and 1
    'over_segmentation': (1.2, np.sqrt(1.2 * 3), 3),
    'under_segmentation': (0.9, np.sqrt(0.9 * 0.4), 0.4),
    'missing_chunk': (0.95, 0.825, 0.7),
}


@pytest.mark.parametrize('lesion', ['disc', 'ellipse', 'lobulated'])
@pytest.mark.parametrize('size', SIZES)
@pytest.mark.parametrize('name', AREA_RATIOS)
def test_area_is_the_target_to_the_pixel(name, size, lesion):
    for severity, expected in zip((0, 0.5, 1), AREA_RATIOS[name]):
        truth, mask = wrong(name, size, lesion, severity, seed=int(10 * severity))
        assert abs(mask.sum() - expected * truth.sum()) <= 1
        nested = truth <= mask if expected > 1 else mask <= truth
        assert nested.all() and (expected < 1 or count_components(mask) == 1)


@pytest.mark.parametrize('size', SIZES)
def test_giant_growth_reaches_20_times_where_there_is_room(size):
    y, x = np.mgrid[:size, :size] / size - 0.5
    small = np.hypot(y, x) <= 0.08
    for severity, factor in ((0, 3), (1, 20)):
        for seed in SEEDS:
            mask = ERROR_TYPES['giant_over_segmentation'](small, severity, np.random.default_rng(seed))
            assert ratio(small, mask) == pytest.approx(factor, rel=0.02) and count_components(mask) == 1
    full = ERROR_TYPES['giant_over_segmentation'](LESIONS[size]['disc'], 1, np.random.default_rng(0))
    assert full.mean() == pytest.approx(0.95, abs=0.01)  # 20 times does not fit


def test_giant_growth_of_a_lesion_that_fills_the_image_is_refused():
    mask = np.zeros((40, 40), bool)
    mask[:, :20] = True
    with pytest.raises(UnreachableError, match='covers 50% of the image cannot grow 3 times'):
        ERROR_TYPES['giant_over_segmentation'](mask, 0, np.random.default_rng(0))


@pytest.mark.parametrize('size', SIZES)
def test_identity_is_exact_in_three_of_ten_and_near_else(size):
    truth, exact = wrong('identity', size, severity=0.29)
    assert (exact == truth).all()
    ratios = [ratio(*wrong('identity', size, severity=1, seed=seed)) for seed in range(8)]
    assert {round(value, 2) for value in ratios} == {0.88, 1.12}


@pytest.mark.parametrize('size', SIZES)
def test_one_sided_growth_moves_the_centroid(size):
    # Seeds whose first draw is below and above 0.3.
    seeds = {
        sided: [s for s in range(40) if (np.random.default_rng(s).random() < 0.3) == sided][:3] for sided in (0, 1)
    }
    moved = {}
    for sided, chosen in seeds.items():
        lengths = []
        for seed in chosen:
            truth, mask = wrong('over_segmentation', size, 'disc', 1, seed)
            lengths.append(np.hypot(*np.subtract(Lesion(mask).centre, Lesion(truth).centre)) / Lesion(truth).radius)
        moved[sided] = np.mean(lengths)
    assert moved[1] > 2 * moved[0] and moved[1] > 0.2


@pytest.mark.parametrize('size', SIZES)
def test_missing_chunk_is_open_to_the_outside(size):
    for seed in SEEDS:
        truth, mask = wrong('missing_chunk', size, 'disc', 0.7, seed)
        assert count_holes(mask) == 0 and count_components(mask) == 1
        gone = truth & ~mask
        assert count_components(gone) == 1


@pytest.mark.parametrize('size', SIZES)
def test_holes_are_one_to_three_of_the_share_asked_for(size):
    counts = set()
    for seed in range(8):
        for severity, share in ((0, 0.02), (0.5, 0.02 * np.sqrt(10))):
            truth, mask = wrong('internal_holes', size, 'lobulated', severity, seed)
            holes = count_holes(mask)
            counts.add(holes)
            assert 1 - ratio(truth, mask) == pytest.approx(holes * share, abs=2 / truth.sum())
            assert count_components(mask) == 1 and (mask <= truth).all()
    assert counts == {1, 2, 3}


@pytest.mark.parametrize('size', SIZES)
def test_bridge_reaches_out_as_far_as_it_says_and_stays_attached(size):
    for severity, length in ((0, 0.31), (1, 1.84)):
        for seed in SEEDS:
            truth, mask = wrong('bridge', size, 'disc', severity, seed)
            assert count_components(mask) == 1 and (truth <= mask).all()
            y, x = Lesion(truth).frame
            reach = np.hypot(y, x)[mask].max() - 1
            # Bent by up to 45 degrees from the outward normal, and the disc at its end adds up to 0.59.
            assert np.hypot(1 + length * np.sqrt(0.5), length * np.sqrt(0.5)) - 1.1 <= reach <= length + 0.75


@pytest.mark.parametrize('size', SIZES)
def test_islands_are_as_many_as_asked_and_apart(size):
    few = [s for s in range(40) if np.random.default_rng(s).random() < 0.7][:3]
    for seed in few:
        for severity, count in ((0, 1), (0.5, 3), (1, 5)):
            truth, mask = wrong('false_positive_islands', size, 'disc', severity, seed)
            assert count_components(mask) == 1 + count
            assert (truth <= mask).all() and count * 0.0015 <= ratio(truth, mask) - 1 <= count * 0.101
            rows, columns = np.nonzero(mask & ~truth)
            y, x = np.nonzero(truth)
            margin = (np.ptp(y) + 1) / 2
            assert y.min() - margin - 1 <= rows.min() and columns.max() <= x.max() + margin + 1
    many = [s for s in range(40) if np.random.default_rng(s).random() >= 0.7][:3]
    for seed in many:
        truth, mask = wrong('false_positive_islands', size, 'disc', 0, seed)
        assert count_components(mask) == 6


@pytest.mark.parametrize('size', SIZES)
def test_noise_is_many_small_specks_away_from_the_lesion(size):
    for severity, count in ((0, 10), (1, 49)):
        truth, mask = wrong('noise_scatter', size, 'ellipse', severity)
        assert count_components(mask) == 1 + count
        assert 0.0005 * count <= ratio(truth, mask) - 1 <= 0.0101 * count


@pytest.mark.parametrize('size', SIZES)
def test_fragmentation_breaks_the_lesion(size):
    for severity in (0, 0.5, 1):
        for seed in SEEDS:
            truth, mask = wrong('fragmentation', size, 'ellipse', severity, seed)
            assert count_components(mask) >= 2 and (mask <= truth).all() and 0.4 <= ratio(truth, mask) < 1
    cuts = [
        [count_components(wrong('fragmentation', size, 'ellipse', s, seed)[1]) for seed in range(6)] for s in (0, 1)
    ]
    assert np.mean(cuts[0]) == 2 < 4 < np.mean(cuts[1])


@pytest.mark.parametrize('size', SIZES)
def test_shift_moves_by_its_share_of_the_bounding_box(size):
    for severity, share in ((0, 0.05), (1, 0.3)):
        for seed in SEEDS:
            truth, mask = wrong('shift', size, 'disc', severity, seed)
            move = np.abs(np.subtract(Lesion(mask).centre, Lesion(truth).centre)) / (0.32 * size)
            assert move == pytest.approx((share, share), abs=0.012) and ratio(truth, mask) == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize('size', SIZES)
def test_empty_is_empty_or_nearly(size):
    assert not wrong('empty', size, severity=0.5)[1].any() and not wrong('empty', size, severity=0.99)[1].any()
    for severity, share in ((0, 0.05), (0.49999, 0.01)):
        truth, mask = wrong('empty', size, severity=severity)
        assert ratio(truth, mask) == pytest.approx(share, abs=1 / truth.sum()) and (mask <= truth).all()


@pytest.mark.parametrize('name', [name for name in ERROR_TYPES if name != 'empty'])
def test_the_measured_effect_is_the_same_at_every_size(name):
    tolerance = dict(dice=0.03, area_ratio=0.05, boundary_distance=0.05)
    if name == 'noise_scatter':  # Its specks are one or two pixels at the smallest size, all outline.
        del tolerance['boundary_distance']
    effects = {}
    for size in SIZES:
        rows = []
        for severity in (0.2, 0.9):
            for seed in SEEDS:
                truth, mask = wrong(name, size, 'lobulated', severity, seed)
                rows.append(measure(mask.astype(float), truth))
        effects[size] = {quantity: np.mean([row[quantity] for row in rows]) for quantity in tolerance}
    for quantity, allowed in tolerance.items():
        values = [effects[size][quantity] for size in SIZES]
        assert max(values) - min(values) <= allowed * max(values[-1], 1), (quantity, values)


@pytest.mark.parametrize('name', ['over_segmentation', 'missing_chunk', 'bridge', 'shift', 'under_segmentation'])
def test_the_same_draw_gives_the_same_shape_at_twice_the_size(name):
    for seed in SEEDS:
        small, large = wrong(name, 128, seed=seed)[1], wrong(name, 256, seed=seed)[1]
        assert dice(np.kron(small, np.ones((2, 2))) > 0, large) > 0.96


@pytest.mark.parametrize('name', ERROR_TYPES)
def test_more_severe_means_a_lower_dice(name):
    for seed in SEEDS:
        scores = [dice(*wrong(name, 128, 'disc', severity, seed)) for severity in (0.05, 0.95)]
        assert scores[1] < scores[0]


def touching():
    """A lesion cut off by the image's corner, one as wide as the image, and one of 10 pixels in a corner."""
    y, x = np.mgrid[:96, :96]
    corner, band, tiny = np.hypot(y, x) <= 40, np.abs(y - 50) <= 14, np.zeros((96, 96), bool)
    tiny[0, :4] = tiny[1, :4] = tiny[2, :2] = True
    return dict(corner=corner, band=band, tiny=tiny)


@pytest.mark.parametrize('name', ERROR_TYPES)
@pytest.mark.parametrize('case', ['corner', 'band', 'tiny'])
def test_lesions_at_the_border_and_tiny_ones_keep_the_promise_or_are_refused(name, case):
    truth = touching()[case]
    done = 0
    for seed in range(6):
        try:
            mask = ERROR_TYPES[name](truth, 0.5, np.random.default_rng(seed))
        except UnreachableError:
            continue
        done += 1
        holes, parts, area = count_holes(mask), count_components(mask), ratio(truth, mask)
        kept = dict(
            identity=abs(area - 1) <= 0.13,
            over_segmentation=area == pytest.approx(np.sqrt(3.6), abs=0.06) and parts == 1,
            giant_over_segmentation=area > 2.9 and parts == 1,
            under_segmentation=area == pytest.approx(0.6, abs=0.06),
            missing_chunk=area == pytest.approx(0.825, abs=0.06),
            internal_holes=1 <= holes <= 3 and area < 1,
            bridge=parts == 1 and area > 1,
            false_positive_islands=parts > 1,
            fragmentation=parts > 1 and area < 1,
            shift=0.7 <= area and (mask != truth).any(),
            empty=area <= 0.1,
            noise_scatter=parts > 5,
        )
        assert kept[name]
    # A blob of 10 pixels in a corner has no interior for a hole. All else is possible, most draws at once.
    assert done == 0 if (name, case) == ('internal_holes', 'tiny') else done >= 3


@pytest.mark.parametrize('name', ['missing_chunk', 'internal_holes', 'fragmentation'])
def test_with_several_lesions_one_is_hit_and_the_others_stay(name):
    truth = LESIONS[256]['two']
    sides = truth & (np.arange(256) >= 128), truth & (np.arange(256) < 128)
    hit = []
    for seed in range(12):
        mask = ERROR_TYPES[name](truth, 0.3, np.random.default_rng(seed))
        changed = [((mask != truth) & side).any() for side in sides]
        assert sum(changed) == 1
        hit.append(changed.index(True))
    assert 0 < sum(hit) < 6  # the larger one more often


@pytest.mark.parametrize('name', ['over_segmentation', 'under_segmentation'])
def test_several_lesions_change_in_proportion_to_their_own_size(name):
    truth = LESIONS[128]['two']
    left = np.arange(128) < 64
    even = [seed for seed in range(40) if np.random.default_rng(seed).random() > 0.3][:16]  # not to one side
    masks = [ERROR_TYPES[name](truth, 0.3, np.random.default_rng(seed)) for seed in even]
    small, large = (np.mean([ratio(truth & side, mask & side) for mask in masks]) for side in (left, ~left))
    # As many pixels all around would change the small lesion's area 1.8 times as much.
    assert small - 1 == pytest.approx(large - 1, rel=0.25)


@pytest.mark.parametrize('secondary', SECONDARY_ERRORS)
def test_secondary_errors_keep_area_and_topology_and_change_the_outline(secondary):
    changed = 0
    for seed in SEEDS:
        truth = LESIONS[256]['two']
        unit = equivalent_radius(truth)
        rough = secondary(truth, unit, np.random.default_rng(seed))
        assert rough.sum() == truth.sum() and count_components(rough) == 2 and count_holes(rough) == 0
        changed += (rough != truth).any()
        assert dice(rough, truth) > 0.85
    assert changed >= 3


def test_boundary_jitter_is_as_rough_at_every_size():
    scores = []
    for size in SIZES:
        truth = LESIONS[size]['disc']
        masks = [boundary_jitter(truth, equivalent_radius(truth), np.random.default_rng(seed)) for seed in range(6)]
        scores.append(np.mean([dice(mask, truth) for mask in masks]))
    assert max(scores) < 0.97 and np.ptp(scores) < 0.01
