"""The contract of a gate."""

from abc import ABC, abstractmethod

from torch import Tensor, nn


class BaseGate(nn.Module, ABC):
    """Says, pixel by pixel, how far to trust a refined mask over the coarse one."""

    @abstractmethod
    def forward(self, coarse: Tensor, refined: Tensor) -> Tensor:
        """Make the gate.

        Args:
            coarse (Tensor): (N, K, H, W) logits.
            refined (Tensor): (N, K, H, W) logits.

        Returns:
            Tensor: (N, K, H, W) in [0, 1]: 0 keeps the coarse probability, 1 takes the refined one. Image i never
            influences image j, nor slot k slot l.
        """
