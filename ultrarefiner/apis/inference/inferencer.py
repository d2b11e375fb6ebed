"""UltraRefinerInferencer: images in, masks out."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from mmengine.config import Config
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from torch import Tensor

from ... import __version__
from ...models.segmentors import CoarseToFine, PrecomputedCoarse
from ...models.segmentors.coarse_to_fine import to_labels
from ...utils.embedding_cache import EmbeddingCache, encoder_hash
from ..init_model import init_model
from ..mixed_precision import amp_precision
from .augmentation import Augmentation, View
from .given_masks import GivenMasks
from .image_sources import ImageSource, find_sources
from .prediction import Prediction, binary_entropy
from .prediction_writer import PredictionWriter

Model: TypeAlias = str | Path | Config | CoarseToFine
TEST_TRANSFORMS = ('LoadImage', 'LoadMask', 'LoadCoarsePrediction', 'PackRefinerInputs')
PROVENANCE = ('dataset', 'split_sha256', 'fold', 'phase', 'epoch')
Fault = Callable[[ImageSource, Exception], None]


class UltraRefinerInferencer:
    """Segments images with a trained model, or with several whose probabilities are averaged.

    Nothing but images is needed: no ground truth, and no prompt from anyone. ``UltraRefinerInferencer('best.pth')`` is
    enough, because a checkpoint carries its config.

    Args:
        model (str | Path | Config | CoarseToFine | list, optional): What `init_model` takes, or a model that it gave; a
            list of them is an ensemble, such as the five folds of a training. Its members may differ in everything but
            their classes.
        weights (str | Path | list, optional): The checkpoint of a config or a name; a list is an ensemble of one
            config. Without `model` the same as `model`.
        coarse (str | Path | list, optional): A checkpoint of phase 1, whose coarse network takes the place of the
            model's own; checkpoints of phase 2 need one, or `coarse_masks`. A list has one for each member.
        coarse_masks (str | Path, optional): A folder of coarse results that were made elsewhere, used by every member
            instead of its coarse network: for each image ``{name}.npy`` or ``{name}.png``, see `LoadCoarsePrediction`;
            with several classes a PNG holds labels.
        device (str | torch.device, optional): Defaults to a GPU where there is one.
        batch_size (int): Images that go through a network at once. Defaults to 4.
        augmentation (Augmentation | dict, optional): Test-time augmentation, such as
            ``dict(flips=('horizontal',), scales=(0.8,))``. Defaults to none.
        amp (str, optional): 'bfloat16', 'float16' or 'suitable', which is the first where the device has it. Defaults
            to float32.
        embedding_cache (str | Path | dict, optional): A folder, or the arguments of `EmbeddingCache`: what the image
            encoders of the refiners make of an image is kept there, and found when the image comes again.

    Attributes:
        members (list[CoarseToFine]): One, or those of the ensemble.
        classes (tuple[str, ...]): The background first.
        palette (list[list[int]]): RGB of each class.
        device (torch.device): Of the networks.

    Raises:
        FileNotFoundError: If a file is absent.
        KeyError: If there is no model of a name.
        ValueError: If a file is of another kind, the members have other classes, a checkpoint of phase 2 comes without
            coarse results, or an argument does not fit.
    """

    def __init__(
        self,
        model: Model | Sequence[Model] | None = None,
        weights: str | Path | Sequence[str | Path] | None = None,
        coarse: str | Path | Sequence[str | Path] | None = None,
        coarse_masks: str | Path | None = None,
        device: str | torch.device | None = None,
        batch_size: int = 4,
        augmentation: Augmentation | dict | None = None,
        amp: str | None = None,
        embedding_cache: str | Path | dict | None = None,
    ):
        if batch_size < 1:
            raise ValueError(f'batch_size is {batch_size}, expected at least 1')
        self.members = open_members(model, weights, coarse, device)
        first = self.members[0]
        self.classes = tuple(first.dataset_meta['classes'])
        self.palette = first.dataset_meta['palette']
        self.device = torch.device(first.data_preprocessor.device)
        self.batch_size = batch_size
        self.augmentation = Augmentation(**augmentation) if isinstance(augmentation, dict) else augmentation
        self.views = (self.augmentation or Augmentation()).views()
        precision = amp_precision(amp)
        self.precision = None if precision is None else getattr(torch, precision)
        self.given_masks = None
        if coarse_masks is not None:
            self.given_masks = GivenMasks(coarse_masks, len(self.classes) - 1)
            for member in self.members:
                self.given_masks.replace_coarse(member)
        self._check_coarse()
        if embedding_cache is not None:
            options = dict(embedding_cache) if isinstance(embedding_cache, dict) else dict(folder=str(embedding_cache))
            for member in self.members:
                use_cache(member, options)

    def __call__(
        self,
        images: Any,
        out_dir: str | Path | None = None,
        save: Sequence[str] = (),
        recursive: bool = False,
        overwrite: bool = False,
    ) -> list[Prediction]:
        """Segment images and hold all results; `stream` holds one at a time.

        Args:
            images: See `find_sources`: files, folders, patterns, arrays (RGB), Pillow images, tensors, or a list.
            out_dir (str | Path, optional): Where results are written too, see `PredictionWriter`.
            save (Sequence[str]): What is written besides masks and ``predictions.csv``; some of `FORMATS`.
            recursive (bool): Whether the sub-folders of folders count too. Defaults to False.
            overwrite (bool): Whether `out_dir` may hold results of an earlier run. Defaults to False.

        Returns:
            list[Prediction]: One for each image, in the order of `find_sources`.

        Raises:
            DatasetError: If there is anything wrong with the images; before the first is segmented where their headers
                tell.
            FileExistsError: If `out_dir` has results.
        """
        sources = find_sources(images, recursive)
        predictions = self.stream(sources)
        if out_dir is None:
            return list(predictions)
        held = []
        with self.writer(out_dir, save, overwrite, sources=sources) as writer:
            for prediction in predictions:
                writer.write(prediction)
                held.append(prediction)
        return held

    def stream(self, images: Any, recursive: bool = False, on_fault: Fault | None = None) -> Iterator[Prediction]:
        """Segment images, and give each result as soon as its batch is done.

        All files are looked at when this is called; they are decoded as they are needed, so that any number of images
        takes the memory of a batch.

        Args:
            images: See `find_sources`.
            recursive (bool): Whether the sub-folders of folders count too. Defaults to False.
            on_fault (Callable, optional): Called with the `ImageSource` and the error of an image that cannot be
                decoded, which is then left out. None raises the error.

        Returns:
            Iterator[Prediction]: In the order of `find_sources`.

        Raises:
            DatasetError: As for calling the inferencer.
        """
        sources = find_sources(images, recursive)
        if self.given_masks is not None:
            self.given_masks.check(sources)
        return self._stream(sources, on_fault)

    def writer(
        self,
        out_dir: str | Path,
        save: Sequence[str] = (),
        overwrite: bool = False,
        resume: bool = False,
        sources: Sequence[ImageSource] = (),
    ) -> PredictionWriter:
        """Writes what `stream` gives; arguments and errors as for `PredictionWriter`.

        Args:
            out_dir (str | Path): See `PredictionWriter`, as for what follows.
            save (Sequence[str]): Some of `FORMATS`.
            overwrite (bool): Whether results of an earlier run are removed first. Defaults to False.
            resume (bool): Whether results of an earlier run are gone on from. Defaults to False.
            sources (Sequence[ImageSource]): What is segmented, so that overwriting never removes it.
        """
        keep = [source.content for source in sources if isinstance(source.content, Path)]
        if self.given_masks is not None:
            keep.append(self.given_masks.folder)
        return PredictionWriter(out_dir, self.classes, self.palette, save, self.settings(), overwrite, resume, keep)

    def settings(self) -> dict:
        """What the results depend on, but for the images: models, views, precision, where coarse masks come from."""
        return dict(
            version=__version__,
            classes=list(self.classes),
            members=[
                dict(
                    weights_sha256=encoder_hash(member),
                    **{key: member.provenance.get(key) for key in PROVENANCE if key in member.provenance},
                )
                for member in self.members
            ],
            views=[dict(flips=list(view.flips), scale=view.scale) for view in self.views],
            precision='float32' if self.precision is None else str(self.precision).removeprefix('torch.'),
            coarse_masks=None if self.given_masks is None else str(self.given_masks.folder),
        )

    def _stream(self, sources: list[ImageSource], on_fault: Fault | None) -> Iterator[Prediction]:
        readable = self._read(sources, on_fault)
        while batch := list(islice(readable, self.batch_size)):
            yield from self._predict(batch)

    def _read(self, sources: list[ImageSource], on_fault: Fault | None) -> Iterator[tuple]:
        for source in sources:
            try:
                image = source.read()
                height, width = image.shape[-2:]
                coarse = None if self.given_masks is None else self.given_masks.read(source, (height, width))
            except (OSError, ValueError) as error:
                if on_fault is None:
                    raise
                on_fault(source, error)
            else:
                yield source, image, coarse

    @torch.no_grad()
    def _predict(self, batch: list[tuple[ImageSource, Tensor, Tensor | None]]) -> Iterator[Prediction]:
        results = [_Result(source, image) for source, image, _ in batch]
        half = torch.autocast(self.device.type, self.precision, enabled=self.precision is not None)
        for member in self.members:
            inputs = member.data_preprocessor(dict(inputs=[image for _, image, _ in batch]))['inputs']
            for view in self.views:
                samples = [SegDataSample() for _ in batch]
                for sample, (_, _, coarse) in zip(samples, batch):
                    if coarse is not None:
                        data = view.apply(coarse.to(self.device))
                        sample.set_data(dict(coarse_probability=PixelData(data=data)))
                with half:
                    samples = member.predict([view.apply(image) for image in inputs], samples)
                for result, sample in zip(results, samples):
                    result.add(view, sample)
        for result in results:
            yield result.prediction()

    def _check_coarse(self) -> None:
        if self.given_masks is None and any(isinstance(member.coarse, PrecomputedCoarse) for member in self.members):
            raise ValueError(
                'a checkpoint of phase 2 has no coarse network: give the checkpoint of phase 1 that it follows as '
                'coarse (--coarse), or a folder of masks that were made elsewhere as coarse_masks (--coarse-masks)'
            )


def open_members(model: Any, weights: Any, coarse: Any, device: str | torch.device | None) -> list[CoarseToFine]:
    """Build the models that are averaged, ready for prediction.

    Args:
        model (Model | Sequence[Model], optional): See `UltraRefinerInferencer`, as the next two.
        weights (str | Path | Sequence, optional): Checkpoints.
        coarse (str | Path | Sequence, optional): Checkpoints of phase 1.
        device (str | torch.device, optional): Defaults to a GPU where there is one.

    Raises:
        ValueError: If lists differ in length, or the models have other classes.
    """
    if model is None:
        model, weights = weights, None
    if model is None:
        raise ValueError('give a model: a checkpoint, a package, a name of list_models(), or a config with weights')
    given = dict(model=model, weights=weights, coarse=coarse)
    lists = {name: list(value) for name, value in given.items() if isinstance(value, (list, tuple))}
    count = max(map(len, lists.values()), default=1)
    uneven = {name: len(value) for name, value in lists.items() if len(value) not in (1, count) or not value}
    if uneven:
        raise ValueError(f'an ensemble of {count}, but lists of another length: {uneven}; give one for each, or one')
    repeated = {name: lists.get(name, [value]) for name, value in given.items()}
    rows = {name: values * (count // len(values)) for name, values in repeated.items()}
    members = [_open(*row, device) for row in zip(rows['model'], rows['weights'], rows['coarse'])]
    for number, member in enumerate(members, start=1):
        classes, expected = (tuple(each.dataset_meta['classes']) for each in (member, members[0]))
        if classes != expected:
            raise ValueError(
                f'member {number} of the ensemble has the classes {classes}, the first one {expected}; they need the '
                'same'
            )
    return members


def _open(model: Model, weights: str | Path | None, coarse: str | Path | None, device: Any) -> CoarseToFine:
    if not isinstance(model, CoarseToFine):
        opened = init_model(model, weights, coarse, device)
        warn_of_transforms(opened.cfg)
        # Without a gradient every image encoder counts as frozen, so that its embeddings can be kept.
        return opened.requires_grad_(False)
    if weights is not None or coarse is not None:
        raise ValueError('a model that is built already is taken as it is; give weights and coarse to init_model')
    return model.eval() if device is None else model.to(device).eval()


def warn_of_transforms(cfg: Config) -> None:
    """Warn where a model was tested on images that a transform had changed, which the inferencer does not do.

    Args:
        cfg (Config): Of the model.
    """
    pipeline = (cfg.get('test_dataloader') or {}).get('dataset', {}).get('pipeline') or ()
    others = [str(transform.type) for transform in pipeline if str(transform.type) not in TEST_TRANSFORMS]
    if others:
        warnings.warn(
            f'the model was tested on images after {", ".join(others)}, and the inferencer only loads them: its '
            'results may be worse',
            stacklevel=4,
        )


def use_cache(model: CoarseToFine, options: dict) -> None:
    """Give a model an embedding cache.

    Args:
        model (CoarseToFine): Is changed.
        options (dict): Arguments of `EmbeddingCache`.

    Raises:
        ValueError: If it has no refiner, or one whose embeddings cannot be kept.
    """
    if model.refiner is None:
        raise ValueError('an embedding cache serves the refiner, and a model of phase 1 has none; leave it out')
    EmbeddingCache.check(model.refiner)
    model.embedding_cache = EmbeddingCache(**options)


class _Mean:
    """A mean of maps, of each pixel over those that saw it."""

    def __init__(self) -> None:
        self.total = self.count = torch.zeros(())

    def add(self, maps: Tensor, seen: Tensor) -> None:
        self.total = self.total + maps * seen
        self.count = self.count + seen

    @property
    def value(self) -> Tensor:
        return self.total / self.count


class _Result:
    """The views of one image, as they come in."""

    def __init__(self, source: ImageSource, image: Tensor):
        self.source, self.image = source, image
        self.size = image.shape[-2], image.shape[-1]
        self.refined, self.coarse, self.entropy = _Mean(), _Mean(), _Mean()
        self.labels: dict[str, Tensor] = {}
        self.views = 0
        self.prompts = None
        self.qualities: list[list[float]] = []

    def add(self, view: View, sample: SegDataSample) -> None:
        refined, coarse = (
            view.undo(logits.data.float().sigmoid(), self.size) for logits in (sample.seg_logits, sample.coarse_logits)
        )
        seen = view.seen(self.size, refined.device)
        self.refined.add(refined, seen)
        self.coarse.add(coarse, seen)
        self.entropy.add(binary_entropy(refined), seen)
        if view == View():
            meta = sample.metainfo
            self.prompts = meta.get('prompts') if self.prompts is None else self.prompts
            if 'quality' in meta:
                self.qualities.append(meta['quality'])
        self.views += 1
        # Of a single view the logits decide, as in the test: a float has more of them around 0 than around 0.5.
        self.labels = dict(refined=sample.pred_sem_seg.data, coarse=sample.coarse_sem_seg.data)

    def prediction(self) -> Prediction:
        refined, coarse = self.refined.value, self.coarse.value
        labels = self.labels
        if self.views > 1:
            labels = dict(refined=to_labels(refined - 0.5), coarse=to_labels(coarse - 0.5))
        entropy = binary_entropy(refined)
        disagreement = (entropy - self.entropy.value).clamp(min=0).amax(0) if self.views > 1 else None
        return Prediction(
            name=self.source.name,
            file_name=self.source.file_name,
            image=self.image.expand(3, -1, -1).flip(0).permute(1, 2, 0).numpy(),
            mask=_array(labels['refined'][0].byte()),
            probabilities=_array(refined),
            coarse_mask=_array(labels['coarse'][0].byte()),
            coarse_probabilities=_array(coarse),
            prompts=self.prompts,
            predicted_iou=np.array(self.qualities, np.float32).mean(axis=0) if self.qualities else None,
            uncertainty=_array(entropy.amax(0)),
            disagreement=None if disagreement is None else _array(disagreement),
        )


def _array(maps: Tensor) -> np.ndarray:
    return maps.cpu().numpy()
