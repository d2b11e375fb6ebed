"""The inference section: image and soft mask to refined mask, against `segment_anything.SamPredictor`."""

from __future__ import annotations

import torch
from mmengine.registry import init_default_scope
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from segment_anything import SamPredictor
from torch import Tensor

from ultrarefiner.models.refiners.sam_prompts import pad_masks, to_pixel_index
from ultrarefiner.registry import MODELS
from ultrarefiner.testing.toy_masks import ellipse_logits, random_images

from .authors_step import public_sam
from .equality import relative_error
from .harness import NEVER_SLOWER, Gate, Goal, Options, Section, Variant, alternate, ratio
from .toolkit_step import BACKGROUND, architecture_of, prompts_config

COUNTS = dict(cpu=1, cuda=8)
SIZES = dict(full=(500, 600), small=(40, 48))  # (height, width) of the images, in pixels.
COARSE_SIZES = dict(full=(224, 224), small=(32, 32))
LIMIT = 1e-4


def run(options: Options) -> Section:
    """Run the section; in bf16 both sides run in float32 as well, and the masks of ours are compared."""
    bench = InferenceBench(options)
    count, (height, width) = COUNTS[options.device], SIZES[options.size]
    section = Section(
        f'image to mask, {count} image(s) of {height} x {width} pixels, {bench.architecture.depth} blocks'
    )
    base, fast = ('fp32', 'highest'), ('fp32', options.fast_matmul)
    ways = list(dict.fromkeys([base, fast])) if options.precision == 'fp32' else [fast, ('bf16', 'highest')]
    variants = [
        Variant(f'{name}, {" ".join(way)}', lambda way=way, infer=infer: infer(way[0]), None, *way)
        for name, infer, settings in (
            ('SamPredictor', bench.sam_predictor, dict.fromkeys([base, *ways])),
            ('ours', bench.ours, ways),
        )
        for way in settings
    ]
    measured = alternate(variants, options.rounds)
    first, last = variants[0].name, variants[-1].name
    section.add_rows(measured, first)
    for name, measurement in measured.items():
        if name != first and measurement.variant.precision == 'fp32':
            error = relative_error(measurement.result, measured[first].result)
            section.gates.append(Gate(f'logits of {name} and {first}', error, LIMIT))
    same = measured[f'SamPredictor, {" ".join(ways[-1])}']
    section.goals += [
        Goal('ours: times as fast as SamPredictor as it comes', ratio(measured[first], measured[last]).median, 1.0),
        Goal(
            'ours: times as fast as SamPredictor, the same settings, worst round',
            ratio(same, measured[last]).worst,
            NEVER_SLOWER,
        ),
    ]
    if options.precision == 'bf16':
        dice = mask_dice(measured[last].result, measured[f'ours, {" ".join(fast)}'].result)
        section.notes.append(
            f'inference: Dice of the masks of ours in bf16 and fp32: {dice:.4f}, with random weights, whose logits are '
            'noise around 0; on trained weights it has to be measured on a test set'
        )
    return section


class InferenceBench:
    """Both sides, with the same weights, images and prompts.

    Args:
        options (Options): Of the section.
    """

    def __init__(self, options: Options):
        init_default_scope('ultrarefiner')
        self.architecture, device = architecture_of(options.size), options.device
        count, size = COUNTS[device], SIZES[options.size]
        sam = public_sam(self.architecture).to(device)
        refiner = dict(type='SAMRefiner', arch=vars(self.architecture), selection=dict(type='ArgmaxSelection'))
        self.model = MODELS.build(
            dict(
                type='CoarseToFine',
                coarse=dict(type='PrecomputedCoarse'),
                coarse_input=dict(size=COARSE_SIZES[options.size], grey=True, value_range='unit'),
                prompt_generator=prompts_config(),
                refiner=refiner,
                refine_size=size,
            )
        )
        self.model.refiner.load_state_dict(sam.state_dict())
        self.model.to(device).eval()
        self.predictor = SamPredictor(sam)
        self.images = random_images([size] * count)
        self.coarse = ellipse_logits(count, 1, size, background=BACKGROUND).sigmoid()
        self.arguments = [self._arguments(index) for index in range(count)]

    def ours(self, precision: str) -> list[Tensor]:
        """The logits (H, W) of each image, from what a loader gives."""
        batch = dict(inputs=[image.flip(0) for image in self.images], data_samples=self._samples())
        with torch.no_grad(), self._autocast(precision):
            found = self.model.test_step(batch)
        return [sample.seg_logits.data[0] for sample in found]

    def sam_predictor(self, precision: str) -> list[Tensor]:
        """The logits (H, W) of each image, of the candidate with the highest predicted IoU."""
        found = []
        for image, arguments in zip(self.images, self.arguments):
            with self._autocast(precision):
                self.predictor.set_image(image.permute(1, 2, 0).numpy())
                masks, quality, _ = self.predictor.predict_torch(**arguments, multimask_output=True, return_logits=True)
            found.append(masks[0, quality[0].argmax()])
        return found

    def _arguments(self, index: int) -> dict[str, Tensor]:
        """The prompts that the toolkit makes, in SAM's own frame."""
        one = slice(index, index + 1)
        batch = dict(inputs=[self.images[index]], data_samples=self._samples()[one])
        data = self.model.data_preprocessor(batch)
        with torch.no_grad():
            prompts = self.model.prompt_generator(self.model.run_coarse(data['inputs'], data['data_samples']), [])
        profile = self.model.refiner.input_profile
        content = torch.tensor([profile.content_size(*self.images[index].shape[-2:])], device=prompts.points.device)
        corners = to_pixel_index(prompts.boxes.unflatten(-1, (2, 2)), content)
        return dict(
            point_coords=to_pixel_index(prompts.points, content)[0],
            point_labels=prompts.point_labels[0],
            boxes=corners.flatten(2)[0],
            mask_input=pad_masks(prompts.masks, content, self.model.refiner.prompt_encoder),
        )

    def _samples(self) -> list[SegDataSample]:
        samples = []
        for coarse in self.coarse:
            sample = SegDataSample(metainfo=dict(ori_shape=tuple(coarse.shape[-2:])))
            sample.coarse_probability = PixelData(data=coarse)
            samples.append(sample)
        return samples

    def _autocast(self, precision: str) -> torch.autocast:
        device = next(self.model.parameters()).device.type
        return torch.autocast(device, torch.bfloat16, enabled=precision == 'bf16')


def mask_dice(ours: list[Tensor], reference: list[Tensor]) -> float:
    """The mean Dice of the masks where logits (H, W) are positive."""
    scores = []
    for own, theirs in zip(ours, reference):
        a, b = own > 0, theirs > 0
        scores.append(float(2 * (a & b).sum() / (a.sum() + b.sum()).clamp(min=1)))
    return sum(scores) / len(scores)
