"""The contract of a regularizer."""

from abc import ABC, abstractmethod

from torch import Tensor, nn


class BaseRegularizer(nn.Module, ABC):
    """A loss on the weights of the model, added to the stage losses as ``loss_{class}``."""

    @abstractmethod
    def forward(self, model: nn.Module) -> Tensor:
        """The weighted loss, a scalar.

        Args:
            model (nn.Module): The `CoarseToFine` that is trained.
        """
