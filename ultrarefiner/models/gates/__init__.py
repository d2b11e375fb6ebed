"""Gates, one idea a file: how far to trust the refined mask, pixel by pixel."""

from .hybrid_gate import HybridGate
from .learned_gate import LearnedGate
from .uncertainty_gate import UncertaintyGate

__all__ = ['HybridGate', 'LearnedGate', 'UncertaintyGate']
