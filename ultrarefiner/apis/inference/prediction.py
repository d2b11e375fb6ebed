"""Prediction: what the inferencer gives for one image."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ...structures import Prompts


@dataclass(frozen=True)
class Prediction:
    """The result for one image, at its own size.

    Letters: K foreground classes, H, W the size of the image in pixels. "Views" are what an ensemble and test-time
    augmentation average over: each member's look at each version of the image; without them there is one.

    Args:
        name (str): Of the image, see `ImageSource`.
        file_name (str): The same with its ending.
        image (np.ndarray): (H, W, 3) uint8, RGB.
        mask (np.ndarray): (H, W) uint8: 0 background, k + 1 class k, the most probable above 0.5.
        probabilities (np.ndarray): (K, H, W) float32 in [0, 1], one-vs-rest; the mean over the views.
        coarse_mask (np.ndarray): As ``mask``, of the coarse stage. The same as ``mask`` without a refiner.
        coarse_probabilities (np.ndarray): As ``probabilities``, of the coarse stage.
        prompts (Prompts, optional): N = 1, on the CPU: of the first member that has a refiner, for the image as it is.
            None without a refiner.
        predicted_iou (np.ndarray, optional): (K,) float32, the mean over the members that predict one, for the image as
            it is. A regression: it may leave [0, 1].
        uncertainty (np.ndarray): (H, W) float32 in [0, 1], see `binary_entropy`; of the mean probabilities, the largest
            over the classes.
        disagreement (np.ndarray, optional): (H, W) float32 in [0, 1], how much of the uncertainty comes from the views
            saying different things: entropy of the mean minus mean of the entropies, in bits, the largest over the
            classes (mutual information; Houlsby et al. 2011, arXiv:1112.5745). None for a single view.
    """

    name: str
    file_name: str
    image: np.ndarray
    mask: np.ndarray
    probabilities: np.ndarray
    coarse_mask: np.ndarray
    coarse_probabilities: np.ndarray
    prompts: Prompts | None
    predicted_iou: np.ndarray | None
    uncertainty: np.ndarray
    disagreement: np.ndarray | None


def binary_entropy(probabilities: Tensor) -> Tensor:
    """``-p log2 p - (1 - p) log2 (1 - p)``: 0 where it is sure, 1 bit at p = 0.5 (Shannon 1948, section 6).

    As a map of the uncertainty of a segmentation in Wang et al. 2019, Neurocomputing 338:34-45, equation 8.

    Args:
        probabilities (Tensor): In [0, 1], any shape.

    Returns:
        Tensor: In [0, 1], the same shape.
    """
    return (torch.special.entr(probabilities) + torch.special.entr(1 - probabilities)) / math.log(2)
