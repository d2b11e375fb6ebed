"""Guards of the coarse network: the baseline, when they act and what they do, also after a resume and with EMA."""

from types import SimpleNamespace

import pytest
import torch
from joint_runner import joint_model, joint_runner, moved, read_log, save_coarse, state_of, watch
from mmengine.evaluator import BaseMetric

from ultrarefiner.engine.averaged_copies import averaged_copies
from ultrarefiner.engine.hooks import StopOnCoarseDropHook
from ultrarefiner.registry import METRICS


class ScriptedDice(BaseMetric):
    """Gives the coarse Dice that a test wrote down, one a validation."""

    script = []

    def process(self, data_batch, data_samples):
        self.results.append(0)

    def compute_metrics(self, results):
        dice = self.script.pop(0)
        return {'coarse/Dice': dice, 'refined/Dice': dice}


@pytest.fixture(autouse=True)
def scripted(clean_runner):
    METRICS.register_module(module=ScriptedDice)
    yield
    METRICS.module_dict.pop('ScriptedDice')


@pytest.fixture
def run(tiny_root, tmp_path, small_parts):
    """Call it with the guard, the script and the number of epochs: a Runner that is ready to train."""
    init_from = dict(coarse=save_coarse(small_parts, tmp_path / 'coarse.pth'))
    model = joint_model(small_parts, init_from=init_from)

    def make(guard, script, epochs, hooks=(), name='run', **options):
        ScriptedDice.script = list(script)
        hooks = [*hooks, *([guard] if isinstance(guard, dict) else [dict(type=guard)])]
        options = dict(val_evaluator=dict(type='ScriptedDice'), **options)
        return joint_runner(tiny_root, tmp_path / name, model, epochs=epochs, hooks=hooks, **options)

    return make


def test_training_stops_when_the_coarse_dice_falls_too_far(run, tmp_path):
    # Before training, then a fall within the tolerance, one beyond, and what must not be reached.
    runner = run('StopOnCoarseDropHook', [0.8, 0.781, 0.779, 0.9], epochs=4)
    runner.train()
    assert runner.epoch == 2 and ScriptedDice.script == [0.9]
    log = read_log(tmp_path / 'run')
    assert 'coarse/Dice before training is 0.8000' in log
    assert 'is 0.7790 after epoch 2, more than 0.02 below the 0.8000' in log


def test_the_start_counts_as_a_checkpoint(run, tmp_path):
    runner = run('StopOnCoarseDropHook', [0.8, 0.79], epochs=1)
    start = watch(runner, 'before_train_epoch', lambda r: state_of(r.model))
    runner.train()
    best = torch.load(tmp_path / 'run' / 'best.pth', weights_only=True)
    assert best['meta']['epoch'] == 0 and not moved(start[0], best['state_dict'])


def test_a_resumed_run_is_held_to_the_same(run):
    run('StopOnCoarseDropHook', [0.8, 0.7801], epochs=1).train()
    # Its first validation makes up for that of epoch 1, which the checkpoint does not know of.
    resumed = run('StopOnCoarseDropHook', [0.7801, 0.779, 0.9], epochs=4, resume=True)
    resumed.train()
    assert resumed.epoch == 2 and ScriptedDice.script == [0.9]
    again = run('StopOnCoarseDropHook', [0.779, 0.9], epochs=4, resume=True)
    again.train()
    assert again.epoch == 2 and ScriptedDice.script == [0.9]


def test_the_best_coarse_weights_come_back(run, tmp_path):
    runner = run('RestoreCoarseHook', [0.8, 0.85, 0.7, 0.7], epochs=3)
    validated = watch(runner, 'before_val', lambda r: state_of(r.model))
    after = watch(runner, 'after_val', lambda r: state_of(r.model), priority='LOWEST')
    optimizer = watch(
        runner,
        'after_val',
        lambda r: {stage: sum(w in r.optim_wrapper.optimizer.state for w in getattr(r.model, stage).parameters())
                   for stage in ('coarse', 'refiner')},
        priority='LOWEST',
    )  # fmt: skip
    runner.train()
    coarse = {name for name in after[0] if name.startswith('coarse.')}
    for epoch in (2, 3):
        assert moved(validated[epoch], after[epoch]) == coarse
        assert not moved(validated[1], after[epoch]) & coarse
    assert not moved(validated[1], after[1])
    assert optimizer[1]['coarse'] > 0 and optimizer[2]['coarse'] == 0 < optimizer[2]['refiner']
    log = read_log(tmp_path / 'run')
    assert all(f'after epoch {epoch} the coarse network goes on from its weights of epoch 1' in log for epoch in (2, 3))
    # The moments begin anew, and training goes on from there.
    assert coarse & moved(after[2], validated[3])


def test_the_best_weights_survive_an_interruption(run, tmp_path):
    run('RestoreCoarseHook', [0.8, 0.85, 0.84], epochs=2).train()
    resumed = run('RestoreCoarseHook', [0.84, 0.7], epochs=3, resume=True)
    after = watch(resumed, 'after_val', lambda r: state_of(r.model.coarse), priority='LOWEST')
    resumed.train()
    best = torch.load(tmp_path / 'run' / 'best.pth', weights_only=True)
    assert best['meta']['epoch'] == 1 and set(best) == {'meta', 'state_dict'}
    for name, value in after[-1].items():
        assert torch.equal(value, best['state_dict'][f'coarse.{name}'])


def test_averaged_weights_are_watched_and_restored(run):
    runner = run('RestoreCoarseHook', [0.8, 0.7], epochs=1, hooks=[dict(type='EMAHook', momentum=0.2)])
    validated = watch(runner, 'after_val_iter', lambda r: state_of(r.model.coarse))
    after = watch(
        runner,
        'after_val',
        lambda r: [state_of(model.coarse) for model in (r.model, *averaged_copies(r))],
        priority='LOWEST',
    )
    runner.train()
    expected = torch.load(runner.cfg.model.init_from.coarse)['state_dict']
    expected = {name.removeprefix('coarse.'): value for name, value in expected.items()}
    assert not moved(expected, validated[0])  # not the copy that EMAHook made of random weights
    assert moved(expected, validated[-1])
    for weights in after[-1]:
        assert not moved(expected, weights)


def test_a_run_that_was_not_guarded_cannot_be_resumed_with_a_guard(run):
    run('StopOnCoarseDropHook', [0.8, 0.8], epochs=1).train()
    resumed = run('RestoreCoarseHook', [0.8, 0.8], epochs=2, resume=True)
    with pytest.raises(ValueError, match='RestoreCoarseHook: the resumed checkpoint does not say what coarse/Dice was'):
        resumed.train()


def test_a_metric_that_is_not_measured_is_an_error(run):
    runner = run(dict(type='StopOnCoarseDropHook', metric='coarse/dice'), [0.8], epochs=1)
    with pytest.raises(ValueError, match=r"gives no 'coarse/dice', only \['coarse/Dice', 'refined/Dice'\]"):
        runner.train()


def test_without_a_validation_there_is_nothing_to_compare():
    with pytest.raises(ValueError, match='compares validations, and this run has none'):
        StopOnCoarseDropHook().before_train(SimpleNamespace(val_loop=None))


def test_a_negative_tolerance_is_refused():
    with pytest.raises(ValueError, match='tolerance is -0.1'):
        StopOnCoarseDropHook(tolerance=-0.1)
