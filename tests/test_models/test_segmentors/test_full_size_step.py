"""One training step of phase 3 at full size, from random weights, on the CPU."""

import resource
import time
from pathlib import Path

import pytest
import torch
from mmengine.optim import build_optim_wrapper
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample

from ultrarefiner.apis.config import load_config
from ultrarefiner.apis.model import build_model

CONFIG = (
    Path(__file__).resolve().parents[3]
    / 'configs/ultrarefiner/ultrarefiner_transunet_medsam-b_method-prompts_phase3-1xb2-100e_busi-1024x1024.py'
)


@pytest.mark.slow
def test_a_full_size_step_fits_in_24_gib():
    torch.manual_seed(0)
    cfg = load_config(CONFIG)
    # Without the coarse losses, whatever gradient the coarse network gets has come back through the prompts.
    cfg.model.losses = [loss for loss in cfg.model.losses if loss['stage'] == 'refined']
    model = build_model(cfg).train()
    with torch.no_grad():
        # Without this bias random weights find nothing, and there would be nothing to refine.
        model.coarse.decode_head.conv_seg.bias.copy_(torch.tensor([0.0, 0.5]))
    mask = torch.zeros(1, 500, 600, dtype=torch.long)
    mask[:, 150:300, 200:400] = 1
    batch = dict(
        inputs=[torch.randint(0, 256, (3, 500, 600), dtype=torch.uint8)],
        data_samples=[SegDataSample(gt_sem_seg=PixelData(data=mask))],
    )
    before = {name: weight.clone() for name, weight in model.named_parameters()}
    started = time.time()
    optim_wrapper = build_optim_wrapper(model, cfg.optim_wrapper)
    log = model.train_step(batch, optim_wrapper)
    seconds, peak = time.time() - started, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f'\nfull-size phase-3 step: {seconds:.1f} s, peak memory {peak:.1f} GiB, loss {float(log["loss"]):.4f}')
    assert peak < 24
    assert torch.isfinite(log['loss'])
    assert {name for name in log if name.startswith('loss_')} == {'loss_refined_StageBCE', 'loss_refined_StageDice'}
    for name, weight in model.named_parameters():
        assert weight.requires_grad or torch.equal(before[name], weight), f'{name} is frozen and has changed'
    # Not the change of a weight, which weight decay alone makes: AdamW's mean of the gradient.
    means = {name: optim_wrapper.optimizer.state[weight]['exp_avg'] for name, weight in model.coarse.named_parameters()}
    without = [name for name, mean in means.items() if not mean.abs().max() > 0]
    assert without == []
