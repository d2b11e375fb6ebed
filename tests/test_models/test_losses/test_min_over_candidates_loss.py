import pytest
import torch

from ultrarefiner.registry import STAGE_LOSSES
from ultrarefiner.structures import SegOutput, StageTarget

LABELS = torch.zeros(2, 8, 8, dtype=torch.long)
LABELS[0, :4], LABELS[0, 5:], LABELS[1, :, 2:5], LABELS[1, :, 6] = 1, 2, 1, 255


def build(**arguments):
    return STAGE_LOSSES.build(dict(type='MinOverCandidatesLoss', stage='refined', **arguments))


def candidates_with_best(best):
    """Random candidates (N, K, 3, 8, 8), of which the one that ``best`` (N, K) names is nearly right."""
    logits = torch.randn(*best.shape, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    truth = torch.stack([LABELS == slot + 1 for slot in range(best.shape[1])], dim=1)
    for n, k in torch.cartesian_prod(*map(torch.arange, best.shape)).tolist():
        logits[n, k, best[n, k]] = logits[n, k, best[n, k]].abs() * (2.0 * truth[n, k] - 1)
    return logits.requires_grad_()


def test_it_is_the_loss_of_the_best_candidate_of_each_slot():
    best = torch.tensor([[0, 2], [1, 1]])
    candidates = candidates_with_best(best)
    chosen = candidates[torch.arange(2)[:, None], torch.arange(2), best]
    target = StageTarget(list(LABELS), 2)
    value = build().per_image(SegOutput(torch.zeros(2, 2, 8, 8), candidates=candidates), target)
    expected = sum(
        STAGE_LOSSES.build(dict(type=name, stage='refined')).per_image(SegOutput(chosen), target)
        for name in ('StageBCE', 'StageDice')
    )
    torch.testing.assert_close(value, expected)
    value.sum().backward()
    learns = candidates.grad.abs().sum(dim=(-2, -1)) > 0
    assert torch.equal(learns, torch.nn.functional.one_hot(best, 3).bool())


def test_its_losses_are_weighted_and_decide_which_is_best():
    # Half of the object surely, or all of it barely: Dice prefers the latter, BCE by its weight the former.
    half, barely = torch.full((8, 8), -4.0), torch.full((8, 8), -0.1)
    half[:2], barely[:4] = 4.0, 0.1
    label = (torch.arange(64).view(8, 8) < 32).long()
    output = SegOutput(torch.zeros(1, 1, 8, 8), candidates=torch.stack([half, barely])[None, None])
    target = StageTarget([label], 1)

    def costs(*losses):
        return [
            sum(
                loss.get('loss_weight', 1.0)
                * STAGE_LOSSES.build(dict(loss, stage='refined')).per_image(SegOutput(mask[None, None]), target).item()
                for loss in losses
            )
            for mask in (half, barely)
        ]

    for losses in (
        [dict(type='StageDice')],
        [dict(type='StageBCE')],
        [dict(type='StageDice', loss_weight=5.0), dict(type='StageBCE')],
    ):
        assert build(losses=losses).per_image(output, target).item() == pytest.approx(min(costs(*losses)), rel=1e-5)
    assert costs(dict(type='StageDice'))[0] < costs(dict(type='StageDice'))[1]
    assert costs(dict(type='StageBCE'))[0] > costs(dict(type='StageBCE'))[1]


def test_a_stage_without_candidates_has_one():
    logits = torch.randn(2, 2, 8, 8, generator=torch.Generator().manual_seed(1))
    target = StageTarget(list(LABELS), 2)
    alone = build(losses=[dict(type='StageBCE')]).per_image(SegOutput(logits), target)
    torch.testing.assert_close(
        alone, STAGE_LOSSES.build(dict(type='StageBCE', stage='refined')).per_image(SegOutput(logits), target)
    )


@pytest.mark.parametrize('name', ['PredictedIoUMSE', 'ChangePenalty'])
def test_a_loss_that_judges_no_mask_is_refused(name):
    with pytest.raises(ValueError, match=f'{name} judges no mask'):
        build(losses=[dict(type=name)])
