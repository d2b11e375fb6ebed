"""NegativePoint: the expected position of the background inside a box."""

from torch import Tensor

from ...interfaces import BasePromptGenerator
from ...registry import PROMPT_GENERATORS
from ...structures import Prompts, SegOutput
from ...utils.pixel_centres import pixel_centres
from .box_generator import build_box_generator
from .moments import centroid
from .validity import check_threshold, soft_mask, weights_or_uniform


@PROMPT_GENERATORS.register_module()
class NegativePoint(BasePromptGenerator):
    """One background point a slot: the centroid of the inverse mask inside a box (the method, section 2.1).

    The weights are ``(1 - p) * window``; the window is a product of sigmoids, ``sigmoid((x - x0) / s) *
    sigmoid((x1 - x) / s)`` and the same for y, so that gradient flows through the probabilities and, where the box is
    differentiable, through the box.

    The method does not make sure that the point lies outside of the object: the background around a symmetric object is
    symmetric too, and its centroid is the object's own centre. The point is informative for objects that fill their box
    unevenly.

    Args:
        box (dict, optional): Config of the prompt generator that makes the box. Defaults to `MomentBox`.
        softness (float): The width s of the window's edges, as a fraction of the image. Defaults to 0.02.
        threshold (float): A slot is valid where some probability exceeds it, and there is background in a box where
            some pixel of it does not. Defaults to 0.5.
        init_cfg (dict, optional): mmengine's.

    Raises:
        ValueError: If ``box`` does not make boxes alone, or ``softness`` or ``threshold`` is out of range.
    """

    produces = frozenset({'points'})

    def __init__(
        self,
        box: dict | None = None,
        softness: float = 0.02,
        threshold: float = 0.5,
        init_cfg: dict | None = None,
    ):
        super().__init__(init_cfg)
        if not softness > 0:
            raise ValueError(f'NegativePoint: softness is {softness}, expected a positive fraction of the image')
        self.box = build_box_generator(self, 'box', box or dict(type='MomentBox'))
        self.softness = softness
        self.threshold = check_threshold(self, threshold)

    def forward(self, coarse: SegOutput, images: list[Tensor]) -> Prompts:
        """Make one point a slot; padding (label -1) at (0.5, 0.5) where the box holds no background."""
        probability, valid = soft_mask(coarse, self.threshold)
        boxes = self.box(coarse, images).boxes
        height, width = probability.shape[-2:]
        columns = pixel_centres(width, probability)
        rows = pixel_centres(height, probability)
        in_x, in_y = self._window(columns, boxes[..., 0::2]), self._window(rows, boxes[..., 1::2])
        weights = (1 - probability) * in_y[..., :, None] * in_x[..., None, :]
        usable = valid & self._has_background(probability.detach(), columns, rows, boxes.detach())
        points = centroid(weights_or_uniform(weights, usable))[:, :, None]
        return Prompts(points=points, point_labels=usable.long()[..., None] - 1, valid=valid)

    def _window(self, positions: Tensor, edges: Tensor) -> Tensor:
        low, high = edges[..., :1], edges[..., 1:]  # (N, K, 1)
        return ((positions - low) / self.softness).sigmoid() * ((high - positions) / self.softness).sigmoid()

    def _has_background(self, probability: Tensor, columns: Tensor, rows: Tensor, boxes: Tensor) -> Tensor:
        x0, y0, x1, y1 = boxes[..., None].unbind(dim=2)  # (N, K, 1) each
        in_x = (columns >= x0) & (columns <= x1)
        in_y = (rows >= y0) & (rows <= y1)
        background = (probability <= self.threshold) & in_y[..., :, None] & in_x[..., None, :]
        return background.flatten(2).any(dim=-1)
