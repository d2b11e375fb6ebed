"""RefinementMetric: per image, then averaged; table, CSV and masks."""

import csv
import json
import pickle

import numpy as np
import pytest
import torch
from PIL import Image

from ultrarefiner.evaluation import RefinementMetric, boundary_iou, comparison_table, overlap, surface_distances
from ultrarefiner.evaluation.per_image_csv import read_rows, summarise_class
from ultrarefiner.registry import METRICS
from ultrarefiner.structures import Prompts

BINARY = dict(classes=('background', 'lesion'))


def sample(name, truth, coarse, refined=None, **meta):
    def field(labels):
        return dict(data=torch.as_tensor(np.asarray(labels))[None])

    fields = dict(img_path=f'/data/images/{name}.png', gt_sem_seg=field(truth), coarse_sem_seg=field(coarse), **meta)
    return fields if refined is None else dict(fields, pred_sem_seg=field(refined))


def rows(*runs):
    """A (1, 40) label map with runs of (label, start, stop)."""
    labels = np.zeros((1, 40), np.int64)
    for label, start, stop in runs:
        labels[0, start:stop] = label
    return labels


def evaluate(samples, meta=BINARY, **options):
    metric = RefinementMetric(**options)
    metric.dataset_meta = meta
    for item in samples:
        metric.process({}, [item])
    return metric.evaluate(len(samples))


def test_mean_over_images_differs_from_pooled_pixels():
    # Dice 1 on a small lesion (4 pixels) and 0.5 on a large one (32 pixels, half of their number found beside 8 wrong).
    small = sample('small', rows((1, 0, 4)), rows((1, 0, 4)), rows((1, 0, 4)))
    large = sample('large', rows((1, 0, 24)), rows((1, 12, 36)), rows((1, 0, 24)))
    result = evaluate([small, large])
    assert result['coarse/Dice'] == pytest.approx((1 + 0.5) / 2)
    pooled = 2 * (4 + 12) / (4 + 4 + 24 + 24)
    assert abs(result['coarse/Dice'] - pooled) > 0.1
    assert result['refined/Dice'] == 1 and result['delta/Dice'] == pytest.approx(0.25)


def test_delta_is_refined_minus_coarse_for_every_metric():
    rng = np.random.default_rng(0)
    samples = [sample(f'i{i}', *(rng.random((3, 8, 8)) < 0.5).astype(np.int64)) for i in range(4)]
    result = evaluate(samples)
    for name in ('Dice', 'IoU', 'Precision', 'Recall', 'Accuracy'):
        assert result[f'delta/{name}'] == pytest.approx(result[f'refined/{name}'] - result[f'coarse/{name}'])


def test_phase_1_measures_the_coarse_stage_only():
    result = evaluate([sample('a', rows((1, 0, 4)), rows((1, 0, 8)))], stages=('coarse',))
    assert result['coarse/Recall'] == 1 and result['coarse/Precision'] == 0.5
    assert not [key for key in result if key.startswith(('refined', 'delta'))]


def test_empty_masks_are_counted_and_follow_the_policy():
    samples = [
        sample('both', rows(), rows(), rows()),
        sample('missed', rows((1, 0, 4)), rows(), rows((1, 0, 4))),
    ]
    result = evaluate(samples)
    assert (result['empty/ground_truth'], result['empty/coarse'], result['empty/refined']) == (1, 2, 1)
    assert (result['missed/coarse'], result['missed/refined']) == (1, 0)
    assert (result['invented/coarse'], result['invented/refined']) == (0, 0)
    assert result['coarse/Dice'] == 0.5


def test_what_lies_on_pixels_that_do_not_count_is_not_invented():
    truth, elsewhere = rows((255, 4, 8)), rows((1, 4, 8))
    result = evaluate([sample('a', truth, elsewhere, rows((1, 4, 9)))])
    assert (result['invented/coarse'], result['invented/refined']) == (0, 1)
    assert (result['empty/coarse'], result['coarse/Dice'], result['refined/Dice']) == (0, 1, 0)


def test_boundary_metrics_are_those_of_the_functions_and_a_smaller_distance_is_a_negative_delta():
    truth, coarse, refined = (rows((1, start, start + 9)) for start in (4, 9, 5))
    names = ('HD95', 'ASSD', 'NSD', 'BoundaryIoU')
    result = evaluate([sample('a', truth, coarse, refined)], boundary_metrics=names, nsd_tolerance=1.5)
    for stage, mask in (('coarse', coarse), ('refined', refined)):
        scores = surface_distances(mask == 1, truth == 1, tolerance=1.5)
        scores['BoundaryIoU'] = boundary_iou(mask == 1, truth == 1)
        assert {name: result[f'{stage}/{name}'] for name in names} == scores
    assert result['delta/HD95'] == result['refined/HD95'] - result['coarse/HD95'] < 0
    assert result['delta/NSD'] > 0


def test_missing_more_objects_makes_the_mean_distance_larger():
    def mean(missed):
        truth, near = rows((1, 4, 8)), rows((1, 5, 9))
        samples = [sample(f'i{i}', truth, rows() if i < missed else near) for i in range(4)]
        return evaluate(samples, stages=('coarse',), boundary_metrics=('HD95', 'ASSD'))

    results = [mean(missed) for missed in range(5)]
    for name in ('coarse/HD95', 'coarse/ASSD'):
        values = [result[name] for result in results]
        assert values == sorted(values) and len(set(values)) == 5
        assert values[-1] == pytest.approx(np.hypot(1, 40))
    assert [result['missed/coarse'] for result in results] == [0, 1, 2, 3, 4]


def test_only_what_was_asked_for_is_measured(monkeypatch):
    def refuse(*_, **__):
        raise AssertionError('not asked for')

    monkeypatch.setattr('ultrarefiner.evaluation.refinement_metric.surface_distances', refuse)
    item = sample('a', rows((1, 0, 4)), rows((1, 0, 8)), rows((1, 0, 4)))
    assert not [key for key in evaluate([item]) if key.endswith(('HD95', 'BoundaryIoU'))]
    result = evaluate([item], boundary_metrics=('BoundaryIoU',))
    assert result['refined/BoundaryIoU'] == 1 and 'refined/HD95' not in result
    with pytest.raises(AssertionError, match='not asked for'):
        evaluate([item], boundary_metrics=('NSD',))


def test_pixels_of_label_255_do_not_count():
    result = evaluate([sample('a', rows((1, 0, 4), (255, 4, 8)), rows((1, 0, 8)), rows((1, 0, 4)))])
    assert result['coarse/Precision'] == 1


def test_two_classes_are_measured_one_by_one_and_averaged():
    meta = dict(classes=('background', 'benign', 'malignant'))
    truth, coarse = rows((1, 0, 10), (2, 20, 30)), rows((1, 0, 10), (2, 25, 35))
    result = evaluate([sample('a', truth, coarse, truth)], meta)
    assert result['coarse/benign/Dice'] == 1 and result['coarse/malignant/Dice'] == 0.5
    assert result['coarse/Dice'] == 0.75 and result['delta/malignant/Dice'] == 0.5


def test_results_are_plain_values_that_travel_between_processes():
    metric = RefinementMetric(boundary_metrics=('HD95', 'ASSD', 'NSD', 'BoundaryIoU'))
    metric.dataset_meta = BINARY
    metric.process({}, [sample('a', rows((1, 0, 4)), rows((1, 0, 8)), rows(), quality=[0.5])])
    metric.process({}, [sample('b', rows((1, 0, 4)), rows((1, 0, 8)), rows((1, 1, 5)))])
    assert len(metric.results) == 2  # one entry an image, so that padding of distributed samplers can be cut
    assert b'torch' not in pickle.dumps(metric.results) and b'numpy' not in pickle.dumps(metric.results)


def test_csv_has_a_row_an_image_sorted_by_name(tmp_path):
    samples = [
        sample('b', rows((1, 0, 4)), rows((1, 0, 8)), rows((1, 0, 4)), dataset='tiny', quality=[0.9]),
        sample('a', rows((1, 0, 4)), rows((1, 2, 4)), rows((1, 0, 2)), dataset='tiny', quality=[0.4]),
    ]
    evaluate(samples, csv_path=tmp_path / 'out' / 'per_image.csv')
    with open(tmp_path / 'out' / 'per_image.csv', newline='') as file:
        table = list(csv.DictReader(file))
    assert [row['name'] for row in table] == ['a', 'b']
    first = table[1]
    assert (first['dataset'], first['class'], first['area/coarse'], first['predicted_iou']) == (
        'tiny',
        'lesion',
        '8',
        '0.9',
    )
    summary = json.loads((tmp_path / 'out' / 'per_image.json').read_text())
    assert summary['images'] == 2 and summary['means']['coarse/Dice'] == pytest.approx(
        sum(float(row['coarse/Dice']) for row in table) / 2
    )
    expected = overlap(rows((1, 0, 8)) == 1, rows((1, 0, 4)) == 1)['Dice']
    assert float(first['coarse/Dice']) == expected and float(first['delta/Dice']) == 1 - expected


def test_csv_says_what_refining_changed(tmp_path):
    pair = rows((1, 0, 4), (1, 10, 14))
    samples = [
        sample('empty', rows((1, 0, 4)), rows(), rows()),
        sample('split', rows((1, 0, 4)), pair, rows((1, 0, 4))),
        sample('lost', rows((1, 0, 4)), pair, rows()),
    ]
    evaluate(samples, csv_path=tmp_path / 'per_image.csv')
    table = read_rows(tmp_path / 'per_image.csv').set_index('name')
    assert table['change/IoU'].to_dict() == dict(empty=1, split=0.5, lost=0)
    assert table['components/coarse'].to_dict() == dict(empty=0, split=2, lost=2)
    assert table['components/refined'].to_dict() == dict(empty=0, split=1, lost=0)
    assert table['missed/refined'].to_dict() == dict(empty=1, split=0, lost=1)
    assert set(table['area/image']) == {40}


def test_summary_says_how_often_refining_helped_in_each_class_and_size(tmp_path):
    meta = dict(classes=('background', 'benign', 'malignant'))
    small, large = rows((1, 0, 4)), rows((2, 10, 30))
    samples = [
        sample('a', small, small, rows((1, 0, 3))),
        sample('b', large, rows((2, 10, 20)), large),
        sample('c', large, rows(), rows((1, 10, 30))),
    ]
    evaluate(samples, meta, csv_path=tmp_path / 'per_image.csv')
    summary = json.loads((tmp_path / 'per_image.json').read_text())
    benign, malignant = summary['classes']['benign'], summary['classes']['malignant']
    assert benign['all']['win_tie_loss'] == dict(win=0, tie=1, loss=2)
    assert benign['none']['invented'] == dict(coarse=0, refined=1) and benign['present']['images'] == 1
    assert malignant['large']['win_tie_loss'] == dict(win=1, tie=1, loss=0)
    assert malignant['present']['missed'] == dict(coarse=1, refined=1)
    assert malignant['present']['means']['refined/Dice'] == 0.5 and malignant['all']['means']['refined/Dice'] == 2 / 3
    assert summary['counts']['missed/refined'] == 1 and summary['counts']['invented/refined'] == 1
    table = read_rows(tmp_path / 'per_image.csv')
    assert summarise_class(table[table['class'] == 'malignant']) == malignant


def test_masks_are_written_as_0_and_255(tmp_path):
    refined = rows((1, 3, 9))
    evaluate([sample('a', rows(), rows(), refined, dataset='tiny')], stage_dir=tmp_path)
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / 'masks' / 'tiny' / 'a.png')), refined * 255)


def test_the_coarse_mask_and_the_prompts_are_written_beside_the_mask(tmp_path):
    coarse, prompts = rows((1, 5, 20)), Prompts(boxes=torch.tensor([[[0.1, 0.0, 0.5, 1.0]]]))
    evaluate([sample('a', rows(), coarse, rows(), dataset='tiny', prompts=prompts)], stage_dir=tmp_path)
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / 'coarse' / 'tiny' / 'a.png')), coarse * 255)
    written = json.loads((tmp_path / 'prompts' / 'tiny' / 'a.json').read_text())
    assert written == dict(frame='normalised', slots=[dict(valid=True, box=[0.1, 0.0, 0.5, 1.0])])


def test_in_phase_1_the_mask_is_the_coarse_one(tmp_path):
    coarse = rows((1, 5, 20))
    evaluate([sample('a', rows(), coarse)], stages=('coarse',), stage_dir=tmp_path)
    assert [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob('*.*')] == ['masks/a.png']
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / 'masks' / 'a.png')), coarse * 255)


def test_several_classes_are_written_as_labels(tmp_path):
    refined = rows((1, 3, 9), (2, 20, 30))
    evaluate([sample('a', rows(), rows(), refined)], dict(classes=('background', 'p', 'q')), stage_dir=tmp_path)
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / 'masks' / 'a.png')), refined)


def test_an_unknown_stage_and_a_missing_prediction_are_explained():
    with pytest.raises(ValueError, match="stages is \\('fine',\\), expected some of \\('coarse', 'refined'\\)"):
        METRICS.build(dict(type='RefinementMetric', stages=('fine',)))
    with pytest.raises(ValueError, match="gives no pred_sem_seg, so the stage 'refined' cannot be measured"):
        evaluate([sample('a', rows(), rows())])


def test_unknown_metrics_and_tolerances_are_explained():
    with pytest.raises(ValueError, match="has \\['HD'\\], expected some of \\('HD95', 'ASSD', 'NSD', 'BoundaryIoU'\\)"):
        METRICS.build(dict(type='RefinementMetric', boundary_metrics=('HD', 'NSD')))
    with pytest.raises(ValueError, match='nsd_tolerance is -1, expected a distance in pixels'):
        METRICS.build(dict(type='RefinementMetric', nsd_tolerance=-1))


def test_table_shows_the_methods_rows_and_arrows():
    names = ('Dice', 'IoU', 'Precision', 'Recall', 'Accuracy')
    means = {f'{stage}/{name}': value for stage, value in (('coarse', 0.75), ('refined', 0.82)) for name in names}
    means.update({f'delta/{name}': change for name, change in zip(names, (0.07, -0.012, 0.00001, -0.00001, 0.09))})
    lines = comparison_table(means, '129 images').splitlines()
    cells = [line.strip('│ ').split() for line in lines]
    assert ['Metric', 'Coarse', 'Refined', 'Delta'] in cells
    assert ['Dice', '0.7500', '0.8200', '+0.0700', '↑'] in cells
    assert ['IoU', '0.7500', '0.8200', '-0.0120', '↓'] in cells
    assert ['Precision', '0.7500', '0.8200', '0.0000', '='] in cells and [
        'Recall',
        '0.7500',
        '0.8200',
        '0.0000',
        '=',
    ] in cells
    assert lines[0].startswith('┌') and '129 images' in lines[-2]


def test_the_table_of_phase_1_has_one_column():
    means = {f'coarse/{name}': 0.5 for name in ('Dice', 'IoU', 'Precision', 'Recall', 'Accuracy')}
    assert ['Dice', '0.5000'] in [line.strip('│ ').split() for line in comparison_table(means, '').splitlines()]
