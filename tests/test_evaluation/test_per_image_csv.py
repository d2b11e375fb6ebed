"""Per-image results: read back, averaged without leaving anything out, counted and grouped."""

import math

import pandas as pd
import pytest

from ultrarefiner.evaluation.per_image_csv import (
    count_images,
    mean_over_classes,
    mean_over_images,
    read_means,
    read_rows,
    size_strata,
    summarise,
    summarise_class,
    win_tie_loss,
)


def row(name='a', label='lesion', area=100, coarse=0.5, refined=0.5, **more):
    """A row of an image of 1000 pixels; a Dice of 0 means an empty mask."""
    flags = {
        f'{flag}/{stage}': int(dice == 0 and (area > 0) == (flag == 'missed'))
        for flag in ('missed', 'invented')
        for stage, dice in (('coarse', coarse), ('refined', refined))
    }
    scores = {'coarse/Dice': coarse, 'refined/Dice': refined, 'delta/Dice': refined - coarse}
    areas = {'area/image': 1000, 'area/ground_truth': area}
    return {'name': name, 'dataset': 'tiny', 'class': label, **areas, **scores, **flags, 'change/IoU': 0.9, **more}


def test_names_that_look_like_numbers_or_nothing_stay_what_they_are(tmp_path):
    path = tmp_path / 'per_image.csv'
    rows = pd.DataFrame([row('007'), row('NA'), row('1e3')])
    rows.to_csv(path, index=False)
    back = read_rows(path)
    pd.testing.assert_frame_equal(back, rows)
    assert list(back['name']) == ['007', 'NA', '1e3']
    assert read_means(path) == (mean_over_classes(rows), 3)


def test_only_metrics_of_stages_are_averaged():
    rows = pd.DataFrame([row(coarse=0.5, refined=0.8), row('b', coarse=0.7, refined=0.6)])
    expected = {'coarse/Dice': 0.6, 'refined/Dice': 0.7, 'delta/Dice': 0.1}
    assert mean_over_images(rows) == pytest.approx(expected)  # no change/IoU


def test_each_class_has_the_same_weight_and_images_are_counted_once():
    rows = pd.DataFrame([row('a', 'p', coarse=1.0), row('b', 'p', coarse=1.0), row('b', 'q', coarse=0.4)])
    assert mean_over_classes(rows)['coarse/Dice'] == pytest.approx(0.7)
    assert count_images(rows) == 2


def test_a_missing_value_shows_instead_of_leaving_the_mean():
    rows = pd.DataFrame([row(coarse=0.5), row('b', coarse=math.nan)])
    assert math.isnan(mean_over_images(rows)['coarse/Dice']) and math.isnan(mean_over_classes(rows)['coarse/Dice'])


def test_a_change_below_the_tolerance_is_a_tie():
    changes = (0.2, 0.006, 0.004, 0.0, -0.004, -0.006)
    rows = pd.DataFrame([row(f'i{number}', coarse=0, refined=change) for number, change in enumerate(changes)])
    assert win_tie_loss(rows) == dict(win=2, tie=3, loss=1)


def test_strata_of_the_lesion_size():
    areas = (0, 1, 19, 20, 100, 101, 1000)  # of 1000 pixels
    strata = size_strata(pd.DataFrame([row(f'i{area}', area=area) for area in areas]))
    expected = dict(none=[0], small=[1, 19], medium=[20, 100], large=[101, 1000])
    assert {name: list(part['area/ground_truth']) for name, part in strata.items()} == expected


def test_summary_counts_what_is_missed_and_invented():
    rows = pd.DataFrame(
        [row('a', coarse=0.0, refined=0.8), row('b', coarse=0.6, refined=0.5), row('c', area=0, coarse=0)]
    )
    summary = summarise(rows)
    assert summary['images'] == 3 and summary['means']['refined/Dice'] == pytest.approx((0.8 + 0.5 + 0.5) / 3)
    assert summary['missed'] == dict(coarse=1, refined=0) and summary['invented'] == dict(coarse=1, refined=0)
    assert summary['win_tie_loss'] == dict(win=2, tie=0, loss=1)
    assert summarise(rows[:0]) == dict(
        images=0,
        means={},
        missed=dict(coarse=0, refined=0),
        invented=dict(coarse=0, refined=0),
        win_tie_loss=dict(win=0, tie=0, loss=0),
    )


def test_a_rare_class_that_is_always_missed_is_told_apart():
    absent = [row(f'i{number}', area=0, coarse=1.0, refined=1.0) for number in range(19)]
    summary = summarise_class(pd.DataFrame([*absent, row('rare', coarse=0.0, refined=0.0)]))
    assert summary['all']['means']['refined/Dice'] == pytest.approx(0.95)
    assert summary['present']['means']['refined/Dice'] == 0 and summary['present']['images'] == 1
    assert summary['all']['missed'] == summary['medium']['missed'] == dict(coarse=1, refined=1)
    assert summary['none']['means']['refined/Dice'] == 1 and summary['large']['images'] == 0


def test_one_stage_has_no_wins():
    rows = pd.DataFrame([row()]).drop(columns=['refined/Dice', 'delta/Dice', 'missed/refined', 'invented/refined'])
    assert summarise(rows) == dict(images=1, means={'coarse/Dice': 0.5}, missed=dict(coarse=0), invented=dict(coarse=0))
