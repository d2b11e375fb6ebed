"""PackRefinerInputs: mmseg's packing, with the stored coarse prediction."""

from __future__ import annotations

import numpy as np
import torch
from mmengine.structures import PixelData
from mmseg.datasets.transforms import PackSegInputs

from ...registry import TRANSFORMS

META_KEYS = (
    'name',
    'dataset',
    'img_path',
    'seg_map_path',
    'coarse_path',
    'ori_shape',
    'img_shape',
    'flip',
    'flip_direction',
    'corruption',
)


@TRANSFORMS.register_module()
class PackRefinerInputs(PackSegInputs):
    """Pack image, mask and, where it was loaded, the coarse prediction as ``coarse_probability`` (K, H, W) float32.

    The mask keeps the type that it was loaded in, uint8: mmseg's eight bytes a pixel would be most of what goes from
    the worker to the training process.

    Args:
        meta_keys (tuple[str, ...]): What else goes into the sample's meta information, where present.

    Raises:
        ValueError: If a transform put something into the prediction that is no probability.
    """

    def __init__(self, meta_keys: tuple[str, ...] = META_KEYS):
        super().__init__(meta_keys=meta_keys)

    def transform(self, results: dict) -> dict:
        """Pack; see `mmseg.PackSegInputs`."""
        packed = super().transform({key: value for key, value in results.items() if key != 'gt_seg_map'})
        if 'gt_seg_map' in results:
            labels = torch.from_numpy(np.ascontiguousarray(results['gt_seg_map']))[None]
            packed['data_samples'].gt_sem_seg = PixelData(data=labels)
        probability = results.get('coarse_probability')
        if probability is None:
            return packed
        if probability.max() > 1:
            raise ValueError(
                f'the coarse prediction of {results["img_path"]} reaches {probability.max()} after the transforms, '
                'expected at most 1; give RandomRotate seg_pad_val=0'
            )
        slots_first = probability[None] if probability.ndim == 2 else probability.transpose(2, 0, 1)
        data = torch.from_numpy(np.ascontiguousarray(slots_first, dtype=np.float32))
        packed['data_samples'].set_data(dict(coarse_probability=PixelData(data=data)))
        return packed
