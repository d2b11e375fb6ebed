"""mmengine's EMAHook with our checkpoints: what was validated is in best.pth, and partial runs resume exactly."""

import pytest
import torch
from joint_runner import joint_model, joint_runner, moved, save_coarse, state_of, watch

from ultrarefiner.engine.averaged_copies import averaged_copies
from ultrarefiner.models.refiners import SAMRefiner

EMA = dict(type='EMAHook', momentum=0.3)
PARTIAL = dict(type='TrainableCheckpointHook')


@pytest.fixture(autouse=True)
def clean(clean_runner):
    yield


@pytest.fixture
def model(small_parts, tmp_path):
    """Everything trains but SAM's image encoder, whose weights come from a file, as published ones do."""
    model = joint_model(small_parts, init_from=dict(coarse=save_coarse(small_parts, tmp_path / 'coarse.pth')))
    torch.manual_seed(5)
    torch.save(SAMRefiner(arch=model['refiner']['arch']).state_dict(), tmp_path / 'sam.pth')
    model['refiner'].update(encoder='frozen', checkpoint=str(tmp_path / 'sam.pth'))
    return model


def test_best_pth_holds_the_averaged_weights_that_were_validated(tiny_root, tmp_path, model):
    runner = joint_runner(tiny_root, tmp_path / 'run', model, epochs=2, hooks=[EMA])
    validated = watch(runner, 'after_val_iter', lambda r: state_of(r.model))
    trained = watch(runner, 'after_train_epoch', lambda r: state_of(r.model))
    runner.train()
    best = torch.load(tmp_path / 'run' / 'best.pth', weights_only=True)
    epoch = best['meta']['epoch']
    assert not moved(best['state_dict'], validated[2 * epoch - 1])
    weights = {name for name, weight in runner.model.named_parameters() if weight.requires_grad}
    assert moved(best['state_dict'], trained[epoch - 1]) == weights
    # Two steps an epoch; the average begins with the weights after the first.
    second = trained[0]['coarse.decode_head.conv_seg.weight']
    averaged = validated[1]['coarse.decode_head.conv_seg.weight']
    assert not torch.equal(averaged, second)
    # Validation leaves the trained weights as they were.
    assert not moved(trained[-1], runner.model.state_dict())


@pytest.mark.parametrize('hooks', [[EMA, PARTIAL], [PARTIAL, EMA]], ids=['partial-last', 'partial-first'])
def test_resuming_goes_on_as_if_nothing_had_happened(tiny_root, tmp_path, model, hooks):
    whole = joint_runner(tiny_root, tmp_path / 'whole', model, epochs=2, hooks=hooks)
    whole.train()
    joint_runner(tiny_root, tmp_path / 'cut', model, epochs=1, hooks=hooks).train()
    resumed = joint_runner(tiny_root, tmp_path / 'cut', model, epochs=2, hooks=hooks, resume=True)
    resumed.train()
    assert not moved(whole.model.state_dict(), resumed.model.state_dict())
    (first,), (second,) = averaged_copies(whole), averaged_copies(resumed)
    assert not moved(first.state_dict(), second.state_dict())
    assert moved(first.state_dict(), whole.model.state_dict())


def test_a_partial_checkpoint_lacks_the_frozen_weights_also_among_the_averaged(tiny_root, tmp_path, model):
    runner = joint_runner(tiny_root, tmp_path / 'run', model, epochs=1, hooks=[EMA, PARTIAL])
    runner.train()
    saved = torch.load(tmp_path / 'run' / 'epoch_1.pth', weights_only=False)
    frozen = set(saved['meta']['ultrarefiner_partial']['frozen'])
    assert len(frozen) > 10 and all(name.startswith('refiner.') for name in frozen)
    assert set(saved['state_dict']) == set(runner.model.state_dict()) - frozen
    assert set(saved['ema_state_dict']) == {'steps'} | {f'module.{name}' for name in saved['state_dict']}


@pytest.mark.parametrize('hooks', [[EMA, PARTIAL], [PARTIAL]], ids=['with-ema', 'without'])
def test_testing_a_partial_best_pth_uses_the_averaged_weights_and_the_base(tiny_root, tmp_path, model, hooks):
    runner = joint_runner(tiny_root, tmp_path / 'run', model, epochs=1, hooks=[EMA, PARTIAL])
    validated = watch(runner, 'after_val_iter', lambda r: state_of(r.model))
    runner.train()
    path = str(tmp_path / 'run' / 'best.pth')
    testing = joint_runner(tiny_root, tmp_path / 'test', model, hooks=hooks, load_from=path)
    tested = watch(testing, 'after_test_iter', lambda r: state_of(r.model))
    testing.test()
    assert not moved(validated[-1], tested[0])


def test_what_is_frozen_for_a_while_is_saved(tiny_root, tmp_path, model):
    hooks = [dict(type='StagedUnfreezeHook', parts=['coarse'], epochs=2), PARTIAL]
    joint_runner(tiny_root, tmp_path / 'run', model, epochs=1, hooks=hooks).train()
    saved = torch.load(tmp_path / 'run' / 'best.pth', weights_only=True)
    expected = torch.load(tmp_path / 'coarse.pth')['state_dict']
    assert not moved(expected, saved['state_dict'])
    assert not any(name.startswith('coarse.') for name in saved['meta']['ultrarefiner_partial']['frozen'])
