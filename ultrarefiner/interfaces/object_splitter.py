"""The contract of an object splitter."""

from abc import ABC, abstractmethod

from torch import nn

from ..structures import SegOutput


class BaseObjectSplitter(nn.Module, ABC):
    """Gives every object of a class a slot of its own, so that each gets its own prompts, and puts them together again.

    ``merge(split(coarse), K)`` has the logits of ``coarse``.
    """

    @abstractmethod
    def split(self, coarse: SegOutput) -> SegOutput:
        """One slot an object.

        Args:
            coarse (SegOutput): Logits (N, K, H, W), one slot a class.

        Returns:
            SegOutput: Logits (N, K * C, H, W): the C objects of class 0, then those of class 1, and so on. A slot
            without an object has no logit above 0, so that no generator calls it valid. Gradient flows back to the
            logits of each object.
        """

    @abstractmethod
    def merge(self, refined: SegOutput, num_slots: int) -> SegOutput:
        """One slot a class again: what belongs to any of its objects.

        Args:
            refined (SegOutput): Logits (N, K * C, H, W), with the result of `split` in slots that were not refined.
            num_slots (int): K.

        Returns:
            SegOutput: Logits (N, K, H, W).
        """
