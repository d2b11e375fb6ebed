"""What each plug-in family promises: abstract classes only."""

from .adapter import BaseAdapter
from .candidate_selection import BaseCandidateSelection
from .gate import BaseGate
from .object_splitter import BaseObjectSplitter
from .prompt_generator import BasePromptGenerator
from .refiner import BaseRefiner
from .regularizer import BaseRegularizer
from .stage_loss import BaseStageLoss

__all__ = [
    'BaseAdapter',
    'BaseCandidateSelection',
    'BaseGate',
    'BaseObjectSplitter',
    'BasePromptGenerator',
    'BaseRefiner',
    'BaseRegularizer',
    'BaseStageLoss',
]
