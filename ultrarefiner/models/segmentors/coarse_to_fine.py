"""CoarseToFine: image -> coarse -> prompts -> refined. The page to read first."""

from __future__ import annotations

import torch
from mmengine.structures import PixelData
from mmseg.models.segmentors import BaseSegmentor
from mmseg.structures import SegDataSample
from torch import Tensor

from ...interfaces import BaseCandidateSelection
from ...registry import MODELS, OBJECT_SPLITTERS, PROMPT_GENERATORS, REFINERS, REGULARIZERS, STAGE_LOSSES
from ...structures import ImageEmbedding, InputProfile, Prompts, SegOutput, Stages, StageTarget
from ...utils.checkpoint import check_input_profiles, load_strictly, read_checkpoint, stage_state_dict
from ...utils.embedding_cache import EmbeddingCache
from ...utils.freeze import freeze, keep_frozen_in_eval
from ...utils.one_vs_rest import one_vs_rest
from ...utils.partial_checkpoint import PARTIAL_KEY, check_base
from ...utils.resize_logits import resize_logits
from ...utils.scale_gradient import scale_gradient


@MODELS.register_module()
class CoarseToFine(BaseSegmentor):
    """A coarse segmentor, a prompt generator and a refiner, trained in any of the three phases.

    A phase is a config: phase 1 has no prompt generator and no refiner; phase 2 reads its coarse result from
    out-of-fold predictions (`PrecomputedCoarse`); phase 3 has all of them, and the refined loss flows back through the
    prompts into the coarse network.

    Args:
        coarse (dict): Config of any mmseg segmentor, or of `PrecomputedCoarse`.
        coarse_input (dict): `InputProfile` of the coarse network.
        prompt_generator (dict, optional): Config of a prompt generator.
        refiner (dict, optional): Config of a refiner.
        object_splitter (dict, optional): Config of an object splitter, which gives every lesion of a class prompts of
            its own. None makes one set of prompts a class.
        losses (list[dict]): Configs of stage losses; they are added up.
        regularizers (list[dict]): Configs of losses on the weights; they are added too.
        refine_size (tuple[int, int], optional): (H, W) in pixels of the refined logits in training, covering the whole
            image. Prediction is always at the original size. Required with a refiner.
        freeze_coarse (bool): Whether the coarse network keeps its weights. Defaults to False.
        coarse_gradient_scale (float): The gradient of the refined loss that reaches the coarse network is multiplied
            by this, in [0, 1], at the tensor that enters prompts and refiner; that of the coarse loss is not. 0 cuts
            the connection. Defaults to 1.0.
        init_from (dict, optional): Checkpoints of earlier phases, ``dict(coarse=PATH, refiner=PATH)``. A stage named
            here is not initialised in another way; every key has to fit.
        embedding_cache (dict, optional): Arguments of `EmbeddingCache`, such as ``dict(folder='embeddings')``, for a
            refiner with a frozen image encoder. None encodes every image every time.
        data_preprocessor (dict, optional): Defaults to `ImagePreprocessor`.
        init_cfg (dict, optional): mmengine's.

    Raises:
        ValueError: If parts do not fit together: a prompt kind that the refiner does not accept, a loss on a stage that
            is not there, a generator without a refiner, or a coarse network with an auxiliary head (whose loss would
            never be asked for), a splitter or an embedding cache without a refiner, or a cache for one whose
            embeddings change.
    """

    def __init__(
        self,
        coarse: dict,
        coarse_input: dict,
        prompt_generator: dict | None = None,
        refiner: dict | None = None,
        object_splitter: dict | None = None,
        losses: list | tuple = (),
        regularizers: list | tuple = (),
        refine_size: tuple[int, int] | None = None,
        freeze_coarse: bool = False,
        coarse_gradient_scale: float = 1.0,
        init_from: dict | None = None,
        embedding_cache: dict | None = None,
        data_preprocessor: dict | None = None,
        init_cfg: dict | None = None,
    ):
        super().__init__(data_preprocessor or dict(type='ImagePreprocessor'), init_cfg)
        self.coarse_input = InputProfile(**coarse_input)
        self.coarse = MODELS.build(coarse)
        self.prompt_generator = None if prompt_generator is None else PROMPT_GENERATORS.build(prompt_generator)
        self.refiner = None if refiner is None else REFINERS.build(refiner)
        self.object_splitter = None if object_splitter is None else OBJECT_SPLITTERS.build(object_splitter)
        self.losses = torch.nn.ModuleList(STAGE_LOSSES.build(loss) for loss in losses)
        self.regularizers = torch.nn.ModuleList(REGULARIZERS.build(regularizer) for regularizer in regularizers)
        self.coarse_gradient_scale = coarse_gradient_scale
        self.refine_size = refine_size
        self.init_from = dict(init_from or {})
        self.embedding_cache = None if embedding_cache is None else EmbeddingCache(**embedding_cache)
        self._check_parts()
        if freeze_coarse:
            freeze(self.coarse)
        if self.refiner is not None:
            judges = [type(loss).__name__ for loss in self.losses if loss.stage == 'refined' and loss.reads_quality]
            if judges and not self.refiner.predicts_quality:
                raise ValueError(
                    f'CoarseToFine: {", ".join(judges)} reads the predicted IoU, and {type(self.refiner).__name__} '
                    'predicts none; drop the loss from model.losses, or take a refiner that does (predicts_quality)'
                )
            self.refiner.freeze_unused(self.prompt_generator.produces, bool(judges))

    def init_weights(self) -> None:
        """Initialise each stage: from the checkpoint of an earlier phase, or in its own way.

        Raises:
            FileNotFoundError: If a checkpoint is absent.
            ValueError: If its weights, or its input profile, do not fit.
        """
        if self._is_init:
            return
        for stage in ('coarse', 'refiner'):
            module, source = getattr(self, stage), self.init_from.get(stage)
            if module is None:
                continue
            if source is None:
                module.init_weights()
                continue
            checkpoint = read_checkpoint(
                source, f'it is what an earlier phase makes: run that first, or set model.init_from.{stage}=None'
            )
            check_input_profiles(checkpoint, {stage: self.input_profiles().get(stage)}, source)
            partial = checkpoint.get('meta', {}).get(PARTIAL_KEY)
            if partial is not None:
                module.init_weights()
                frozen = {name: value for name, value in partial['frozen'].items() if name.startswith(f'{stage}.')}
                check_base(self.state_dict(), frozen, source)
            load_strictly(module, stage_state_dict(checkpoint, stage, source), source, optional=partial is not None)
        self._is_init = True

    def run(self, images: list[Tensor], data_samples: list | None, size: tuple[int, int] | None) -> Stages:
        """One pass through all stages.

        Args:
            images (list[Tensor]): N images (3, H_i, W_i), RGB, uint8, at their original sizes.
            data_samples (list[SegDataSample], optional): For a coarse result that was loaded with the images.
            size (tuple[int, int], optional): (H, W) in pixels of the refined logits.
        """
        coarse = self.run_coarse(images, data_samples)
        if self.refiner is None:
            return Stages(coarse)
        self._tell_truth(data_samples)
        objects = self.split_objects(coarse)
        prompts = self.prompt_generator(objects, images)
        refined = self.refine(self.encode_image(images), objects, prompts, size)
        return Stages(coarse, prompts, refined)

    def encode_image(self, images: list[Tensor]) -> ImageEmbedding:
        """What the refiner sees of N images (3, H_i, W_i), from the cache where there is one."""
        if self.embedding_cache is None:
            return self.refiner.encode_image(images)
        return self.embedding_cache.get_or_encode(self.refiner, images)

    def split_objects(self, coarse: SegOutput) -> SegOutput:
        """What is refined: the coarse result with its gradient scaled and, with a splitter, one slot an object.

        Args:
            coarse (SegOutput): Logits (N, K, h, w).

        Returns:
            SegOutput: Logits (N, K, h, w), or (N, K * C, h, w) with an object splitter.
        """
        objects = coarse._replace(logits=scale_gradient(coarse.logits, self.coarse_gradient_scale))
        return objects if self.object_splitter is None else self.object_splitter.split(objects)

    def refine(self, embedding: ImageEmbedding, objects: SegOutput, prompts: Prompts, size: tuple) -> SegOutput:
        """The refiner's result, with the coarse one where there was nothing to refine.

        Args:
            embedding (ImageEmbedding): From the refiner's ``encode_image``.
            objects (SegOutput): From `split_objects`.
            prompts (Prompts): Made from them.
            size (tuple[int, int]): (H, W) in pixels of the refined logits.

        Returns:
            SegOutput: One slot a class, logits (N, K, H, W).
        """
        refined = self.refiner.decode(embedding, objects, prompts, size)
        refined = keep_coarse_where_invalid(refined, objects, prompts.valid)
        return refined if self.object_splitter is None else self.object_splitter.merge(refined, self.num_slots)

    def run_coarse(self, images: list[Tensor], data_samples: list | None = None) -> SegOutput:
        """The coarse stage alone: logits (N, K, h, w) at the coarse network's input size."""
        batch, _ = self.coarse_input.prepare(images)
        return SegOutput(coarse_logits(self.coarse, batch, data_samples))

    def loss(self, inputs: list[Tensor], data_samples: list) -> dict[str, Tensor]:
        """The losses of the phase, one entry each: ``loss_{stage}_{class}``, and ``loss_{class}`` of a regularizer."""
        stages = self.run(inputs, data_samples, self.refine_size)
        labels = [sample.gt_sem_seg.data[0] for sample in data_samples]
        target = StageTarget(labels, num_slots=stages.coarse.logits.shape[1])
        losses = {}
        for loss in self.losses:
            name = f'loss_{loss.stage}_{type(loss).__name__}'
            losses[name] = losses.get(name, 0) + loss(stages, target)
        for regularizer in self.regularizers:
            losses[f'loss_{type(regularizer).__name__}'] = regularizer(self)
        return losses

    def predict(self, inputs: list[Tensor], data_samples: list | None = None) -> list[SegDataSample]:
        """Segment at the original size of each image.

        Returns:
            list[SegDataSample]: Each with ``seg_logits`` (K, H, W) one-vs-rest, ``pred_sem_seg`` (1, H, W) labels (0
            background, k + 1 class k), ``coarse_logits`` (K, H, W), ``coarse_sem_seg`` (1, H, W), and, with a refiner,
            ``prompts`` in the meta information and ``quality``.
        """
        data_samples = data_samples or [SegDataSample() for _ in inputs]
        coarse = self.run_coarse(inputs, data_samples)
        if self.refiner is not None:
            objects = self.split_objects(coarse)
            prompts = self.prompt_generator(objects, inputs)
            embedding = self.encode_image(inputs)
        for i, (image, sample) in enumerate(zip(inputs, data_samples)):
            size = tuple(sample.metainfo.get('ori_shape', image.shape[-2:]))[:2]
            one = slice(i, i + 1)
            coarse_logits = resize_logits(coarse.logits[one], size)[0]
            result = dict(
                coarse_logits=PixelData(data=coarse_logits), coarse_sem_seg=PixelData(data=to_labels(coarse_logits))
            )
            logits = coarse_logits
            if self.refiner is not None:
                self._tell_truth([sample])
                refined = self.refine(embedding[one], objects.select(one), prompts[one], size)
                logits = refined.logits[0]
                sample.set_metainfo(dict(prompts=prompts[one].detach().to('cpu')))
                if refined.quality is not None:
                    sample.set_metainfo(dict(quality=refined.quality[0].tolist()))
            result.update(seg_logits=PixelData(data=logits), pred_sem_seg=PixelData(data=to_labels(logits)))
            sample.set_data(result)
        return data_samples

    def _forward(self, inputs: list[Tensor], data_samples: list | None = None) -> Stages:
        return self.run(inputs, data_samples, self.refine_size)

    def extract_feat(self, inputs: list[Tensor]):
        """The coarse network's features."""
        return self.coarse.extract_feat(self.coarse_input.prepare(inputs)[0])

    def encode_decode(self, inputs: list[Tensor], batch_data_samples: list) -> Tensor:
        """The final logits (N, K, H, W) at ``refine_size``, or at the coarse input size without a refiner."""
        stages = self.run(inputs, batch_data_samples, self.refine_size)
        return (stages.refined or stages.coarse).logits

    def train(self, mode: bool = True) -> CoarseToFine:
        """Switch the mode; what is frozen stays in evaluation mode."""
        super().train(mode)
        keep_frozen_in_eval(self)
        return self

    @property
    def num_slots(self) -> int:
        """int: K, the number of foreground classes that the coarse network makes."""
        channels = self.coarse.out_channels
        return channels if getattr(self.coarse, 'one_vs_rest', False) else max(channels - 1, 1)

    def input_profiles(self) -> dict[str, dict]:
        """How each network wants its image prepared; goes into every checkpoint."""
        profiles = dict(coarse=self.coarse_input.as_dict())
        if self.refiner is not None and self.refiner.input_profile is not None:
            profiles['refiner'] = self.refiner.input_profile.as_dict()
        return profiles

    def _tell_truth(self, data_samples: list | None) -> None:
        """Give the ground truth to a candidate selection that has to know it, and to nothing else."""
        for part in self.refiner.modules():
            if isinstance(part, BaseCandidateSelection) and part.needs_truth:
                known = [sample.gt_sem_seg.data[0] for sample in data_samples or [] if 'gt_sem_seg' in sample]
                part.truth = StageTarget(known, self.num_slots) if known else None

    def _check_parts(self) -> None:
        if (self.prompt_generator is None) != (self.refiner is None):
            raise ValueError(
                'CoarseToFine: prompt_generator and refiner come together; give both, or neither for phase 1'
            )
        if getattr(self.coarse, 'with_auxiliary_head', False):
            raise ValueError(
                'CoarseToFine: the coarse network has an auxiliary head, whose loss is never asked for and '
                'which would stall distributed training; set auxiliary_head=None in its config'
            )
        if self.coarse_input.keep_ratio:
            raise ValueError(
                'CoarseToFine: coarse_input.keep_ratio is True, but coarse logits have to cover the whole image, '
                'without padding; set it to False'
            )
        if not 0 <= self.coarse_gradient_scale <= 1:
            raise ValueError(
                f'CoarseToFine: coarse_gradient_scale is {self.coarse_gradient_scale}, expected a number in [0, 1]'
            )
        unknown = self.init_from.keys() - {'coarse', 'refiner'}
        if unknown:
            raise ValueError(f"CoarseToFine: init_from has {sorted(unknown)}, expected 'coarse' and 'refiner'")
        for loss in self.losses:
            if loss.stage == 'refined' and self.refiner is None:
                raise ValueError(
                    f"CoarseToFine: {type(loss).__name__} reads the stage 'refined', but there is no refiner"
                )
        if self.refiner is None:
            for name in ('object_splitter', 'embedding_cache'):
                if getattr(self, name) is not None:
                    raise ValueError(f'CoarseToFine: {name} serves the refiner, but there is none; set {name}=None')
            return
        if self.embedding_cache is not None:
            self.embedding_cache.check(self.refiner)
        missing = self.prompt_generator.produces - self.refiner.accepts
        if missing:
            raise ValueError(
                f'CoarseToFine: {type(self.prompt_generator).__name__} produces {sorted(missing)}, which '
                f'{type(self.refiner).__name__} does not accept (it accepts {sorted(self.refiner.accepts)})'
            )
        if not isinstance(self.refine_size, (list, tuple)) or len(self.refine_size) != 2:
            raise ValueError(
                f'CoarseToFine: refine_size is {self.refine_size!r}; with a refiner, give the (H, W) in pixels of the '
                'refined logits in training'
            )
        self.refine_size = tuple(self.refine_size)


def coarse_logits(coarse: torch.nn.Module, batch: Tensor, data_samples: list | None = None) -> Tensor:
    """What a coarse network says of a prepared batch.

    Args:
        coarse (nn.Module): An mmseg segmentor, or a `PrecomputedCoarse`.
        batch (Tensor): (N, C, h, w), prepared as it wants it.
        data_samples (list[SegDataSample], optional): For a coarse result that was loaded with the images.

    Returns:
        Tensor: (N, K, h, w) one-vs-rest logits, at least in float32.
    """
    logits = coarse(batch, data_samples, mode='tensor')
    # Under autocast in half precision; differences of logits, prompts and losses want more.
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    # Resized before they are converted, as mmseg does in its own prediction.
    logits = resize_logits(logits, batch.shape[-2:])
    return logits if getattr(coarse, 'one_vs_rest', False) else one_vs_rest(logits)


def keep_coarse_where_invalid(refined: SegOutput, coarse: SegOutput, valid: Tensor | None) -> SegOutput:
    """Put the coarse logits where there was nothing to refine.

    Args:
        refined (SegOutput): Logits (N, K, H, W).
        coarse (SegOutput): Logits (N, K, h, w).
        valid (Tensor, optional): (N, K) bool; None keeps every refined mask.
    """
    if valid is None or bool(valid.all()):
        return refined
    kept = resize_logits(coarse.logits, refined.logits.shape[-2:])
    return refined._replace(logits=torch.where(valid[..., None, None], refined.logits, kept))


def to_labels(logits: Tensor) -> Tensor:
    """One-vs-rest logits (K, H, W) to a label map (1, H, W): the most probable class above 0.5, else background."""
    best, index = logits.max(dim=0, keepdim=True)
    return torch.where(best > 0, index + 1, 0)
