"""LoadImage: mmcv's image loading, with faults named."""

from __future__ import annotations

import cv2
from mmcv.transforms import LoadImageFromFile

from ...registry import TRANSFORMS
from ..image_header import read_header


@TRANSFORMS.register_module()
class LoadImage(LoadImageFromFile):
    """Load an image file as ``img`` (H, W, 3), BGR, uint8; grey is repeated and transparency dropped.

    mmcv cuts 16-bit images down to 8 bits without a word, which ruins their contrast; they are refused here.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is no image, is damaged, or has more than 8 bits a channel.
    """

    def transform(self, results: dict) -> dict:
        """Add ``img``, ``img_shape`` and ``ori_shape`` (both (H, W) in pixels) for ``img_path``."""
        path = results['img_path']
        try:
            header = read_header(path)
        except FileNotFoundError:
            raise FileNotFoundError(f'there is no image {path}') from None
        except OSError as error:
            raise ValueError(f'{path} is no image that can be read; replace or remove it') from error
        if not header.is_eight_bit:
            raise ValueError(
                f'{path} has more than 8 bits a channel (mode {header.mode}); choose a grey window and save it as '
                '8-bit PNG first'
            )
        try:
            return super().transform(results)
        except (AssertionError, cv2.error) as error:
            raise ValueError(f'{path} is damaged and cannot be decoded; replace or remove it') from error
