"""FrozenNormHook: the statistics of a part hold still, and its scale and shift on demand."""

from types import SimpleNamespace

import pytest
import torch
from joint_runner import joint_model, joint_runner, moved, state_of, watch
from torch import nn

from ultrarefiner.engine.hooks import FrozenNormHook
from ultrarefiner.engine.hooks.model_parts import find_parts

NORMS = {'BatchNorm2d', 'GroupNorm', 'LayerNorm', 'LayerNorm2d'}  # the last one is SAM's own


@pytest.fixture(autouse=True)
def clean(clean_runner):
    yield


def train(tiny_root, tmp_path, model, hooks, epochs=1):
    """The names that moved during the training, and those of all normalisation layers by class."""
    runner = joint_runner(tiny_root, tmp_path / 'run', model, epochs=epochs, hooks=hooks, validate=False)
    start = watch(runner, 'before_train', lambda r: state_of(r.model))
    runner.train()
    norms = {}
    for path, part in runner.model.named_modules():
        if type(part).__name__ in NORMS:
            norms.setdefault(type(part).__name__, set()).update(f'{path}.{name}' for name in part.state_dict())
    return moved(start[0], runner.model.state_dict()), norms


def test_the_statistics_hold_still_and_everything_else_trains(tiny_root, tmp_path, small_parts):
    hooks = [dict(type='FrozenNormHook', parts=['coarse.decode_head'])]
    changed, norms = train(tiny_root, tmp_path, joint_model(small_parts), hooks)
    statistics = {name for name in norms['BatchNorm2d'] if not name.endswith(('.weight', '.bias'))}
    assert len(statistics) == 3 * 9 and not statistics & changed
    assert norms['BatchNorm2d'] - statistics <= changed
    assert {'coarse.decode_head.conv_seg.weight'} | norms['GroupNorm'] <= changed


def test_scale_and_shift_on_demand(tiny_root, tmp_path, small_parts):
    hooks = [
        # A hook that holds the whole part for a while must not release them.
        dict(type='StagedUnfreezeHook', parts=['coarse'], epochs=1),
        dict(type='FrozenNormHook', parts=['coarse', r'refiner[.]image_encoder[.]neck'], affine=True),
    ]
    changed, norms = train(tiny_root, tmp_path, joint_model(small_parts), hooks, epochs=2)
    frozen = {
        name for names in norms.values() for name in names if name.startswith(('coarse.', 'refiner.image_encoder.neck'))
    }
    assert {type_ for type_, names in norms.items() if names & frozen} == NORMS
    assert not frozen & changed
    assert {name for name in norms['LayerNorm'] if name.startswith('refiner.image_encoder.blocks')} <= changed
    assert 'coarse.decode_head.conv_seg.weight' in changed


def test_a_part_without_statistics_says_what_to_do():
    model = nn.ModuleDict(dict(coarse=nn.Sequential(nn.GroupNorm(1, 2), nn.LayerNorm(2)), head=nn.Conv2d(1, 1, 1)))
    run = SimpleNamespace(model=model)
    with pytest.raises(ValueError, match="'coarse' has 2 normalisation layers, none of them with running.*affine=True"):
        FrozenNormHook(['coarse']).before_train(run)
    with pytest.raises(ValueError, match="'head' has 0 normalisation layers"):
        FrozenNormHook(['head'], affine=True).before_train(run)


def test_a_pattern_has_to_match_whole_paths():
    model = nn.ModuleDict(dict(a=nn.Sequential(nn.Linear(1, 1), nn.Linear(1, 1)), ab=nn.Linear(1, 1)))
    assert list(find_parts(model, 'a')) == ['a']
    assert list(find_parts(model, r'a[.]\d')) == ['a.0', 'a.1']
    with pytest.raises(ValueError, match="'xyz' matches no part of ModuleDict; it has .* such as a, ab"):
        find_parts(model, 'xyz')
    assert torch.equal(find_parts(model, 'ab')['ab'].weight, model['ab'].weight)
