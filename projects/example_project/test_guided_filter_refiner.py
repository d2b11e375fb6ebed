"""The example keeps the contract, moves a mask to the image's edge, and is reached from its config."""

from pathlib import Path

import guided_filter_refiner  # noqa: F401  registers the class
import torch
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample

from ultrarefiner.apis.config import load_config
from ultrarefiner.apis.model import build_model
from ultrarefiner.registry import REFINERS
from ultrarefiner.structures import Prompts, SegOutput
from ultrarefiner.testing import check_refiner


def test_contract():
    check_refiner(dict(type='GuidedFilterRefiner', size=(32, 32)))


def test_the_mask_moves_to_the_edge_of_the_image():
    """A bright square, and a mask of it whose left edge is two pixels off: the filter mends half of it."""
    truth = torch.zeros(1, 1, 64, 64)
    truth[..., 16:48, 16:48] = 1
    image = (40 + 160 * truth[0].expand(3, -1, -1)).to(torch.uint8)
    mask = torch.full((1, 1, 64, 64), -4.0)
    mask[..., 16:48, 18:48] = 4.0
    refiner = REFINERS.build(dict(type='GuidedFilterRefiner', size=(64, 64), radius=4))
    refined = refiner([image], SegOutput(mask), Prompts(masks=mask), (64, 64)).logits
    wrong = {
        name: int(((logits > 0) != truth.bool()).sum()) for name, logits in dict(mask=mask, refined=refined).items()
    }
    assert wrong['mask'] == 64 and wrong['refined'] <= 32


def test_it_trains_from_its_config():
    model = build_model(load_config(Path(__file__).parent / 'configs' / 'phase2_guided-filter.py')).train()
    label = torch.zeros(1, 60, 80, dtype=torch.long)
    label[:, 20:40, 20:50] = 1
    sample = SegDataSample(gt_sem_seg=PixelData(data=label))
    sample.set_data(dict(coarse_probability=PixelData(data=0.1 + 0.8 * label.float())))
    losses = model.loss([torch.randint(0, 256, (3, 60, 80), dtype=torch.uint8)], [sample])
    sum(losses.values()).backward()
    assert type(model.refiner).__name__ == 'GuidedFilterRefiner' and model.refiner.log_sharpness.grad != 0
