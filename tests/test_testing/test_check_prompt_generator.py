"""Each promise of a prompt generator has a generator that breaks it, and is caught."""

from dataclasses import replace

import pytest
import torch

from ultrarefiner.interfaces import BasePromptGenerator
from ultrarefiner.models.prompt_generators import ComposePrompts, JitterBox, MomentBox, SoftArgmaxPoint, ThresholdBox
from ultrarefiner.structures import Prompts
from ultrarefiner.testing import ContractError, check_prompt_generator


class Undeclared(SoftArgmaxPoint):
    produces = frozenset({'points', 'boxes'})


class InPixels(SoftArgmaxPoint):
    def forward(self, coarse, images):
        prompts = super().forward(coarse, images)
        return Prompts(prompts.points * 48, prompts.point_labels, valid=prompts.valid)


class SwappedCorners(MomentBox):
    def forward(self, coarse, images):
        prompts = super().forward(coarse, images)
        return Prompts(boxes=prompts.boxes[..., [2, 3, 0, 1]], valid=prompts.valid)


class UnknownLabel(SoftArgmaxPoint):
    def forward(self, coarse, images):
        prompts = super().forward(coarse, images)
        return Prompts(prompts.points, prompts.point_labels + 1, valid=prompts.valid)


class WithoutValid(SoftArgmaxPoint):
    def forward(self, coarse, images):
        prompts = super().forward(coarse, images)
        return Prompts(prompts.points, prompts.point_labels)


class AlwaysValid(SoftArgmaxPoint):
    def forward(self, coarse, images):
        prompts = super().forward(coarse, images)
        return Prompts(prompts.points, prompts.point_labels, valid=torch.ones_like(prompts.valid))


class SecretlyDetached(SoftArgmaxPoint):
    def forward(self, coarse, images):
        return super().forward(coarse, images).detach()


class SecretlyDifferentiable(MomentBox):
    differentiable = False


class FirstSlotOnly(MomentBox):
    """Cuts the gradient of every slot but the first."""

    def forward(self, coarse, images):
        prompts = super().forward(coarse, images)
        boxes = torch.cat([prompts.boxes[:, :1], prompts.boxes[:, 1:].detach()], dim=1)
        return Prompts(boxes=boxes, valid=prompts.valid)


class CrossTalk(MomentBox):
    """Scales with the batch's largest box."""

    def forward(self, coarse, images):
        prompts = super().forward(coarse, images)
        return Prompts(boxes=prompts.boxes / prompts.boxes.amax().clamp(min=1e-3), valid=prompts.valid)


class SwappedAxes(SoftArgmaxPoint):
    def forward(self, coarse, images):
        prompts = super().forward(coarse, images)
        return Prompts(prompts.points.flip(-1), prompts.point_labels, valid=prompts.valid)


class FixedMargin(ThresholdBox):
    """Adds a margin in pixels of the coarse grid."""

    def forward(self, coarse, images):
        prompts = super().forward(coarse, images)
        margin = 3 / coarse.logits.shape[-1] * torch.tensor([-1.0, -1.0, 1.0, 1.0])
        return Prompts(boxes=(prompts.boxes + margin).clamp(0, 1), valid=prompts.valid)


class DividesByNothing(BasePromptGenerator):
    """The house's plainest centroid, without a guard."""

    produces = frozenset({'boxes'})

    def forward(self, coarse, images):
        p = coarse.logits.float().sigmoid()
        total = p.sum(dim=(-2, -1))
        x = (p.sum(-2) * (torch.arange(p.shape[-1]) + 0.5) / p.shape[-1]).sum(-1) / total
        y = (p.sum(-1) * (torch.arange(p.shape[-2]) + 0.5) / p.shape[-2]).sum(-1) / total
        return Prompts(boxes=torch.stack([x, y, x, y], dim=-1), valid=(p > 0.5).flatten(2).any(-1))


class RootOfZero(MomentBox):
    """A finite value with a gradient that is not: the root of a variance of 0."""

    def forward(self, coarse, images):
        prompts = super().forward(coarse, images)
        p = coarse.logits.float().sigmoid()
        mean = p.mean(dim=(-2, -1), keepdim=True)
        spread = (p - mean).square().mean(dim=(-2, -1)).sqrt()[..., None]
        return Prompts(boxes=prompts.boxes + 0 * spread, valid=prompts.valid)


class SumsInHalf(SoftArgmaxPoint):
    """Divides by a weight that half precision rounds to zero."""

    def forward(self, coarse, images):
        prompts = super().forward(coarse, images)
        if coarse.logits.dtype == torch.bfloat16:
            prompts = Prompts(prompts.points / 0, prompts.point_labels, valid=prompts.valid)
        return prompts


class SometimesNothing(MomentBox):
    """Leaves out every kind in one of two training steps."""

    def forward(self, coarse, images):
        prompts = super().forward(coarse, images)
        return prompts.keep(frozenset()) if self.training and torch.rand(()) < 0.5 else prompts


class SometimesMore(MomentBox):
    """Brings a kind that it does not declare, in training."""

    def forward(self, coarse, images):
        prompts = super().forward(coarse, images)
        return replace(prompts, masks=coarse.logits) if self.training else prompts


class LeavesOutInEvaluation(ComposePrompts):
    """Needs to be in training to make all kinds."""

    def __init__(self):
        super().__init__([dict(type='MomentBox'), dict(type='MaskPrompt')])

    def forward(self, coarse, images):
        prompts = super().forward(coarse, images)
        return prompts if self.training else prompts.keep(frozenset({'boxes'}))


class ShakesInEvaluation(JitterBox):
    def train(self, mode=True):
        return super().train(True)


class UnusedWeight(MomentBox):
    """Trains a weight that takes part in one of two steps."""

    def __init__(self):
        super().__init__()
        self.shift = torch.nn.Parameter(torch.zeros(()))

    def forward(self, coarse, images):
        prompts = super().forward(coarse, images)
        return replace(prompts, boxes=prompts.boxes + self.shift) if torch.rand(()) < 0.5 else prompts


@pytest.mark.parametrize(
    'broken, promise',
    [
        (dict(type=SometimesNothing), 'declared kinds'),
        (dict(type=SometimesMore), 'declared kinds'),
        (dict(type=LeavesOutInEvaluation), 'declared kinds'),
        (dict(type=ShakesInEvaluation), 'evaluation is deterministic'),
        (dict(type=UnusedWeight), 'every trainable parameter gets a gradient'),
        (dict(type=Undeclared), 'declared kinds'),
        (dict(type=InPixels), 'range of points'),
        (dict(type=SwappedCorners), 'order of the box corners'),
        (dict(type=UnknownLabel), 'point labels'),
        (dict(type=WithoutValid), 'shape of valid'),
        (dict(type=AlwaysValid), 'valid, empty mask'),
        (dict(type=SecretlyDetached), 'gradient'),
        (dict(type=SecretlyDifferentiable), 'no gradient'),
        (dict(type=FirstSlotOnly), 'gradient'),
        (dict(type=CrossTalk), 'image independence'),
        (dict(type=SwappedAxes), 'horizontal flip'),
        (dict(type=FixedMargin), 'resize'),
        (dict(type=DividesByNothing), 'finite boxes, empty mask'),
        (dict(type=RootOfZero), 'finite gradient, empty mask'),
        (dict(type=SumsInHalf), 'finite points, bfloat16'),
        # The formula of the method's authors.
        (dict(type='MomentBox', k=2.5, floor=0.0), 'background probability 0.01'),
    ],
    ids=lambda value: (
        str(value['type'] if isinstance(value['type'], str) else value['type'].__name__)
        if isinstance(value, dict)
        else None
    ),
)
def test_a_broken_generator_is_caught(broken, promise):
    with pytest.raises(ContractError) as caught:
        check_prompt_generator(broken)
    assert caught.value.promise.startswith(promise)


def test_the_message_names_the_component_the_value_and_the_remedy():
    with pytest.raises(ContractError, match='MomentBox breaks its contract .*move by 0.1.*take away a floor'):
        check_prompt_generator(dict(type='MomentBox', floor=0.0))


def test_a_generator_may_leave_out_kinds_in_training():
    parts = [dict(type='MomentBox'), dict(type='MaskPrompt')]
    check_prompt_generator(dict(type='RandomPromptSubset', generator=dict(type='ComposePrompts', generators=parts)))


def test_the_check_leaves_the_random_state_as_it_was():
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    check_prompt_generator(dict(type='JitterBox'))
    assert torch.equal(torch.rand(3), expected)
