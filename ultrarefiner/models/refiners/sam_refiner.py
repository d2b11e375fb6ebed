"""SAMRefiner: the Segment Anything Model as a refiner."""

from __future__ import annotations

import copy
from pathlib import Path

import torch
from torch import Tensor, nn

from ...interfaces import BaseRefiner
from ...registry import CANDIDATE_SELECTIONS, REFINERS
from ...structures import ImageEmbedding, InputProfile, Prompts, SegOutput
from ...structures.prompts import KINDS
from ...utils.checkpoint import check_input_profiles
from ...utils.freeze import freeze, is_trainable
from .encoder_mode import set_encoder_mode
from .sam_architecture import SAMArchitecture
from .sam_checkpoint import PARTS, fit, read_sam
from .sam_decoding import predict_candidates, select_candidate, to_image_size
from .sam_profiles import sam_profile
from .sam_prompts import crop_masks, embed_positions, embed_prompts, nothing_from_absent


@REFINERS.register_module()
class SAMRefiner(BaseRefiner):
    """SAM or MedSAM, made of the modules of the `segment_anything` package.

    Its state dict has the names of the published files. With the same weights, image and prompts its masks and
    predicted IoU are those of `segment_anything.SamPredictor` with ``multimask_output=True``; a batch gives what its
    images give one by one.

    Args:
        arch (str | dict): 'vit_b', 'vit_l', 'vit_h', or sizes (see `SAMArchitecture`). Defaults to 'vit_b'.
        input_profile (str | dict): How the weights want their images: 'sam', 'medsam', or an `InputProfile`.
            Defaults to 'sam'.
        encoder (str | dict): The image encoder is 'frozen', 'trained', or frozen with the adapter of this config, such
            as ``dict(type='LoRAAdapter', r=4)``. Defaults to 'frozen'.
        activations (str): What the backward pass through the image encoder needs is 'kept', or 'recomputed' in it,
            block by block, in less memory and about a third more time. Defaults to 'kept'.
        checkpoint (str, optional): Weights, read by ``init_weights()``. None starts from random weights.
        selection (dict, optional): Config of the candidate selection. Defaults to `ArgmaxSelection`.
        init_cfg (dict, optional): mmengine's.

    Attributes:
        image_encoder, prompt_encoder, mask_decoder: SAM's parts.
        adapter (BaseAdapter, optional): What `encoder` built.

    Raises:
        ValueError: If an argument is none of those above, or the profile does not fit the architecture.
    """

    accepts = frozenset(KINDS)
    predicts_quality = True
    input_profile: InputProfile

    def __init__(
        self,
        arch: str | dict = 'vit_b',
        input_profile: str | dict = 'sam',
        encoder: str | dict = 'frozen',
        activations: str = 'kept',
        checkpoint: str | None = None,
        selection: dict | None = None,
        init_cfg: dict | None = None,
    ):
        super().__init__(init_cfg)
        self.architecture = SAMArchitecture.from_config(arch)
        self.input_profile = sam_profile(input_profile, self.architecture.image_size, type(self).__name__)
        self.checkpoint = checkpoint
        self.image_encoder, self.prompt_encoder, self.mask_decoder = self.architecture.build(activations)
        self.selection = CANDIDATE_SELECTIONS.build(selection or dict(type='ArgmaxSelection'))
        self.adapter = set_encoder_mode(self.image_encoder, encoder, type(self).__name__)

    @property
    def cached_encoder(self) -> nn.Module:
        """nn.Module: The image encoder."""
        return self.image_encoder

    def encode_image(self, images: list[Tensor]) -> ImageEmbedding:
        """See the images; without an autograd graph when nothing in the encoder takes gradient.

        Args:
            images (list[Tensor]): N images (3, H_i, W_i), RGB, uint8, at their original sizes.

        Returns:
            ImageEmbedding: Features (N, C, g, g), with g = image_size / patch_size.
        """
        batch, content = self.input_profile.prepare(images)
        with torch.set_grad_enabled(torch.is_grad_enabled() and is_trainable(self.image_encoder)):
            return ImageEmbedding(self.image_encoder(batch), content)

    def decode(
        self, embedding: ImageEmbedding, coarse: SegOutput, prompts: Prompts, size: tuple[int, int]
    ) -> SegOutput:
        """Make the candidates of each slot, select, and resize to the image.

        Args:
            embedding (ImageEmbedding): Of the N images.
            coarse (SegOutput): Read for its number of slots only.
            prompts (Prompts): Normalised coordinates. For a kind that is absent SAM's own default stands in.
            size (tuple[int, int]): (H, W) in pixels of the logits wanted, covering the whole image.

        Returns:
            SegOutput: ``logits`` (N, K, H, W), ``quality`` (N, K), ``candidates`` (N, K, M, 4g, 4g) over the whole
            image, ``candidate_quality`` (N, K, M); M is 3, or 1 where the selection wants the single mask.
        """
        content = embedding.content
        return select_candidate(
            self.selection,
            *self.predict_low_res(embedding, prompts, coarse.logits.shape[1]),
            crop=lambda masks: crop_masks(masks, content, self.prompt_encoder),
            enlarge=lambda masks: to_image_size(masks, content, self.prompt_encoder.input_image_size, size),
        )

    def predict_low_res(self, embedding: ImageEmbedding, prompts: Prompts, slots: int) -> tuple[Tensor, Tensor]:
        """The candidates of each slot as the mask decoder makes them.

        Args:
            embedding (ImageEmbedding): Of the N images.
            prompts (Prompts): Normalised coordinates, of N images and K slots.
            slots (int): K.

        Returns:
            tuple[Tensor, Tensor]: Low-res logits (N, K, M, 4g, 4g) over the padded input, and predicted IoU (N, K, M).
        """
        sparse, dense = embed_prompts(self.prompt_encoder, prompts, embedding.content, slots)
        features = embedding.features.repeat_interleave(slots, dim=0)
        position = embed_positions(self.prompt_encoder)
        sparse = sparse + nothing_from_absent(self.prompt_encoder, prompts)
        single_mask = self.selection.reads_single_mask
        low_res, quality = predict_candidates(self.mask_decoder, features, position, sparse, dense, single_mask)
        return low_res.unflatten(0, (-1, slots)), quality.unflatten(0, (-1, slots))

    def freeze_unused(self, kinds: frozenset, quality_used: bool) -> None:
        """Freeze what can get no gradient, so that distributed training never waits for it.

        Args:
            kinds (frozenset): The prompt kinds that will be given.
            quality_used (bool): Whether a loss reads the predicted quality.
        """
        prompt_encoder, mask_decoder = self.prompt_encoder, self.mask_decoder
        background, foreground, *corners = prompt_encoder.point_embeddings
        # SAM adds the embedding of every point label to the points that have it, so with points all of them take part.
        unused = [] if 'points' in kinds else [background, foreground, prompt_encoder.not_a_point_embed]
        unused += [] if 'boxes' in kinds else corners
        unused += [prompt_encoder.no_mask_embed if 'masks' in kinds else prompt_encoder.mask_downscaling]
        # Of the single mask and the three candidates, one side is never made.
        single, *candidates = mask_decoder.output_hypernetworks_mlps
        unused += candidates if self.selection.reads_single_mask else [single]
        unused += [] if quality_used or self.selection.reads_quality else [mask_decoder.iou_prediction_head]
        for module in unused:
            freeze(module)

    def init_weights(self) -> None:
        """Read the checkpoint; the Runner calls it before training."""
        if self.is_init:
            return
        if self.init_cfg:
            super().init_weights()
        if self.checkpoint is not None:
            self.load_checkpoint(self.checkpoint)
        self.is_init = True

    def load_checkpoint(self, path: str | Path) -> None:
        """Load the published weights, MedSAM's, or what our training saved.

        Args:
            path (str | Path): The file; see `read_sam` for the layouts. One that holds only trained weights is laid
                over the frozen ones that the model has.

        Raises:
            FileNotFoundError: If there is no such file.
            ValueError: If it does not fit the model, or its input profile is not the configured one.
        """
        state, frozen, checkpoint = read_sam(path)
        check_input_profiles(checkpoint, dict(refiner=self.input_profile.as_dict()), str(path))
        own = {name: value for name, value in self.state_dict().items() if name.startswith(PARTS)}
        plain_key = str if self.adapter is None else self.adapter.plain_key
        fitting = fit(state, frozen, own, plain_key, path)
        self.load_state_dict(fitting, strict=False)
        if self.adapter is not None and all(plain_key(name) is not None for name in fitting):
            self.adapter.restart(self.image_encoder)

    def plain_state_dict(self) -> dict[str, Tensor]:
        """The weights by the names of the published files, with an adapter merged into them; the refiner stays."""
        plain = self
        if self.adapter is not None:
            plain = copy.deepcopy(self)
            self.adapter.merge(plain.image_encoder)
        return {name: value for name, value in plain.state_dict().items() if name.startswith(PARTS)}
