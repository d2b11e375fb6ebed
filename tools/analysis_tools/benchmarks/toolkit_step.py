"""The toolkit's own steps and the workload that both sides get: the same weights, images, soft masks and truth."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from mmengine.optim import OptimWrapper
from mmengine.registry import init_default_scope
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from segment_anything.modeling import Sam
from torch import Tensor, nn

from ultrarefiner.engine.amp_optim_wrapper import AmpOptimWrapper
from ultrarefiner.interfaces import BaseStageLoss
from ultrarefiner.models.losses.pixel_mean import pixel_mean
from ultrarefiner.models.refiners.sam_architecture import SAMArchitecture
from ultrarefiner.registry import MODELS
from ultrarefiner.structures import InputProfile, SegOutput, Stages, StageTarget
from ultrarefiner.testing.toy_masks import ellipse_logits, random_images
from ultrarefiner.utils.resize_logits import resize_logits

from .authors_step import (
    BOX_STDS,
    LEARNING_RATE,
    MASK_SCALE,
    POINT_POWER,
    QUALITY_WEIGHT,
    SELECTION_TEMPERATURE,
    WEIGHT_DECAY,
)

SIZES = dict(
    full='vit_b',
    small=dict(
        image_size=64,
        embed_dim=16,
        depth=2,
        num_heads=2,
        global_attn_indexes=(1,),
        window_size=2,
        prompt_dim=16,
        decoder_mlp_dim=16,
        decoder_num_heads=2,
        iou_head_hidden_dim=16,
    ),
)
BACKGROUND = 1e-4  # Lowest probability of the soft masks; the toolkit keeps logits finite below 1e-6.


@dataclass(frozen=True)
class Workload:
    """A batch, as each side wants it; images, masks and truth have the size of SAM's input, so nobody resizes.

    Args:
        pixels (list[Tensor]): N images (3, S, S), uint8, RGB.
        coarse (Tensor): (N, 1, S, S), probabilities.
        truth (Tensor): (N, 1, S, S) float, 0 or 1.
        profile (InputProfile): How SAM wants its images.
    """

    pixels: list[Tensor]
    coarse: Tensor
    truth: Tensor
    profile: InputProfile

    @property
    def normalised(self) -> Tensor:
        """Tensor: (N, 3, S, S) float, what the authors' loader hands to their step."""
        return self.profile.prepare(self.pixels)[0]

    def collated(self) -> dict:
        """The batch as mmengine's DataLoader hands it to the model: ``inputs`` are BGR."""
        samples = []
        for coarse, truth in zip(self.coarse.cpu(), self.truth.cpu()):
            size = tuple(truth.shape[-2:])
            sample = SegDataSample(metainfo=dict(ori_shape=size, img_shape=size))
            sample.gt_sem_seg = PixelData(data=truth.to(torch.uint8))
            sample.coarse_probability = PixelData(data=coarse)
            samples.append(sample)
        return dict(inputs=[image.flip(0).cpu() for image in self.pixels], data_samples=samples)


class QualityTerm(BaseStageLoss):
    """The authors' quality-aware term as a stage loss, so that both sides minimise the same."""

    orders_masks = False

    def per_image_of(self, stages: Stages, target: StageTarget) -> Tensor:
        """The mean over pixels of the change where the binary coarse mask was right, (N, )."""
        logits = stages.refined.logits.float()
        mask, weight = target.at(logits.shape[-2:])
        binary = (resize_logits(stages.coarse.logits, logits.shape[-2:]) > 0).to(logits.dtype)
        return pixel_mean((logits.sigmoid() - binary).abs() * (binary == mask), weight)

    def per_image(self, output: SegOutput, target: StageTarget) -> Tensor:
        """One stage alone shows no change.

        Raises:
            NotImplementedError: Always.
        """
        raise NotImplementedError('QualityTerm compares two stages; call per_image_of')


def architecture_of(size: str) -> SAMArchitecture:
    """The sizes of SAM: 'full' is ViT-B, 'small' two blocks at 64 pixels."""
    return SAMArchitecture.from_config(SIZES[size])


def make_workload(architecture: SAMArchitecture, count: int, device: str, seed: int = 0) -> Workload:
    """Noise with soft ellipses; the truth is a little smaller than what the soft mask says.

    Args:
        architecture (SAMArchitecture): Of SAM, for its size.
        count (int): N.
        device (str): Where the tensors live.
        seed (int): Decides the noise. Defaults to 0.
    """
    side = architecture.image_size
    pixels = [image.to(device) for image in random_images([(side, side)] * count, seed)]
    logits = ellipse_logits(count, 1, (side, side), background=BACKGROUND).to(device)
    profile = MODELS.build(refiner_config(architecture)).input_profile
    return Workload(pixels, logits.sigmoid(), (logits > 2).float(), profile)


def refiner_config(architecture: SAMArchitecture) -> dict:
    """A frozen SAM that mixes its candidates as the authors do."""
    return dict(
        type='SAMRefiner',
        arch=vars(architecture),
        encoder='frozen',
        selection=dict(type='SoftmaxSelection', temperature=SELECTION_TEMPERATURE),
    )


def prompts_config() -> dict:
    """The parts of configs/_base_/models/prompts_point-moment-box-mask.py with the authors' constants."""
    return dict(
        type='ComposePrompts',
        generators=[
            dict(type='SoftArgmaxPoint', power=POINT_POWER),
            dict(type='MomentBox', k=BOX_STDS, floor=0.0),
            dict(type='MaskPrompt', scale=MASK_SCALE),
        ],
    )


def build_phase2(sam: Sam, architecture: SAMArchitecture) -> nn.Module:
    """The toolkit's model of phase 2, in training, with the weights of ``sam``, its prompts made at SAM's input size.

    Args:
        sam (Sam): Its weights are copied.
        architecture (SAMArchitecture): Its sizes.
    """
    init_default_scope('ultrarefiner')
    size = (architecture.image_size,) * 2
    model = MODELS.build(
        dict(
            type='CoarseToFine',
            coarse=dict(type='PrecomputedCoarse'),
            coarse_input=dict(size=size, grey=True, value_range='unit'),
            prompt_generator=prompts_config(),
            refiner=refiner_config(architecture),
            losses=[
                dict(type='StageBCE', stage='refined'),
                dict(type='StageDice', stage='refined'),
                QualityTerm('refined', QUALITY_WEIGHT),
            ],
            refine_size=size,
        )
    )
    model.refiner.load_state_dict(sam.state_dict())
    return model.to(next(sam.parameters()).device).train()


class TrainStep:
    """One iteration as mmengine's training loop runs it: preprocessor, losses, backward pass, AdamW.

    Args:
        model (BaseSegmentor): The toolkit's.
        batch (dict): Collated.
        precision (str): 'fp32' or 'bf16'.
    """

    def __init__(self, model: nn.Module, batch: dict, precision: str = 'fp32'):
        self.model, self.batch = model, batch
        trainable = [weight for weight in model.parameters() if weight.requires_grad]
        optimizer = torch.optim.AdamW(trainable, lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY, fused=True)
        if precision == 'bf16':
            self.wrapper = AmpOptimWrapper(dtype='bfloat16', optimizer=optimizer)
        else:
            self.wrapper = OptimWrapper(optimizer)

    def __call__(self) -> float:
        """Run it; returns the loss before the update."""
        return float(self.model.train_step(self.batch, self.wrapper)['loss'].detach())
