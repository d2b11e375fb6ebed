"""What each plug-in family promises: abstract classes only."""

from .adapter import BaseAdapter
from .candidate_selection import BaseCandidateSelection
from .prompt_generator import BasePromptGenerator
from .refiner import BaseRefiner
from .stage_loss import BaseStageLoss

__all__ = ['BaseAdapter', 'BaseCandidateSelection', 'BasePromptGenerator', 'BaseRefiner', 'BaseStageLoss']
