"""Parameter-efficient fine-tuning: adapters for frozen networks."""

from .lora_adapter import LoRAAdapter
from .peft_adapter import PEFTAdapter
from .qkv_lora_adapter import QKVLoRAAdapter

__all__ = ['LoRAAdapter', 'PEFTAdapter', 'QKVLoRAAdapter']
