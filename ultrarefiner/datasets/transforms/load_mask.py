"""LoadMask: a mask file to labels, every grey value accounted for."""

from __future__ import annotations

import numpy as np
from mmcv.transforms import BaseTransform
from PIL import Image

from ...registry import TRANSFORMS

VALUES_SHOWN = 10


@TRANSFORMS.register_module()
class LoadMask(BaseTransform):
    """Load the mask file of an image as ``gt_seg_map`` (H, W) uint8 labels.

    Each grey value is mapped by the dataset's ``label_map``; a value it does not list is refused, so that a mask that
    was saved as JPEG or resized smoothly never trains anything.

    Raises:
        ValueError: If the file cannot be read, has more than one channel, another size than the image, or a grey value
            that is not in ``label_map``.
    """

    def transform(self, results: dict) -> dict:
        """Add ``gt_seg_map`` for ``seg_map_path``, and its name to ``seg_fields``."""
        path, label_map = results['seg_map_path'], results['label_map']
        pixels = self._read(path)
        if pixels.shape != tuple(results['img'].shape[:2]):
            raise ValueError(
                f'the mask {path} is {pixels.shape[0]}x{pixels.shape[1]}, its image {results["img_path"]} is '
                f'{results["img"].shape[0]}x{results["img"].shape[1]} (height x width); convert the dataset again'
            )
        counts = np.bincount(pixels.ravel(), minlength=256)
        present = np.flatnonzero(counts).tolist()
        unknown = [value for value in present if value not in label_map]
        if unknown:
            frequent = sorted(present, key=lambda value: -counts[value])[:VALUES_SHOWN]
            histogram = {value: int(counts[value]) for value in frequent}
            raise ValueError(
                f'the mask {path} holds {len(unknown)} grey value(s) that label_map {label_map} does not list; its '
                f'most frequent values and their pixel counts: {histogram}. Convert the dataset again, or list them in '
                'label_map of the dataset'
            )
        labels = np.zeros(256, dtype=np.uint8)
        labels[list(label_map)] = list(label_map.values())
        results['gt_seg_map'] = labels[pixels]
        results['seg_fields'].append('gt_seg_map')
        return results

    @staticmethod
    def _read(path: str) -> np.ndarray:
        try:
            with Image.open(path) as image:
                # A 1-bit file holds 0 and 1 in Pillow, 0 and 255 in every other reader.
                pixels = np.asarray(image.convert('L') if image.mode == '1' else image)
        except OSError as error:
            raise ValueError(f'the mask {path} cannot be read: {error}; convert the dataset again') from error
        if pixels.ndim != 2 or pixels.dtype != np.uint8:
            raise ValueError(
                f'the mask {path} has the shape {pixels.shape} and type {pixels.dtype}, expected one 8-bit channel; '
                'convert the dataset again'
            )
        return pixels
