"""PrecomputedCoarse: a coarse result made earlier, by a fold's model or by any other program."""

from __future__ import annotations

import torch
from mmseg.models.segmentors import BaseSegmentor
from torch import Tensor

from ...registry import MODELS


@MODELS.register_module()
class PrecomputedCoarse(BaseSegmentor):
    """Stands where the coarse network stands and gives the probabilities that the dataset loaded with each image.

    The transform `LoadCoarsePrediction` reads them, and every later transform moves them with the image.

    Args:
        num_slots (int): K, the number of foreground classes. Defaults to 1.
        eps (float): Probabilities are clamped to [eps, 1 - eps], so that their logits are finite. Defaults to 1e-6.
    """

    def __init__(self, num_slots: int = 1, eps: float = 1e-6):
        super().__init__()
        self.out_channels = num_slots
        self.one_vs_rest = True
        self.eps = eps

    def _forward(self, inputs: Tensor, data_samples=None) -> Tensor:
        """Give the logits of the stored probabilities.

        Args:
            inputs (Tensor): (N, C, H, W), the coarse network's input; only its size is used.
            data_samples (list[SegDataSample]): Each with ``coarse_probability`` (K, H_i, W_i).

        Returns:
            Tensor: (N, K, H, W), one-vs-rest.

        Raises:
            ValueError: If a sample brings no stored prediction, or one with another number of slots.
        """
        maps = []
        for index in range(len(inputs)):
            stored = getattr(data_samples[index], 'coarse_probability', None) if data_samples is not None else None
            if stored is None:
                raise ValueError(
                    'PrecomputedCoarse: the sample brings no coarse prediction; give the dataset its coarse_dir and '
                    "put dict(type='LoadCoarsePrediction') after LoadMask in its pipeline"
                )
            probability = stored.data
            if probability.shape[0] != self.out_channels:
                name = data_samples[index].metainfo.get('img_path', f'image {index}')
                raise ValueError(
                    f'PrecomputedCoarse: the stored prediction of {name} has {probability.shape[0]} '
                    f'channel(s), expected num_slots={self.out_channels}'
                )
            maps.append(
                torch.nn.functional.interpolate(
                    probability[None].float(),
                    size=inputs.shape[-2:],
                    mode='bilinear',
                    align_corners=False,
                    antialias=True,
                )
            )
        return torch.cat(maps).clamp(self.eps, 1 - self.eps).logit()

    def extract_feat(self, inputs):
        """There are no features.

        Raises:
            NotImplementedError: Always.
        """
        raise NotImplementedError('PrecomputedCoarse reads masks and has no features')

    encode_decode = loss = predict = extract_feat
