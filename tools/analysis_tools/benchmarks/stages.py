"""The stages section: how long each stage of a model takes for one image, of a config or a checkpoint of the user's."""

from __future__ import annotations

from contextlib import ExitStack
from functools import cached_property
from pathlib import Path
from statistics import median

import torch
from get_flops import NEEDS_FILES, stage_costs
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from torch import Tensor

from ultrarefiner.apis.model import build_model
from ultrarefiner.apis.model_config import read_model_config
from ultrarefiner.structures import ImageEmbedding, Prompts, SegOutput
from ultrarefiner.testing.toy_masks import ellipse_logits, random_images
from ultrarefiner.utils.resize_logits import resize_logits

from .equality import relative_error
from .harness import Gate, Options, Row, Section, Variant, alternate

CONFIGS = Path(__file__).resolve().parents[3] / 'configs' / 'ultrarefiner'
MODELS = dict(
    full='ultrarefiner_transunet_medsam-b_method-prompts_phase3-1xb2-100e_busi-1024x1024.py',
    small='ultrarefiner_transunet-small_sam-small_soft-prompts_phase3-1xb4-2e_busi-192x192.py',
)
SIZES = dict(full=(500, 600), small=(40, 48))  # (height, width) of the image, in pixels.
LIMIT = 1e-5
WHOLE = 'whole'


def run(options: Options) -> Section:
    """Run the section, in the fastest setting of the precision; weights are random, which costs the same."""
    size = SIZES[options.size]
    bench = StageBench(options)
    precision, matmul = options.settings[-1]
    costs = stage_costs(bench.cfg, size)
    steps = dict(coarse=bench.run_coarse)
    if bench.model.refiner is not None:
        steps |= {'prompts': bench.run_prompts, 'image encoder': bench.run_encoder, 'decoder': bench.run_decoder}
    variants = [
        Variant(name, step, costs[name].flops or None, precision, matmul)
        for name, step in {**steps, WHOLE: bench.run_whole}.items()
    ]
    measured = alternate(variants, options.rounds)
    section = Section(f'{options.model or bench.source.stem}, one image of {size[0]} x {size[1]} pixels')
    whole = median(measured[WHOLE].seconds)
    for measurement in measured.values():
        section.rows.append(Row.of(measurement, share_of_whole=median(measurement.seconds) / whole))
    last = list(steps)[-1]
    error = relative_error(measured[last].result, measured[WHOLE].result)
    section.gates.append(Gate('masks of the stages one by one and of predict()', error, LIMIT))
    if bench.model.refiner is not None and bench.model.refiner.cached_encoder is None:
        section.notes.append('stages: this refiner has no encoder of whole images; what it encodes counts as decoder')
    return section


class StageBench:
    """A model, and for each of its stages what the stage before gives.

    Args:
        options (Options): Of the section.
    """

    def __init__(self, options: Options):
        self.options = options
        self.source = Path(options.model or CONFIGS / MODELS[options.size])
        self.cfg = read_model_config(self.source)
        for key in NEEDS_FILES:
            self.cfg.model.pop(key, None)
        self.size = SIZES[options.size]
        self.model = build_model(self.cfg).to(options.device).eval()
        self.images = [image.to(options.device) for image in random_images([self.size])]

    def run_coarse(self) -> Tensor:
        """Logits (K, H, W) of the coarse stage at the size of the image."""
        with self._mode():
            coarse = self.model.run_coarse(self.images, self._samples())
            return resize_logits(coarse.logits, self.size)[0]

    def run_prompts(self) -> None:
        """Make the prompts."""
        with self._mode():
            self.model.prompt_generator(self._objects, self.images)

    def run_encoder(self) -> None:
        """See the image."""
        with self._mode():
            self.model.refiner.encode_image(self.images)

    def run_decoder(self) -> Tensor:
        """Logits (K, H, W) of the refined stage, at the size of the image."""
        with self._mode():
            return self.model.refine(self._embedding, self._objects, self._prompts, self.size).logits[0]

    def run_whole(self) -> Tensor:
        """Logits (K, H, W) of `predict`."""
        with self._mode():
            return self.model.predict(self.images, self._samples())[0].seg_logits.data

    @cached_property
    def _objects(self) -> SegOutput:
        with self._mode():
            return self.model.split_objects(self.model.run_coarse(self.images, self._samples()))

    @cached_property
    def _prompts(self) -> Prompts:
        with self._mode():
            return self.model.prompt_generator(self._objects, self.images)

    @cached_property
    def _embedding(self) -> ImageEmbedding:
        with self._mode():
            return self.model.encode_image(self.images)

    def _samples(self) -> list[SegDataSample]:
        """With a stored coarse prediction, for a model that has no coarse network."""
        sample = SegDataSample(metainfo=dict(ori_shape=self.size))
        probability = ellipse_logits(1, self.model.num_slots, self.size)[0].sigmoid()
        sample.coarse_probability = PixelData(data=probability.to(self.options.device))
        return [sample]

    def _mode(self) -> ExitStack:
        """Prediction, in the precision of the section."""
        stack = ExitStack()
        stack.enter_context(torch.no_grad())
        stack.enter_context(self.options.autocast())
        return stack
