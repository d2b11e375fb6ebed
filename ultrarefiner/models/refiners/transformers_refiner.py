"""TransformersRefiner: SAM, SAM-HQ, SAM 2, EdgeTAM and SAM 3's interactive part, as `transformers` implements them."""

from __future__ import annotations

import copy
from pathlib import Path

import torch
from torch import Tensor, nn

from ...interfaces import BaseRefiner
from ...registry import CANDIDATE_SELECTIONS, REFINERS
from ...structures import ImageEmbedding, InputProfile, Prompts, SegOutput
from ...structures.prompts import KINDS
from ...utils.freeze import freeze, is_trainable
from .encoder_mode import set_encoder_mode
from .sam_decoding import select_candidate
from .sam_profiles import sam_profile
from .sam_prompts import crop_masks, nothing_from_absent
from .transformers_architecture import build_model, resolve
from .transformers_weights import read_weights


@REFINERS.register_module()
class TransformersRefiner(BaseRefiner):
    r"""SAM, SAM-HQ, SAM 2, EdgeTAM or the interactive part of SAM 3, made of the models of the `transformers` package.

    With the same weights, image and prompts its masks and predicted IoU are those of the model in `transformers` with
    its processor; a batch gives what its images give one by one.

    Args:
        arch (str | dict, optional): The architecture: a published name (`transformers_published.PUBLISHED`), such as
            'facebook/sam2.1-hiera-tiny'; or sizes by the names that the config classes of `transformers` have,
            ``dict(model_type='sam2', mask_decoder_config=dict(mlp_dim=512))``, over those of ``base`` if given. In
            either ``image_size`` stands for the side in pixels of the input in every part. None takes the architecture
            of ``pretrained``, which has to be there when the model is built unless it is a published name.
        pretrained (str, optional): Weights, read by ``init_weights()``: a folder as ``save_pretrained`` makes it, a
            published name, or ``hf://OWNER/NAME`` for any other on the Hugging Face hub. None starts from random
            weights. What our training saves is loaded with ``init_from``.
        input_profile (str | dict, optional): How the weights want their images: 'sam', 'medsam', 'sam2', 'sam3' or an
            `InputProfile`. Defaults to that of the published weights of the architecture.
        encoder (str | dict): The image encoder is 'frozen', 'trained', or frozen with the adapter of this config, such
            as ``dict(type='LoRAAdapter', target_modules=r'backbone\.blocks\.\d+\.attn\.qkv')`` for SAM 2. Defaults
            to 'frozen'.
        selection (dict, optional): Config of the candidate selection. Defaults to `ArgmaxSelection`.
        local_files_only (bool): Whether a name is looked up among what was downloaded before, and never on the network.
            Defaults to False.
        init_cfg (dict, optional): mmengine's.

    Attributes:
        model (nn.Module): The model of `transformers`.
        adapter (BaseAdapter, optional): What `encoder` built.

    Raises:
        ValueError: If an argument is none of those above, or the profile does not fit the architecture.
        FileNotFoundError: If the architecture has to be read from ``pretrained``, which is not there.
        ImportError: If the architecture needs a newer `transformers`, or timm (EdgeTAM).
    """

    accepts = frozenset(KINDS)
    predicts_quality = True
    input_profile: InputProfile

    def __init__(
        self,
        arch: str | dict | None = None,
        pretrained: str | None = None,
        input_profile: str | dict | None = None,
        encoder: str | dict = 'frozen',
        selection: dict | None = None,
        local_files_only: bool = False,
        init_cfg: dict | None = None,
    ):
        super().__init__(init_cfg)
        self.pretrained = pretrained
        self.local_files_only = local_files_only
        self.family, config = resolve(arch, pretrained, local_files_only)
        self.model = build_model(self.family, config)
        self.frame = self.family.frame(self.model)
        name = type(self).__name__
        self.input_profile = sam_profile(input_profile or self.family.profile, self.frame.input_image_size[0], name)
        self.selection = CANDIDATE_SELECTIONS.build(selection or dict(type='ArgmaxSelection'))
        self.adapter = set_encoder_mode(self.model.vision_encoder, encoder, name)

    @property
    def cached_encoder(self) -> nn.Module:
        """nn.Module: The image encoder with its neck; what the decoder makes of its maps comes after."""
        return self.model.vision_encoder

    def encode_image(self, images: list[Tensor]) -> ImageEmbedding:
        """See the images; without an autograd graph when nothing in the encoder takes gradient.

        Args:
            images (list[Tensor]): N images (3, H_i, W_i), RGB, uint8, at their original sizes.

        Returns:
            ImageEmbedding: Features (N, C, g, g), and the levels that the decoder of the architecture reads.
        """
        batch, content = self.input_profile.prepare(images)
        with torch.set_grad_enabled(torch.is_grad_enabled() and is_trainable(self.model.vision_encoder)):
            features, levels = self.family.see(self.model, batch)
        return ImageEmbedding(features, content, levels)

    def decode(
        self, embedding: ImageEmbedding, coarse: SegOutput, prompts: Prompts, size: tuple[int, int]
    ) -> SegOutput:
        """Make the candidates of each slot, select, and resize to the image.

        Args:
            embedding (ImageEmbedding): Of the N images.
            coarse (SegOutput): Read for its number of slots only.
            prompts (Prompts): Normalised coordinates. For a kind that is absent the model's own default stands in.
            size (tuple[int, int]): (H, W) in pixels of the logits wanted, covering the whole image.

        Returns:
            SegOutput: ``logits`` (N, K, H, W), ``quality`` (N, K), ``candidates`` (N, K, M, 4g, 4g) over the whole
            image, ``candidate_quality`` (N, K, M); M is 3, or 1 where the selection wants the single mask.
        """
        content, slots = embedding.content, coarse.logits.shape[1]
        sparse, dense = self.family.embed_prompts(self.model, prompts, content, slots)
        dense = dense + nothing_from_absent(self.model.prompt_encoder, prompts)
        low_res, quality = self.family.decode(
            self.model, embedding, sparse, dense, slots, self.selection.reads_single_mask
        )
        return select_candidate(
            self.selection,
            low_res.unflatten(0, (-1, slots)),
            quality.unflatten(0, (-1, slots)),
            crop=lambda masks: crop_masks(masks, content, self.frame),
            enlarge=lambda masks: self.family.to_image(masks, content, self.frame, size),
        )

    def freeze_unused(self, kinds: frozenset, quality_used: bool) -> None:
        """Freeze what can get no gradient, so that distributed training never waits for it.

        Args:
            kinds (frozenset): The prompt kinds that will be given.
            quality_used (bool): Whether a loss reads the predicted quality.
        """
        unused = self.family.unused(self.model, kinds, self.selection.reads_single_mask)
        unused += [] if quality_used or self.selection.reads_quality else [self.model.mask_decoder.iou_prediction_head]
        for module in unused:
            freeze(module)

    def init_weights(self) -> None:
        """Read the weights; the Runner calls it before training."""
        if self.is_init:
            return
        if self.init_cfg:
            super().init_weights()
        if self.pretrained is not None:
            self.load_pretrained(self.pretrained)
        self.is_init = True

    def load_pretrained(self, source: str) -> None:
        """Load weights from the files of `transformers`.

        Args:
            source (str): A folder or a name, as ``pretrained``.

        Raises:
            FileNotFoundError: If it is not there.
            ValueError: If it does not fit the model.
        """
        state = read_weights(type(self.model), self.model.config, source, self.local_files_only)
        plain_key = str if self.adapter is None else self.adapter.plain_key
        plain = {name: plain_key(name) for name in self.model.state_dict()}
        self.model.load_state_dict(
            {name: state[plain[name]] for name in plain if plain[name] is not None}, strict=False
        )
        if self.adapter is not None:
            self.adapter.restart(self.model.vision_encoder)

    def save_pretrained(self, folder: str | Path) -> None:
        """Write a folder for ``pretrained`` and for `transformers`, with an adapter merged; the refiner stays.

        Args:
            folder (str | Path): Is made if it is absent.
        """
        plain = self.model
        if self.adapter is not None:
            plain = copy.deepcopy(self.model)
            self.adapter.merge(plain.vision_encoder)
        plain.save_pretrained(folder)
