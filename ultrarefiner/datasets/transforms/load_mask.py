"""LoadMask: a mask file to labels, every grey value accounted for."""

from __future__ import annotations

from mmcv.transforms import BaseTransform

from ...registry import TRANSFORMS
from ..mask_file import REMEDY, read_mask


@TRANSFORMS.register_module()
class LoadMask(BaseTransform):
    """Load the mask file of an image as ``gt_seg_map`` (H, W) uint8 labels, by the dataset's ``label_map``.

    Raises:
        ValueError: If the file cannot be read, has more than one channel, another size than the image, or a grey value
            that is not in ``label_map``.
    """

    def transform(self, results: dict) -> dict:
        """Add ``gt_seg_map`` for ``seg_map_path``, and its name to ``seg_fields``."""
        path = results['seg_map_path']
        try:
            labels = read_mask(path, results['label_map'], results.get('pixel_dir'))
        except ValueError as error:
            raise ValueError(f'{error}; {REMEDY}') from error
        if labels.shape != tuple(results['img'].shape[:2]):
            raise ValueError(
                f'the mask {path} is {labels.shape[0]}x{labels.shape[1]}, its image {results["img_path"]} is '
                f'{results["img"].shape[0]}x{results["img"].shape[1]} (height x width); convert the dataset again'
            )
        results['gt_seg_map'] = labels
        results['seg_fields'].append('gt_seg_map')
        return results
