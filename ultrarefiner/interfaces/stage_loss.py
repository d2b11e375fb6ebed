"""The contract of a loss on the stages."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor, nn

from ..structures import SegOutput, Stages, StageTarget


class BaseStageLoss(nn.Module, ABC):
    """A loss on the result of one stage; per image, then averaged, so that a batch equals the mean of its images.

    Args:
        stage (str): 'coarse' or 'refined'.
        loss_weight (float): Factor. Defaults to 1.0.

    Attributes:
        reads_quality (bool): Whether it reads the predicted quality of the stage.
        orders_masks (bool): Whether a perfect mask costs less than an empty one, and that less than an inverted one;
            False for a loss that judges something else, such as a change.

    Raises:
        ValueError: If ``stage`` is neither 'coarse' nor 'refined'.
    """

    reads_quality: bool = False
    orders_masks: bool = True

    def __init__(self, stage: str, loss_weight: float = 1.0):
        super().__init__()
        if stage not in ('coarse', 'refined'):
            raise ValueError(f"{type(self).__name__}: stage is {stage!r}, expected 'coarse' or 'refined'")
        self.stage = stage
        self.loss_weight = loss_weight

    def forward(self, stages: Stages, target: StageTarget) -> Tensor:
        """The weighted loss, a scalar."""
        return self.loss_weight * self.per_image_of(stages, target).mean()

    def per_image_of(self, stages: Stages, target: StageTarget) -> Tensor:
        """The loss of each image, (N, ); override it for a loss that looks at more than one stage."""
        return self.per_image(getattr(stages, self.stage), target)

    @abstractmethod
    def per_image(self, output: SegOutput, target: StageTarget) -> Tensor:
        """The loss of each image.

        Args:
            output (SegOutput): Of the stage; logits (N, K, H, W).
            target (StageTarget): ``target.at((H, W))`` gives the mask (N, K, H, W) and the weight (N, 1, H, W).

        Returns:
            Tensor: (N, ). Smaller is better: perfect < empty < inverted.
        """
