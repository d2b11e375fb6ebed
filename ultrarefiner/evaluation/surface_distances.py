"""How far apart the outlines of two masks are, measured with MONAI."""

from __future__ import annotations

import numpy as np

from .mask_pair import crop_to_union, cut_to_counted

NSD_TOLERANCE = 2.0


def surface_distances(
    prediction: np.ndarray,
    truth: np.ndarray,
    counted: np.ndarray | None = None,
    spacing: tuple[float, float] = (1.0, 1.0),
    tolerance: float = NSD_TOLERANCE,
) -> dict[str, float]:
    """Compare the outlines of a predicted mask and the true one, for one image and one class.

    The outline of a mask is its pixels with one of their 4 neighbours outside of the mask; what lies beyond the border
    of the image is outside. With d the distance from each outline pixel of one mask to the nearest one of the other,
    from the prediction to the truth and back (Maier-Hein et al. 2024, Nature Methods 21:195):

    - HD95: the larger of the two directions' 95th percentiles of d;
    - ASSD: the mean of d over the outline pixels of both;
    - NSD: the share of the outline pixels of both with d <= tolerance.

    Empty masks: where both are empty the distances are 0 and NSD is 1; where one is empty the distances are the
    diagonal of the image, more than any two of its pixels are apart, and NSD is 0. So no value is ever missing: MONAI's
    own HD95 of a missed object is NaN, which its averages leave out, and a model looks better for what it misses.

    Args:
        prediction (np.ndarray): (H, W) bool.
        truth (np.ndarray): (H, W) bool.
        counted (np.ndarray, optional): (H, W) bool, False where a pixel does not count: both masks are cut there.
        spacing (tuple[float, float]): Height and width of a pixel, such as its mm. Defaults to 1: distances in pixels.
        tolerance (float): In the unit of the spacing. Defaults to 2.

    Returns:
        dict[str, float]: Each of `SURFACE`: HD95 and ASSD in the unit of the spacing, smaller is better; NSD in [0, 1],
        larger is better.

    Raises:
        ValueError: If the shapes differ.
    """
    prediction, truth = cut_to_counted(prediction, truth, counted)
    if not prediction.any() or not truth.any():
        both_empty = not prediction.any() and not truth.any()
        distance = 0.0 if both_empty else float(np.hypot(*np.multiply(truth.shape, spacing)))
        return dict(HD95=distance, ASSD=distance, NSD=float(both_empty))
    # Seconds to import, and only tests need it.
    from monai.metrics import get_mask_edges, get_surface_distance

    outline, true_outline = get_mask_edges(*crop_to_union(prediction, truth), crop=False)
    there = get_surface_distance(outline, true_outline, spacing=spacing)
    back = get_surface_distance(true_outline, outline, spacing=spacing)
    both = np.concatenate([there, back])
    return dict(
        HD95=float(max(np.percentile(there, 95), np.percentile(back, 95))),
        ASSD=float(both.mean()),
        NSD=float((both <= tolerance).mean()),
    )
