"""What each plug-in family promises: abstract classes only."""

from .candidate_selection import BaseCandidateSelection
from .prompt_generator import BasePromptGenerator
from .refiner import BaseRefiner
from .stage_loss import BaseStageLoss

__all__ = ['BaseCandidateSelection', 'BasePromptGenerator', 'BaseRefiner', 'BaseStageLoss']
