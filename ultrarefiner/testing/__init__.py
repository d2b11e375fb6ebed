"""Contract checks for plug-in authors: one call in a test holds a plug-in to what its family promises."""

from .check_adapter import check_adapter
from .check_coarse import check_coarse
from .check_gate import check_gate
from .check_loss import check_loss
from .check_object_splitter import check_object_splitter
from .check_prompt_generator import check_prompt_generator
from .check_refiner import check_refiner
from .contract_error import ContractError

__all__ = [
    'ContractError',
    'check_adapter',
    'check_coarse',
    'check_gate',
    'check_loss',
    'check_object_splitter',
    'check_prompt_generator',
    'check_refiner',
]
