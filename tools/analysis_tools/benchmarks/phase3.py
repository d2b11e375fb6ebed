"""The phase-3 section: a joint step on the whole image and on a crop around the object, ours and the authors'."""

from __future__ import annotations

import tempfile
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from torch import Tensor, nn

from ultrarefiner.registry import MODELS
from ultrarefiner.utils.embedding_cache import EmbeddingCache

from .authors_step import LEARNING_RATE, ROI_MIN_SHARE, WEIGHT_DECAY, AuthorsRefiner, phase3_loss, public_sam
from .equality import relative_error
from .harness import Gate, Goal, Options, Section, Variant, alternate, memory_share, ratio
from .toolkit_step import TrainStep, architecture_of, make_workload, prompts_config, refiner_config

BASE = Path(__file__).resolve().parents[3] / 'configs' / '_base_'
BATCH = dict(cpu=1, cuda=4)
COARSE_SIDES = dict(full=224, small=32)
SMALL_COARSE = dict(
    type='EncoderDecoder',
    backbone=dict(
        type='TransUNetBackbone',
        img_size=32,
        width=8,
        block_units=(1, 1, 1),
        hidden_size=16,
        num_layers=2,
        num_heads=2,
        mlp_size=32,
        norm_groups=4,
    ),
    decode_head=dict(
        type='TransUNetHead',
        in_channels=(8, 32, 64, 16),
        stem_channels=16,
        decoder_channels=(16, 8, 8, 8),
        num_classes=2,
    ),
)
COARSE_LIMIT = 1e-5
SAME = 1.1


def run(options: Options) -> Section:
    """Run the section."""
    bench = Phase3Bench(options)
    way = (options.precision, options.fast_matmul if options.precision == 'fp32' else 'highest')
    section = Section(bench.title, gates=[bench.same_coarse()])
    with tempfile.TemporaryDirectory() as folder:
        cache = EmbeddingCache(folder)
        variants = [
            Variant("authors' step, whole image", bench.authors, None, options.precision),
            Variant("authors' step, crop", lambda: bench.authors(crop=True), None, options.precision),
            Variant('ours, whole image', bench.ours, None, *way),
            Variant('ours, crop', lambda: bench.ours(crop=True), None, *way),
            Variant('ours, whole image, cached', lambda: bench.ours(cache), None, *way),
        ]
        measured = alternate(variants, options.rounds)
    section.add_rows(measured, variants[0].name)
    whole, crop = measured['ours, whole image'], measured['ours, crop']
    section.goals += [
        Goal('ours: time of a crop over that of the whole image', 1 / ratio(whole, crop).median, SAME, '<='),
        Goal('ours: memory of a crop over that of the whole image', memory_share(whole, crop), SAME, '<='),
    ]
    section.notes.append(
        "phase3: the place of the authors' crop carries gradient through the image encoder, that of ours (ROIRefiner) "
        'carries none; the losses of both sides are their own'
    )
    return section


class Phase3Bench:
    """Both steps on one batch, from the same weights.

    Args:
        options (Options): Of the section.
    """

    def __init__(self, options: Options):
        init_default_scope('ultrarefiner')
        self.options, self.architecture = options, architecture_of(options.size)
        self.workload = make_workload(self.architecture, BATCH[options.device], options.device)
        sam = public_sam(self.architecture).to(options.device)
        self.model = self._build(options.size).to(options.device).train()
        self.crops, self.whole = self.model.refiner, self.model.refiner.refiner
        self.whole.load_state_dict(sam.state_dict())
        self.step = TrainStep(self.model, self.workload.collated(), options.precision)
        self.refiner = AuthorsRefiner(sam).train()
        self.coarse = MODELS.build(coarse_config(options.size)).to(options.device).train()
        self.coarse.load_state_dict(self.model.coarse.state_dict())
        for coarse in (self.coarse, self.model.coarse):
            coarse.decode_head.conv_seg.register_forward_hook(self._see_object)
        trainable = [*self.coarse.parameters(), *(w for w in self.refiner.parameters() if w.requires_grad)]
        self.optimizer = torch.optim.AdamW(trainable, lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)

    @property
    def title(self) -> str:
        """What is run on what."""
        sides = f'{self.architecture.image_size} pixels, coarse network {COARSE_SIDES[self.options.size]}'
        return f'joint step of phase 3, {sides}, batch {BATCH[self.options.device]}, frozen image encoder'

    def ours(self, cache: EmbeddingCache | None = None, crop: bool = False) -> float:
        """Our step; returns the loss.

        Args:
            cache (EmbeddingCache, optional): Of the whole image's embeddings.
            crop (bool): Whether SAM sees a crop around the object.
        """
        self.model.refiner, self.model.embedding_cache = self.crops if crop else self.whole, cache
        return self.step()

    def authors(self, crop: bool = False) -> float:
        """The authors' step; returns the loss."""
        self.optimizer.zero_grad()
        images, truth, side = self.workload.normalised, self.workload.truth, COARSE_SIDES[self.options.size]
        with self.options.autocast():
            scores = self._scores()
            probability = scores.softmax(dim=1)[:, 1:]
            logits = self.refiner.refine_roi(images, probability) if crop else self.refiner(images, probability)
            coarse_truth = nn.functional.interpolate(truth, (side, side), mode='nearest')[:, 0].long()
            loss = phase3_loss(scores, logits, truth, coarse_truth)
        loss.backward()
        self.optimizer.step()
        return float(loss.detach())

    @torch.no_grad()
    def same_coarse(self) -> Gate:
        """Whether both coarse networks give the same probabilities, in evaluation mode and float32."""
        self.coarse.eval()
        self.model.eval()
        theirs = self._scores().softmax(dim=1)[:, 1:]
        ours = self.model.run_coarse(self.workload.pixels).probabilities
        self.coarse.train()
        self.model.train()
        return Gate('coarse probabilities of ours and of the authors', relative_error(ours, theirs), COARSE_LIMIT)

    def _see_object(self, layer: nn.Module, inputs: tuple, scores: Tensor) -> Tensor:
        """Add the workload's soft mask to the scores: random weights see no object, and then the crop is the image."""
        logits = nn.functional.interpolate(self.workload.coarse.logit(), scores.shape[-2:], mode='bilinear')
        return scores + torch.cat([-logits, logits], dim=1) / 2

    def _scores(self) -> Tensor:
        """The scores (N, 2, h, w) of the authors' coarse network, for its own input."""
        inputs, _ = self.model.coarse_input.prepare(self.workload.pixels)
        return nn.functional.interpolate(self.coarse(inputs, mode='tensor'), inputs.shape[-2:], mode='bilinear')

    def _build(self, size: str) -> nn.Module:
        sides = (COARSE_SIDES[size],) * 2
        return MODELS.build(
            dict(
                type='CoarseToFine',
                coarse=coarse_config(size),
                coarse_input=dict(size=sides, grey=True, value_range='unit'),
                prompt_generator=prompts_config(),
                refiner=dict(
                    type='ROIRefiner',
                    refiner=refiner_config(self.architecture),
                    min_size=round(ROI_MIN_SHARE * self.architecture.image_size),
                ),
                losses=Config.fromfile(BASE / 'phases' / 'phase3_joint.py').losses,
                refine_size=(self.architecture.image_size,) * 2,
            )
        )


def coarse_config(size: str) -> dict:
    """TransUNet, R50-ViT-B/16 in 'full', with random weights."""
    if size == 'small':
        return SMALL_COARSE
    coarse = Config.fromfile(BASE / 'models' / 'coarse_transunet_r50-vit-b16.py').coarse
    coarse.backbone.init_cfg = None
    coarse.pop('name')
    return coarse
