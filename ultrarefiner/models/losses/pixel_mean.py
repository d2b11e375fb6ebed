"""The mean of a loss over the pixels that count."""

from torch import Tensor

from ...structures.stages import all_count


def pixel_mean(values: Tensor, weight: Tensor) -> Tensor:
    """Average over channels and counted pixels, per image.

    Args:
        values (Tensor): (N, C, H, W), finite.
        weight (Tensor): (N, 1, H, W) in {0, 1}, 0 where a pixel does not count.

    Returns:
        Tensor: (N, ); 0 for an image without a counted pixel.
    """
    if all_count(weight):
        return values.flatten(1).mean(dim=1)
    counted = weight.flatten(1).sum(dim=1) * values.shape[1]
    return (values * weight).flatten(1).sum(dim=1) / counted.clamp(min=1)
