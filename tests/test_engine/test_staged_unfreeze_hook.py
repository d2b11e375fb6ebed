"""StagedUnfreezeHook: still means still, then it trains; also after a resume."""

from types import SimpleNamespace

import pytest
from joint_runner import joint_model, joint_runner, moved, save_coarse, state_of, watch
from mmengine.runner import EpochBasedTrainLoop

from ultrarefiner.engine.hooks import StagedUnfreezeHook
from ultrarefiner.registry import HOOKS, MODELS


@pytest.fixture(autouse=True)
def clean(clean_runner):
    yield


@pytest.fixture
def model(small_parts, tmp_path):
    return joint_model(small_parts, init_from=dict(coarse=save_coarse(small_parts, tmp_path / 'coarse.pth')))


def staged(parts, epochs):
    return dict(type='StagedUnfreezeHook', parts=parts, epochs=epochs)


def test_the_frozen_part_holds_still_and_then_trains(tiny_root, tmp_path, model):
    runner = joint_runner(tiny_root, tmp_path / 'run', model, epochs=2, hooks=[staged('coarse', 1)], validate=False)
    modes = watch(runner, 'after_train_iter', lambda r: {part.training for part in r.model.coarse.modules()})
    states = watch(runner, 'after_train_epoch', lambda r: state_of(r.model))
    moments = watch(runner, 'after_train_epoch', lambda r: {id(weight) for weight in r.optim_wrapper.optimizer.state})
    start = watch(runner, 'before_train', lambda r: state_of(r.model))
    runner.train()

    # AdamW decays by lr * weight_decay = 1e-4 of a weight in every step, so anything it touched would differ.
    assert not any(name.startswith('coarse.') for name in moved(start[0], states[0]))
    assert any(name.startswith('refiner.') for name in moved(start[0], states[0]))
    coarse = {name for name in states[0] if name.startswith('coarse.')}
    assert moved(states[0], states[1]) & coarse == coarse  # statistics of the normalisation too
    assert modes == [{False}, {False}, {True}, {True}]

    weights = list(runner.model.coarse.parameters())
    groups = {id(weight) for group in runner.optim_wrapper.optimizer.param_groups for weight in group['params']}
    assert {id(weight) for weight in weights} <= groups
    assert not moments[0] & {id(weight) for weight in weights}
    assert runner.optim_wrapper.optimizer.state[weights[0]]['step'] == 2


def test_resuming_goes_on_as_if_nothing_had_happened(tiny_root, tmp_path, model):
    hooks = [staged(['refiner[.]mask_decoder'], 2)]
    whole = joint_runner(tiny_root, tmp_path / 'whole', model, epochs=3, hooks=hooks)
    whole.train()
    joint_runner(tiny_root, tmp_path / 'cut', model, epochs=1, hooks=hooks).train()
    resumed = joint_runner(tiny_root, tmp_path / 'cut', model, epochs=3, hooks=hooks, resume=True)
    states = watch(resumed, 'before_train_iter', lambda r: state_of(r.model.refiner.mask_decoder))
    resumed.train()
    assert len(states) == 4 and not moved(states[0], states[2]) and moved(states[2], states[3])
    assert not moved(whole.model.state_dict(), resumed.model.state_dict())


def test_what_the_config_froze_is_not_released(tiny_root, tmp_path, model):
    model['refiner']['encoder'] = 'frozen'
    runner = joint_runner(tiny_root, tmp_path / 'run', model, epochs=2, hooks=[staged('refiner', 1)], validate=False)
    frozen = {name for name, weight in runner.model.named_parameters() if not weight.requires_grad}
    assert any('image_encoder' in name for name in frozen) and any('iou_prediction_head' in name for name in frozen)
    first = watch(runner, 'before_train_iter', lambda r: r.model.refiner.mask_decoder.training)
    runner.train()
    assert {name for name, weight in runner.model.named_parameters() if not weight.requires_grad} == frozen
    runner.model.train()
    assert not runner.model.refiner.image_encoder.training and runner.model.refiner.mask_decoder.training
    assert first == [False, False, True, True]


@pytest.mark.parametrize('order', [1, -1])
def test_several_hooks_release_one_part_after_the_other(tiny_root, tmp_path, model, order):
    hooks = [staged('coarse', 1), staged('coarse.backbone', 2)][::order]
    runner = joint_runner(tiny_root, tmp_path / 'run', model, epochs=3, hooks=hooks, validate=False)

    def trainable(r):
        return [
            any(w.requires_grad for w in part.parameters())
            for part in (r.model.coarse.backbone, r.model.coarse.decode_head)
        ]

    seen = watch(runner, 'before_train_iter', trainable)
    runner.train()
    assert seen[::2] == [[False, False], [False, True], [True, True]]


@pytest.mark.parametrize(
    'parts, message',
    [
        (['coarse.backbon'], r"'coarse.backbon' matches no part of CoarseToFine.*such as coarse.backbone"),
        (['refiner.image_encoder'], 'nothing in refiner.image_encoder is trainable'),
        (['coarse', 'x'], "'x' matches no part"),
    ],
)
def test_a_name_that_is_of_no_use_is_an_error(model, parts, message):
    model['refiner']['encoder'] = 'frozen'
    run = SimpleNamespace(train_loop=EpochBasedTrainLoop.__new__(EpochBasedTrainLoop), model=MODELS.build(model))
    with pytest.raises(ValueError, match=message):
        StagedUnfreezeHook(parts, 1).before_train(run)


def test_a_training_that_counts_iterations_is_refused():
    with pytest.raises(ValueError, match='expected one that counts epochs'):
        StagedUnfreezeHook(['coarse'], 1).before_train(SimpleNamespace(train_loop=None))


@pytest.mark.parametrize('arguments', [dict(parts=[], epochs=1), dict(parts=['coarse'], epochs=0)])
def test_a_hook_without_an_effect_is_refused(arguments):
    with pytest.raises(ValueError, match='expected one or more names, and at least 1 epoch'):
        HOOKS.build(dict(type='StagedUnfreezeHook', **arguments))
