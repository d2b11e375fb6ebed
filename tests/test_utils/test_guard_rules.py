"""GuardRules: what lies in a range, and what is no rule."""

import numpy as np
import pytest
import torch

from ultrarefiner.utils.guard_rules import GuardRules

NAN, INF = float('nan'), float('inf')


@pytest.mark.parametrize(
    'ends, expected',
    [
        ((0.5, None), [False, True, True, True, False]),
        ((None, 0.5), [True, True, False, False, False]),
        ((0.5, 2), [False, True, True, False, False]),
        ((None, None), [True, True, True, True, False]),
    ],
)
def test_ends_belong_to_a_range_and_nan_to_none(ends, expected):
    values = [0.4, 0.5, 2.0, INF, NAN]
    rules = GuardRules(dict(area_ratio=ends))
    assert rules.accept(dict(area_ratio=torch.tensor(values))).tolist() == expected
    assert rules.accept(dict(area_ratio=np.array(values))).tolist() == expected


def test_every_range_has_to_hold_and_no_rule_accepts():
    measures = dict(agreement=np.array([0.2, 0.9, 0.9]), components=np.array([1, 1, 7]))
    rules = GuardRules(dict(agreement=(0.5, None), components=(None, 5)))
    assert rules.accept(measures).tolist() == [False, True, False]
    assert GuardRules({}).accept(measures) is True


@pytest.mark.parametrize('ends', [0.5, (0.5,), (0.9, 0.1), ('a', None), (True, None), (NAN, 1)])
def test_what_is_no_range_is_refused(ends):
    with pytest.raises(ValueError, match=r'agreement is .*expected \(lowest, highest\)'):
        GuardRules(dict(agreement=ends))


def test_an_unknown_measure_is_refused():
    with pytest.raises(ValueError, match="no measure 'iou', expected some of.*predicted_iou"):
        GuardRules(dict(iou=(0.5, None)))


@pytest.mark.parametrize(
    'content, message', [('{"rules": 3}', 'holds no "rules"'), ('[]', 'holds no "rules"'), ('{', 'is no JSON file')]
)
def test_a_file_without_rules_is_refused(content, message, tmp_path):
    path = tmp_path / 'guard.json'
    with pytest.raises(FileNotFoundError, match='calibrate_guard.py writes them'):
        GuardRules.load(path)
    path.write_text(content)
    with pytest.raises(ValueError, match=message):
        GuardRules.load(path)
