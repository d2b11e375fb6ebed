"""RandomPromptSubset: now and then without some kinds of prompts."""

from dataclasses import replace

import torch
from torch import Tensor

from ...interfaces import BasePromptGenerator
from ...registry import PROMPT_GENERATORS
from ...structures import Prompts, SegOutput


@PROMPT_GENERATORS.register_module()
class RandomPromptSubset(BasePromptGenerator):
    """Hands on a random choice of another generator's kinds in training, and all of them in evaluation.

    One draw a batch, each non-empty subset of the kinds with the same chance; so a refiner learns to work with any of
    them, and one trained model answers for every subset. The draw comes from torch's generator of the CPU.

    Weights of the generator itself (`LearnableMaskPrompt`) stay in the graph with a gradient of 0 when their kind is
    left out: distributed training waits for the gradient of every weight in every step.

    Args:
        generator (dict): Config of the prompt generator, of two kinds or more.
        init_cfg (dict, optional): mmengine's.

    Raises:
        ValueError: If the generator makes one kind only.
    """

    def __init__(self, generator: dict, init_cfg: dict | None = None):
        super().__init__(init_cfg)
        self.generator = PROMPT_GENERATORS.build(generator)
        self.produces = self.generator.produces
        self.differentiable = self.generator.differentiable
        self.background_bound = self.generator.background_bound
        if len(self.produces) < 2:
            raise ValueError(
                f'RandomPromptSubset: generator is a {type(self.generator).__name__}, which produces '
                f'{sorted(self.produces)} only; expected two kinds or more, such as those of ComposePrompts'
            )

    def forward(self, coarse: SegOutput, images: list[Tensor]) -> Prompts:
        """Make the prompts of the generator; in training without some of the kinds."""
        prompts = self.generator(coarse, images)
        if not self.training:
            return prompts
        kinds = sorted(self.produces)
        choice = int(torch.randint(1, 2 ** len(kinds), ()))  # One bit a kind.
        prompts = prompts.keep(frozenset(kind for bit, kind in enumerate(kinds) if choice >> bit & 1))
        weights = [weight for weight in self.parameters() if weight.requires_grad]
        if not weights:
            return prompts
        nothing = 0.0 * sum(weight.sum() for weight in weights)
        return replace(prompts, **{kind: getattr(prompts, kind) + nothing for kind in prompts.kinds})
