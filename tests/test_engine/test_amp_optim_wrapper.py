"""AmpOptimWrapper: bfloat16 on a CPU, with everything that a training may hold beside it."""

import pytest
import torch
from joint_runner import joint_model, joint_runner, moved, save_coarse, state_of, watch

from ultrarefiner.engine import AmpOptimWrapper
from ultrarefiner.registry import OPTIM_WRAPPERS
from ultrarefiner.utils.checkpoint import read_checkpoint

OPTIMIZER = dict(type='SGD', lr=0.05)
HOOKS = [dict(type='StagedUnfreezeHook', parts='coarse', epochs=1), dict(type='EMAHook', momentum=0.2)]


@pytest.fixture(autouse=True)
def clean(clean_runner):
    yield


@pytest.fixture
def train(tiny_root, tmp_path, small_parts):
    model = joint_model(small_parts, init_from=dict(coarse=save_coarse(small_parts, tmp_path / 'coarse.pth')))

    def build(name, prepare=lambda runner: None, **optim_wrapper):
        optim_wrapper = dict(optimizer=OPTIMIZER, clip_grad=dict(max_norm=0.1), accumulative_counts=2, **optim_wrapper)
        runner = joint_runner(tiny_root, tmp_path / name, model, hooks=HOOKS, optim_wrapper=optim_wrapper)
        prepare(runner)
        runner.train()
        return runner

    return build


def test_a_config_trains_in_bfloat16_beside_clipping_accumulation_unfreezing_and_averaging(train):
    dtypes, states = [], []

    def prepare(runner):
        decoder = runner.model.refiner.mask_decoder
        for layer in (runner.model.coarse.decode_head.conv_seg, decoder.iou_prediction_head.layers[0]):
            layer.register_forward_hook(lambda module, args, result: dtypes.append((module.training, result.dtype)))
        states.append(watch(runner, 'after_train_epoch', lambda r: state_of(r.model)))

    half = train('half', prepare, type='AmpOptimWrapper', dtype='bfloat16')
    exact = train('exact', type='OptimWrapper')
    assert isinstance(half.optim_wrapper, AmpOptimWrapper)
    # Frozen parts are in evaluation mode while they train; validation computes in float32.
    assert set(dtypes) == {(True, torch.bfloat16), (False, torch.bfloat16), (False, torch.float32)}

    start, end = states[0]
    assert not {name for name in moved(start, end) if 'num_batches_tracked' not in name} - set(start)
    assert any(name.startswith('coarse.') for name in moved(start, end))
    for name, value in exact.model.state_dict().items():
        trained = half.model.state_dict()[name]
        torch.testing.assert_close(trained, value, atol=2e-2, rtol=2e-2, msg=lambda text, name=name: f'{name}: {text}')
    saved = read_checkpoint(half.work_dir + '/best.pth')['meta']['ultrarefiner']
    assert saved['precision'] == 'bfloat16'
    assert read_checkpoint(exact.work_dir + '/best.pth')['meta']['ultrarefiner']['precision'] == 'float32'


def test_a_scaled_loss_trains_the_same_weights(train):
    """What float16 needs on a GPU; a power of two scales without rounding."""

    def scale(runner):
        scaler = torch.amp.GradScaler('cpu', init_scale=2.0**10, growth_interval=1)
        watch(runner, 'before_train_epoch', lambda r: setattr(r.optim_wrapper, 'loss_scaler', scaler))
        scalers.append(scaler)

    scalers = []
    plain = train('plain', type='AmpOptimWrapper')
    scaled = train('scaled', scale, type='AmpOptimWrapper')
    assert scalers[0].get_scale() == 2.0**12  # one step an epoch, each of which doubles it
    for name, value in plain.model.state_dict().items():
        torch.testing.assert_close(scaled.model.state_dict()[name], value, atol=1e-6, rtol=1e-5)


def test_what_a_cpu_computes_in():
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=0.1)
    wrapper = OPTIM_WRAPPERS.build(dict(type='AmpOptimWrapper', optimizer=optimizer))
    assert wrapper.cast_dtype == torch.bfloat16 and not wrapper.loss_scaler.is_enabled()
    with pytest.raises(ValueError, match='float16 needs a GPU, and there is none: take bfloat16'):
        AmpOptimWrapper(optimizer=optimizer, dtype='float16')
    with pytest.raises(ValueError, match='mixed precision in float64: expected one of bfloat16, float16'):
        AmpOptimWrapper(optimizer=optimizer, dtype='float64')
