"""ImagePreprocessor: images to the device, at their own sizes."""

from __future__ import annotations

import torch
from mmengine.model import BaseDataPreprocessor

from ..registry import MODELS


@MODELS.register_module()
class ImagePreprocessor(BaseDataPreprocessor):
    """Hands every image on as it was read: uint8 RGB at its own size, on the model's device.

    Resizing and normalising belong to the network that wants them (`InputProfile`), so that the coarse network and the
    refiner each make what they need of the original pixels.

    Args:
        bgr_to_rgb (bool): Whether the loader gives BGR, as mmcv's does. Defaults to True.
        non_blocking (bool): Whether copies to the device may overlap with computing. Defaults to True.
    """

    def __init__(self, bgr_to_rgb: bool = True, non_blocking: bool = True):
        super().__init__(non_blocking=non_blocking)
        self.bgr_to_rgb = bgr_to_rgb

    def forward(self, data: dict, training: bool = False) -> dict:
        """Prepare a batch.

        Args:
            data (dict): ``inputs``, N uint8 tensors (1 or 3, H_i, W_i), and ``data_samples``.
            training (bool): Not used.

        Returns:
            dict: ``inputs``, a list of N uint8 RGB tensors (3, H_i, W_i), and ``data_samples``.

        Raises:
            TypeError: If an image is not uint8.
        """
        data = self.cast_data(data)
        images = []
        for index, image in enumerate(data['inputs']):
            if image.dtype != torch.uint8:
                raise TypeError(
                    f'image {index} of the batch is {image.dtype}, expected uint8 as it was read from the file'
                )
            if image.shape[0] == 1:
                image = image.expand(3, -1, -1)
            images.append(image.flip(0) if self.bgr_to_rgb else image)
        return dict(inputs=images, data_samples=data.get('data_samples'))
