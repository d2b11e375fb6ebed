"""The generator of boxes that another generator builds upon."""

from ...interfaces import BasePromptGenerator
from ...registry import PROMPT_GENERATORS


def build_box_generator(owner: object, argument: str, cfg: dict) -> BasePromptGenerator:
    """Build a prompt generator that has to make boxes, always and alone.

    Args:
        owner (object): Who builds it, for the message.
        argument (str): The owner's argument that holds the config, for the message.
        cfg (dict): Config of the generator.

    Raises:
        ValueError: If it makes something else.
    """
    generator = PROMPT_GENERATORS.build(cfg)
    if generator.produces != {'boxes'}:
        raise ValueError(
            f'{type(owner).__name__}: {argument} is a {type(generator).__name__}, which produces '
            f'{sorted(generator.produces)}; expected a generator of boxes alone, such as MomentBox'
        )
    return generator
