"""First and second moments of weights on the pixel grid, in normalised coordinates."""

import torch
from torch import Tensor

from ...utils.pixel_centres import pixel_centres


def centroid(weights: Tensor) -> Tensor:
    """The weighted mean position.

    Args:
        weights (Tensor): (N, K, H, W), not negative, with a positive sum.

    Returns:
        Tensor: (N, K, 2), normalised (x, y).
    """
    return torch.stack([_mean(weights.sum(dim=-2)), _mean(weights.sum(dim=-1))], dim=-1)


def mean_and_std(weights: Tensor) -> tuple[Tensor, Tensor]:
    """The weighted mean position and standard deviation along each axis.

    A pixel counts as a square of uniform weight, not as a point: 1/12 of a squared pixel is added to the variance. This
    makes both moments exactly invariant under enlarging by whole factors, and the standard deviation of a single pixel
    positive, so that the gradient of its square root is finite.

    Args:
        weights (Tensor): (N, K, H, W), not negative, with a positive sum.

    Returns:
        tuple[Tensor, Tensor]: Mean (N, K, 2) and standard deviation (N, K, 2), normalised (x, y).
    """
    profiles = weights.sum(dim=-2), weights.sum(dim=-1)
    means = [_mean(profile) for profile in profiles]
    stds = [_std(profile, mean) for profile, mean in zip(profiles, means)]
    return torch.stack(means, dim=-1), torch.stack(stds, dim=-1)


def _mean(profile: Tensor) -> Tensor:
    return (profile * pixel_centres(profile.shape[-1], profile)).sum(dim=-1) / profile.sum(dim=-1)


def _std(profile: Tensor, mean: Tensor) -> Tensor:
    length = profile.shape[-1]
    offsets = pixel_centres(length, profile) - mean[..., None]
    variance = (profile * offsets.square()).sum(dim=-1) / profile.sum(dim=-1)
    return (variance + 1 / (12 * length**2)).sqrt()
