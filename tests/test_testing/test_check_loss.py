"""Each promise of a stage loss has a loss that breaks it, and is caught."""

import pytest
import torch
import torch.nn.functional as F

from ultrarefiner.interfaces import BaseStageLoss
from ultrarefiner.models.losses import PredictedIoUMSE, StageBCE, StageDice
from ultrarefiner.models.losses.pixel_mean import pixel_mean
from ultrarefiner.testing import ContractError, check_loss


class Backwards(StageDice):
    """What mmseg's Dice does with one sigmoid channel."""

    def per_image(self, output, target):
        return 1 - super().per_image(output, target)


class BlindToFalsePositives(BaseStageLoss):
    """Skips slots without an object, as several public Dice losses do."""

    def per_image(self, output, target):
        mask, weight = target.at(output.logits.shape[-2:])
        values = F.binary_cross_entropy_with_logits(output.logits, mask, reduction='none')
        return pixel_mean(values * mask.amax(dim=(2, 3), keepdim=True), weight)


class PooledOverTheBatch(StageDice):
    def per_image(self, output, target):
        mask, weight = target.at(output.logits.shape[-2:])
        p = output.logits.sigmoid() * weight
        dice = (2 * (p * mask).sum() + 1) / ((p + mask * weight).sum() + 1)
        return (1 - dice).expand(len(mask))


class ScalarOnly(StageBCE):
    def per_image(self, output, target):
        return super().per_image(output, target).mean()


class CountsIgnored(StageBCE):
    def per_image(self, output, target):
        mask, _ = target.at(output.logits.shape[-2:])
        return F.binary_cross_entropy_with_logits(output.logits, mask, reduction='none').mean(dim=(1, 2, 3))


class DividesByIgnored(StageBCE):
    """Ignored pixels get no gradient, but their logits set the scale."""

    def per_image(self, output, target):
        return super().per_image(output, target) / output.logits.detach().abs().mean(dim=(1, 2, 3))


class LogOfSigmoid(StageBCE):
    def per_image(self, output, target):
        mask, weight = target.at(output.logits.shape[-2:])
        p = output.logits.sigmoid()
        return pixel_mean(-(mask * p.log() + (1 - mask) * (1 - p).log()), weight)


class WithoutGradient(StageBCE):
    def per_image(self, output, target):
        return super().per_image(output, target).detach()


class WrongQuality(PredictedIoUMSE):
    def per_image(self, output, target):
        return (output.quality - 0.4).square().mean(dim=1)


class AnyChange(BaseStageLoss):
    """Holds on to every coarse mask alike."""

    orders_masks = False

    def per_image_of(self, stages, target):
        _, weight = target.at(stages.refined.logits.shape[-2:])
        change = stages.refined.logits.sigmoid() - stages.coarse.logits.sigmoid()
        return pixel_mean(change.square(), weight)

    def per_image(self, output, target):
        raise NotImplementedError


class ChangeIsNeverFree(AnyChange):
    def per_image_of(self, stages, target):
        return super().per_image_of(stages, target) + 1


class DetachedCandidates(StageBCE):
    def per_image(self, output, target):
        return super().per_image(output._replace(logits=output.candidates[:, :, 0].detach()), target)


@pytest.mark.parametrize(
    'broken, promise',
    [
        (Backwards, 'order of the masks'),
        (BlindToFalsePositives, 'order of the masks, image 2'),
        (PooledOverTheBatch, 'batch equals the mean'),
        (ScalarOnly, 'per_image'),
        (CountsIgnored, 'ignored pixels'),
        (DividesByIgnored, 'ignored pixels'),
        (LogOfSigmoid, 'extreme logits'),
        (WithoutGradient, 'gradient'),
        (WrongQuality, 'order of the predicted quality'),
        (AnyChange, 'order of the changes'),
        (ChangeIsNeverFree, 'order of the changes'),
        (DetachedCandidates, 'gradient'),
    ],
)
def test_a_broken_loss_is_caught(broken, promise):
    with pytest.raises(ContractError) as caught:
        check_loss(dict(type=broken, stage='refined'))
    assert caught.value.promise.startswith(promise)


def test_a_plain_loss_from_outside_passes():

    class Reference(BaseStageLoss):
        def per_image(self, output, target):
            mask, weight = target.at(output.logits.shape[-2:])
            return pixel_mean(torch.nn.BCEWithLogitsLoss(reduction='none')(output.logits, mask), weight)

    check_loss(dict(type=Reference, stage='coarse'))
