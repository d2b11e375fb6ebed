"""L2Anchor: holds the coarse network near its weights of phase 1."""

from __future__ import annotations

from torch import Tensor, nn

from ...interfaces import BaseRegularizer
from ...registry import REGULARIZERS
from ...utils.checkpoint import read_checkpoint, stage_state_dict


@REGULARIZERS.register_module()
class L2Anchor(BaseRegularizer):
    """``loss_weight * sum ||theta - theta_0||^2`` over the trainable weights of the coarse network.

    ``theta_0`` are the weights of phase 1. They are read from the file that ``init_from['coarse']`` of the model names,
    at the first step, so that a resumed run is held at the same point. They are neither parameters nor buffers:
    nothing saves, averages or synchronises them. They take the memory of the coarse network once more.

    Args:
        loss_weight (float): Factor, at least 0. Defaults to 1e-3.

    Raises:
        ValueError: If ``loss_weight`` is negative.
    """

    def __init__(self, loss_weight: float = 1e-3):
        super().__init__()
        if not loss_weight >= 0:
            raise ValueError(f'L2Anchor: loss_weight is {loss_weight}, expected a number of at least 0')
        self.loss_weight = loss_weight
        self._anchor: dict[str, Tensor] | None = None

    def forward(self, model: nn.Module) -> Tensor:
        """The weighted sum of squares, a scalar; 0 while nothing in the coarse network trains.

        Args:
            model (nn.Module): The `CoarseToFine` that is trained.

        Raises:
            FileNotFoundError: If the checkpoint is absent.
            ValueError: If the model was not initialised from a coarse checkpoint, or it lacks a weight that trains.
        """
        if self._anchor is None:
            self._anchor = _read_anchor(model)
        total = next(model.parameters()).new_zeros(())
        for name, weight in model.coarse.named_parameters():
            if weight.requires_grad:
                total = total + (weight - self._anchor_of(name, weight)).square().sum()
        return self.loss_weight * total

    def _anchor_of(self, name: str, weight: Tensor) -> Tensor:
        if name not in self._anchor:
            raise ValueError(
                f'L2Anchor: {name} of the coarse network trains, but the checkpoint of init_from.coarse does not hold '
                'it; give one that holds all weights, or freeze that part'
            )
        # Moves once, then it is where it has to be.
        self._anchor[name] = self._anchor[name].to(weight)
        return self._anchor[name]


def _read_anchor(model: nn.Module) -> dict[str, Tensor]:
    source = model.init_from.get('coarse')
    if source is None:
        raise ValueError(
            'L2Anchor holds the coarse network at its weights of phase 1, but model.init_from names no checkpoint for '
            'it; set init_from=dict(coarse=PATH), or drop the regularizer'
        )
    return stage_state_dict(read_checkpoint(source), 'coarse', source)
