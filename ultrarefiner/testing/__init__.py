"""Contract checks for plug-in authors: one call in a test holds a plug-in to what its family promises."""

from .check_loss import check_loss
from .check_prompt_generator import check_prompt_generator
from .check_refiner import check_refiner
from .contract_error import ContractError

__all__ = ['ContractError', 'check_loss', 'check_prompt_generator', 'check_refiner']
