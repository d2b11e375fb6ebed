"""The example is a coarse network: its config builds, every pixel sees the whole image, gradient reaches all of it."""

from pathlib import Path

import dilated_backbone  # noqa: F401  registers the class
import torch

from ultrarefiner.apis.config import load_config
from ultrarefiner.apis.model import build_model
from ultrarefiner.registry import MODELS
from ultrarefiner.testing import check_coarse

CONFIG = Path(__file__).parent / 'configs' / 'phase1_dilated.py'


def test_contract():
    cfg = load_config(CONFIG)
    check_coarse(cfg.model.coarse, cfg.model.coarse_input)


def test_the_config_builds_and_trains():
    torch.manual_seed(0)
    model = build_model(load_config(CONFIG)).train()
    images = [torch.randint(0, 256, (3, 60, 80), dtype=torch.uint8) for _ in range(2)]
    coarse = model.run_coarse(images)
    assert coarse.logits.shape == (2, 1, 96, 96)
    coarse.logits.square().mean().backward()
    assert all(weight.grad is not None for weight in model.coarse.backbone.parameters())


def test_a_pixel_sees_far():
    backbone = MODELS.build(dict(type='DilatedBackbone', channels=8)).eval()
    image = torch.randn(1, 1, 96, 96, requires_grad=True)
    backbone(image)[0][0, 0, 24, 24].backward()
    seen = image.grad[0, 0] != 0
    assert seen[48, 4] and seen[48, 92] and seen[4, 48]
