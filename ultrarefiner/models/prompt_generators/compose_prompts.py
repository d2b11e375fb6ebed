"""ComposePrompts: several generators for the same slots."""

from collections import Counter
from functools import reduce
from operator import or_

from mmengine.model import ModuleList
from torch import Tensor

from ...interfaces import BasePromptGenerator
from ...registry import PROMPT_GENERATORS
from ...structures import Prompts, SegOutput


@PROMPT_GENERATORS.register_module()
class ComposePrompts(BasePromptGenerator):
    """Puts the prompts of several generators together with ``|``: points one after the other, one box, one mask.

    It produces what its parts produce, and is differentiable if one of them is; a slot is valid where all say so.

    Args:
        generators (list[dict]): Configs of prompt generators.
        init_cfg (dict, optional): mmengine's.

    Raises:
        ValueError: If there are no generators, or two of them bring boxes or two bring masks: a slot takes one of each.
    """

    def __init__(self, generators: list, init_cfg: dict | None = None):
        super().__init__(init_cfg)
        if not generators:
            raise ValueError('ComposePrompts: generators is empty, expected at least one config of a prompt generator')
        self.generators = ModuleList([PROMPT_GENERATORS.build(generator) for generator in generators])
        brought = Counter(kind for generator in self.generators for kind in generator.produces)
        doubled = [kind for kind in ('boxes', 'masks') if brought[kind] > 1]
        if doubled:
            names = [type(generator).__name__ for generator in self.generators]
            raise ValueError(f'ComposePrompts: two of {names} bring {doubled}, a slot takes one of each; drop one')
        self.produces = frozenset(brought)
        self.differentiable = any(generator.differentiable for generator in self.generators)
        self.background_bound = max(generator.background_bound for generator in self.generators)

    def forward(self, coarse: SegOutput, images: list[Tensor]) -> Prompts:
        """Make the prompts of every part."""
        return reduce(or_, (generator(coarse, images) for generator in self.generators))
