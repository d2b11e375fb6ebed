"""InputProfile: how a network wants its images prepared."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

INTERPOLATIONS = {'bilinear': Image.Resampling.BILINEAR, 'bicubic': Image.Resampling.BICUBIC}


@dataclass(frozen=True)
class InputProfile:
    """The preprocessing that belongs to a set of weights; it is stored with them in every checkpoint.

    Order: resize (antialiased, in 8 bit, as Pillow does), grey if asked, scale values, subtract ``mean``, divide by
    ``std``, then pad with zeros at the bottom and right.

    Args:
        size (tuple[int, int]): (height, width) in pixels of the network's input.
        keep_ratio (bool): True: the longest side is resized to fit and the rest padded (SAM). False: squashed to
            ``size`` (MedSAM, TransUNet).
        grey (bool): True: one channel (ITU-R 601 luma, as Pillow's ``convert('L')``). False: RGB.
        value_range (str): 'none' keeps 0 to 255; 'unit' divides by 255; 'minmax' maps each image's own minimum and
            maximum to 0 and 1 (MedSAM).
        mean (tuple[float, ...]): Subtracted, per channel, in the value range chosen.
        std (tuple[float, ...]): Divisor, per channel.
        interpolation (str): 'bilinear' or 'bicubic'.

    Raises:
        ValueError: If a value is outside of what is listed here.
    """

    size: tuple[int, int]
    keep_ratio: bool = False
    grey: bool = False
    value_range: str = 'unit'
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)
    interpolation: str = 'bilinear'

    def __post_init__(self) -> None:
        for name in ('size', 'mean', 'std'):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        channels = 1 if self.grey else 3
        if len(self.size) != 2 or min(self.size) < 1:
            raise ValueError(f'InputProfile.size is {self.size}, expected (height, width) in pixels')
        if self.value_range not in ('none', 'unit', 'minmax'):
            raise ValueError(f"InputProfile.value_range is {self.value_range!r}, expected 'none', 'unit' or 'minmax'")
        if self.interpolation not in INTERPOLATIONS:
            raise ValueError(
                f'InputProfile.interpolation is {self.interpolation!r}, expected one of {sorted(INTERPOLATIONS)}'
            )
        for name in ('mean', 'std'):
            if len(getattr(self, name)) not in (1, channels):
                raise ValueError(f'InputProfile.{name} is {getattr(self, name)}, expected 1 or {channels} values')

    def as_dict(self) -> dict:
        """Plain values, for a checkpoint's meta data."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}

    def content_size(self, height: int, width: int) -> tuple[int, int]:
        """The part of the input that an image covers, (height, width) in pixels, with segment-anything's rounding."""
        if not self.keep_ratio:
            return self.size
        scale = min(self.size[0] / height, self.size[1] / width)
        return max(int(height * scale + 0.5), 1), max(int(width * scale + 0.5), 1)

    def prepare(self, images: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Prepare a batch of images of any sizes.

        On the CPU the resize is Pillow's own, so that inputs equal `segment_anything.SamPredictor`'s to the last bit.
        On a GPU it is torch's antialiased resize, rounded, which differs by at most one grey level.

        Args:
            images (list[Tensor]): N images (3, H_i, W_i), RGB, uint8.

        Returns:
            tuple[Tensor, Tensor]: The batch (N, C, H, W) float, and (N, 2) integers: the (height, width) in pixels that
            each image covers.
        """
        contents = [self.content_size(*image.shape[-2:]) for image in images]
        batch = torch.cat([self._prepare_one(image, content) for image, content in zip(images, contents)])
        return batch, torch.tensor(contents, device=batch.device)

    def _prepare_one(self, image: Tensor, content: tuple[int, int]) -> Tensor:
        pixels = self._resize(image, content)  # (3, h, w) whole grey levels
        if self.grey:
            luma = pixels.new_tensor([299.0, 587.0, 114.0]).view(3, 1, 1) / 1000
            pixels = (pixels * luma).sum(0, keepdim=True)
        if self.value_range == 'unit':
            pixels = pixels / 255
        elif self.value_range == 'minmax':
            low, high = pixels.min(), pixels.max()
            pixels = (pixels - low) / (high - low).clamp(min=1e-8)
        pixels = (pixels - pixels.new_tensor(self.mean).view(-1, 1, 1)) / pixels.new_tensor(self.std).view(-1, 1, 1)
        bottom, right = self.size[0] - content[0], self.size[1] - content[1]
        return F.pad(pixels, (0, right, 0, bottom))[None]

    def _resize(self, image: Tensor, size: tuple[int, int]) -> Tensor:
        if tuple(image.shape[-2:]) == tuple(size):
            return image.float()
        if image.device.type == 'cpu':
            # Band by band: Pillow's resize treats the bands of RGB alone, so the result is the same.
            bands = [
                torch.frombuffer(
                    bytearray(
                        Image.fromarray(band.numpy()).resize(size[::-1], INTERPOLATIONS[self.interpolation]).tobytes()
                    ),
                    dtype=torch.uint8,
                )
                for band in image
            ]
            return torch.stack(bands).view(-1, *size).float()
        resized = F.interpolate(
            image[None].float(), size=size, mode=self.interpolation, antialias=True, align_corners=False
        )[0]
        return resized.round().clamp(0, 255)


SAM_PROFILE = InputProfile(
    size=(1024, 1024), keep_ratio=True, value_range='none', mean=(123.675, 116.28, 103.53), std=(58.395, 57.12, 57.375)
)
MEDSAM_PROFILE = InputProfile(size=(1024, 1024), value_range='minmax', interpolation='bicubic')
