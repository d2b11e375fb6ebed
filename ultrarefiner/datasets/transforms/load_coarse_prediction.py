"""LoadCoarsePrediction: a stored coarse result, at the image's size."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from mmcv.transforms import BaseTransform
from PIL import Image

from ...registry import TRANSFORMS
from ..mask_file import read_mask


@TRANSFORMS.register_module()
class LoadCoarsePrediction(BaseTransform):
    """Load ``coarse_probability`` for ``coarse_path``: ``.npy`` with probabilities, or an 8-bit grey PNG.

    The grey values of a PNG are probabilities over 255; or labels where the dataset has a ``coarse_label_map``, and
    then the probability of each foreground class is 0 or 1. Without it a PNG whose highest value is 1 is refused: read
    as probabilities, a mask of 0 and 1 is all but empty.

    The file covers the whole image at any size, (H, W) or (K, H, W), and is resized bilinearly to the image. It joins
    ``seg_fields``, so put this after the loading of image and mask and *before* every transform that moves pixels;
    mmseg's `RandomFlip` and `RandomRotate` (with ``seg_pad_val=0``) then move it with the image.

    Raises:
        ValueError: If the file cannot be read, holds anything but finite probabilities in [0, 1], or is a PNG whose
            highest grey value is 1.
    """

    def transform(self, results: dict) -> dict:
        """Add ``coarse_probability``, float32, (H, W) for one slot and (H, W, K) for more."""
        probability = self.read(results['coarse_path'], results.get('coarse_label_map'))
        height, width = results['img'].shape[:2]
        # cv2 wants channels last, and gives (H, W) for one channel.
        resized = cv2.resize(
            np.ascontiguousarray(probability.transpose(1, 2, 0)), (width, height), interpolation=cv2.INTER_LINEAR
        )
        results['coarse_probability'] = resized
        results['seg_fields'].append('coarse_probability')
        return results

    def read(self, path: str, label_map: dict[int, int] | None = None) -> np.ndarray:
        """A stored result as (K, h, w) float32 in [0, 1]; errors as for the transform."""
        if Path(path).suffix == '.png' and label_map is not None:
            return self._read_labels(path, label_map)
        return self._check(path, self._read(path))

    @staticmethod
    def _read_labels(path: str, label_map: dict[int, int]) -> np.ndarray:
        """A label map as (K, h, w) float32, 0 or 1."""
        labels = read_mask(path, label_map)
        return np.stack([labels == label for label in range(1, max(label_map.values()) + 1)]).astype(np.float32)

    @staticmethod
    def _read(path: str) -> np.ndarray:
        try:
            if Path(path).suffix == '.npy':
                return np.load(path, allow_pickle=False)
            with Image.open(path) as image:
                if image.mode not in ('1', 'L'):
                    raise ValueError(f'a PNG prediction is one 8-bit grey channel, got mode {image.mode}')
                pixels = np.asarray(image.convert('L'))
        except (OSError, EOFError, ValueError) as error:
            raise ValueError(
                f'the coarse prediction {path} cannot be read: {error}; write the predictions again'
            ) from error
        if pixels.max() == 1:
            raise ValueError(
                f'the coarse prediction {path} has no grey value above 1, where 255 is a probability of 1: save masks '
                'with 0 and 255, or in a config list their labels in coarse_label_map of the dataset; save '
                'probabilities that are so low as .npy'
            )
        return pixels.astype(np.float32) / 255

    @staticmethod
    def _check(path: str, array: np.ndarray) -> np.ndarray:
        """Check a stored array; returns (K, h, w) float32."""
        if array.ndim not in (2, 3) or array.dtype.kind not in 'fiub' or array.size == 0:
            raise ValueError(
                f'the coarse prediction {path} has the shape {array.shape} and type {array.dtype}, expected numbers of '
                'the shape (H, W) or (K, H, W); write the predictions again'
            )
        array = array.astype(np.float32).reshape(-1, *array.shape[-2:])
        low, high = array.min(), array.max()
        if not (np.isfinite(low) and np.isfinite(high) and 0 <= low and high <= 1):
            raise ValueError(
                f'the coarse prediction {path} ranges from {low} to {high}, expected probabilities in [0, 1]: apply '
                'the sigmoid to logits, divide grey values by 255, and write the predictions again'
            )
        return array
