"""Parameter-efficient fine-tuning: adapters for frozen networks."""

from .lora_adapter import LoRAAdapter

__all__ = ['LoRAAdapter']
