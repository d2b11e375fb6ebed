"""Frozen means frozen: no gradient, evaluation mode, running statistics still."""

from torch import nn


def freeze(module: nn.Module) -> None:
    """Freeze a module: no gradient, and evaluation mode now and after every later ``train()``."""
    module.requires_grad_(False)
    module.eval()
    module.is_frozen = True


def is_trainable(module: nn.Module) -> bool:
    """Whether any parameter of the module takes gradient."""
    return any(parameter.requires_grad for parameter in module.parameters())


def keep_frozen_in_eval(module: nn.Module) -> None:
    """Put every frozen part of ``module`` back into evaluation mode; call it at the end of ``train()``."""
    for part in module.modules():
        if getattr(part, 'is_frozen', False) and part.training:
            part.eval()
