import torch
import torch.nn.functional as F

from ultrarefiner.registry import STAGE_LOSSES
from ultrarefiner.structures import SegOutput, Stages, StageTarget


def test_equals_torch_and_scales_with_the_weight():
    generator = torch.Generator().manual_seed(0)
    logits = 5 * torch.randn(2, 2, 8, 6, generator=generator)
    labels = torch.randint(0, 3, (2, 8, 6), generator=generator)
    mask = torch.stack([labels == 1, labels == 2], dim=1).float()
    output, target = SegOutput(logits), StageTarget(list(labels), 2)
    loss = STAGE_LOSSES.build(dict(type='StageBCE', stage='refined', loss_weight=0.7))
    expected = F.binary_cross_entropy_with_logits(logits, mask, reduction='none').mean(dim=(1, 2, 3))
    torch.testing.assert_close(loss.per_image(output, target), expected)
    torch.testing.assert_close(loss(Stages(output, None, output), target), 0.7 * expected.mean())


def test_mean_is_over_the_counted_pixels():
    logits = torch.tensor([[[[0.0, 2.0, 9.0]]]])
    loss = STAGE_LOSSES.build(dict(type='StageBCE', stage='refined'))
    value = loss.per_image(SegOutput(logits), StageTarget([torch.tensor([[1, 1, 255]])], 1))
    expected = F.softplus(torch.tensor([0.0, -2.0])).mean()
    torch.testing.assert_close(value[0], expected)
