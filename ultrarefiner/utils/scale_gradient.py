"""Scale the gradient of a tensor, not its value."""

from torch import Tensor


def scale_gradient(tensor: Tensor, scale: float) -> Tensor:
    """``scale * t + (1 - scale) * stopgrad(t)``: the value of ``t``, and ``scale`` times its gradient.

    Scaled where a tensor enters a stage, the gradient of that stage's loss alone changes, and the change survives an
    optimizer that is invariant to the scale of the whole gradient, such as Adam.

    Args:
        tensor (Tensor): Any.
        scale (float): 1 leaves the gradient as it is, 0 cuts it.
    """
    if scale == 1:
        return tensor
    if scale == 0:
        return tensor.detach()
    return tensor.detach() + scale * (tensor - tensor.detach())
