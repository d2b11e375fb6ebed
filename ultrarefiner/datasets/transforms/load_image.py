"""LoadImage: mmcv's image loading, with faults named."""

from __future__ import annotations

import cv2
from mmcv.transforms import LoadImageFromFile

from ...registry import TRANSFORMS
from ..cached_pixels import cached_pixels
from ..image_header import read_header

GREY_MODES = ('1', 'L')


@TRANSFORMS.register_module()
class LoadImage(LoadImageFromFile):
    """Load an image file as ``img`` (H, W, 3), BGR, uint8; grey is repeated and transparency dropped.

    mmcv cuts 16-bit images down to 8 bits without a word, which ruins their contrast; they are refused here.

    Args:
        grey_channels (int): 1 leaves a grey image as it is, (H, W): a third of the work to move its pixels and of the
            bytes through the worker, and the networks are given the same three channels. 3 repeats it, for transforms
            that need colour, such as mmseg's `PhotoMetricDistortion`. Defaults to 3.
        **kwargs: mmcv's.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is no image, is damaged, or has more than 8 bits a channel; or ``grey_channels`` is
            another number.
    """

    def __init__(self, grey_channels: int = 3, **kwargs):
        super().__init__(**kwargs)
        if grey_channels not in (1, 3):
            raise ValueError(f'LoadImage.grey_channels is {grey_channels!r}, expected 1 or 3')
        self.grey_channels = grey_channels
        self._load_grey = LoadImageFromFile(**{**kwargs, 'color_type': 'grayscale'})

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
        grey = self.grey_channels == 1 and header.mode in GREY_MODES
        kind, load = (repr(self._load_grey), self._load_grey) if grey else (repr(self), super().transform)
        try:
            image = cached_pixels(results.get('pixel_dir'), path, kind, lambda: load(dict(img_path=path))['img'])
        except (AssertionError, cv2.error) as error:
            raise ValueError(f'{path} is damaged and cannot be decoded; replace or remove it') from error
        results.update(img=image, img_shape=image.shape[:2], ori_shape=image.shape[:2])
        return results
