"""The contract of a prompt generator."""

from abc import ABC, abstractmethod

from mmengine.model import BaseModule
from torch import Tensor

from ..structures import Prompts, SegOutput


class BasePromptGenerator(BaseModule, ABC):
    """Turns a coarse result into prompts. Ground truth never enters: there is no argument for it.

    Attributes:
        produces (frozenset[str]): The kinds it makes, of 'points', 'boxes', 'masks'. In training it may leave out
            some of them now and then, never all.
        differentiable (bool): Whether gradient flows from the prompts back to the coarse logits. A generator that says
            False detaches its prompts.
        background_bound (float): How far a uniform background probability of 0.01 under an object of at least 5 % of
            the image may move any coordinate (normalised), or the probability of any pixel of a mask prompt.
            `ultrarefiner.testing.check_prompt_generator` holds it.
    """

    produces: frozenset = frozenset()
    differentiable: bool = True
    background_bound: float = 0.05

    @abstractmethod
    def forward(self, coarse: SegOutput, images: list[Tensor]) -> Prompts:
        """Make prompts.

        Args:
            coarse (SegOutput): Its logits are (N, K, H, W), one-vs-rest.
            images (list[Tensor]): N images (3, H_i, W_i), RGB, uint8, at their original sizes.

        Returns:
            Prompts: Normalised coordinates; finite for every input; ``valid`` False where there is nothing to refine.
            Image i never influences image j.
        """
