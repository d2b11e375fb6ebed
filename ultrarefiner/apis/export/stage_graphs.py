"""The stages of a model as three plain networks of tensors, which `torch.export` and ONNX can hold.

Letters as in `SAMRefiner`: N images, K slots, g cells a side of the image embedding, S pixels a side of SAM's input.
"""

from __future__ import annotations

import copy
import functools
from dataclasses import dataclass

import torch
from segment_anything.modeling import PromptEncoder
from torch import Tensor, nn

from ...models.refiners import SAMRefiner
from ...models.refiners.image_encoder import WindowAttention
from ...models.refiners.sam_decoding import select_candidate
from ...models.refiners.sam_prompts import crop_masks
from ...models.segmentors import CoarseToFine, PrecomputedCoarse
from ...models.segmentors.coarse_to_fine import coarse_logits
from ...structures import ImageEmbedding, SegOutput

COARSE, ENCODER, DECODER = 'coarse', 'image_encoder', 'decoder'
# Of the largest value of an output, if that is above 1.
TOLERANCE = 1e-3


@dataclass(frozen=True)
class StageGraph:
    """A network with example inputs; the first dimension of every input and output is the number of images.

    Args:
        module (nn.Module): Takes the inputs in their order, and gives a tensor or a dict of tensors.
        inputs (dict[str, Tensor]): By name, of two images.
        outputs (dict[str, Tensor]): What it gives for them, by name.
    """

    module: nn.Module
    inputs: dict[str, Tensor]
    outputs: dict[str, Tensor]

    @property
    def parameters(self) -> int:
        """int: How many numbers it holds."""
        return sum(value.numel() for value in self.module.state_dict().values())

    def of_images(self, count: int) -> dict[str, Tensor]:
        """The inputs of another number of images, one of the two as often as needed."""
        repeats = -(-count // 2)
        return {name: value.repeat(repeats, *[1] * (value.ndim - 1))[-count:] for name, value in self.inputs.items()}

    @torch.no_grad()
    def run(self, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        """The outputs by name."""
        return self.module(*inputs.values())

    def differences(self, inputs: dict[str, Tensor], given: dict[str, Tensor], file: str) -> dict[str, float]:
        """How far what an exported file gives is from what the network gives.

        Args:
            inputs (dict[str, Tensor]): Of both.
            given (dict[str, Tensor]): The outputs of the file, by name.
            file (str): Its name, for the message.

        Returns:
            dict[str, float]: The largest difference by output.

        Raises:
            ValueError: If one is more than rounding makes.
        """
        differences = {}
        for name, expected in self.run(inputs).items():
            difference = (given[name].double() - expected.double()).abs().max().item()
            if not difference <= TOLERANCE * max(1.0, expected.double().abs().max().item()):
                raise ValueError(
                    f'{file} gives {name} that are off by {difference:.2g}, expected rounding errors; nothing was '
                    'written. Hand the model on with --format package, and tell the maintainers what '
                    'tools/misc/collect_env.py prints'
                )
            differences[name] = difference
        return differences


def stage_graphs(model: CoarseToFine, source: str) -> dict[str, StageGraph]:
    """Take a model apart; it stays as it is.

    Args:
        model (CoarseToFine): On the CPU, in evaluation mode.
        source (str): Where it comes from, for messages.

    Returns:
        dict[str, StageGraph]: 'coarse', and with a refiner 'image_encoder' and 'decoder'.

    Raises:
        ValueError: If the model has a part that no such graph can hold.
    """
    check_exportable(model, source)
    generator = torch.Generator().manual_seed(0)
    draw = functools.partial(torch.randn, generator=generator)
    profile = model.coarse_input
    pixels = draw(2, 1 if profile.grey else 3, *profile.size)
    graphs = {COARSE: _graph(CoarseGraph(model.coarse), pixels=pixels)}
    if model.refiner is None or model.prompt_generator is None:
        return graphs
    refiner = plain_refiner(model.refiner)
    size = refiner.input_profile.size
    graphs[ENCODER] = _graph(EncoderGraph(refiner.image_encoder), pixels=draw(2, 3, *size))
    embedding = graphs[ENCODER].outputs['embedding']
    # The decoder has no use for the image encoder, and an exported graph would carry its weights.
    del refiner.image_encoder
    # A blob in each image, with some noise: something to refine.
    blobs = draw(2, model.num_slots, 5, 5) + torch.eye(5)[2] * 4 - 2
    logits = nn.functional.interpolate(blobs, profile.size, mode='bilinear')
    content = torch.tensor([size, size])
    decoder = DecoderGraph(model.prompt_generator, refiner)
    graphs[DECODER] = _graph(decoder, embedding=embedding, coarse_logits=logits, content=content)
    return graphs


def _graph(module: nn.Module, **inputs: Tensor) -> StageGraph:
    with torch.no_grad():
        return StageGraph(module.eval(), inputs, module(*inputs.values()))


def check_exportable(model: CoarseToFine, source: str) -> None:
    """Refuse what cannot be a graph of tensors.

    Raises:
        ValueError: If the model is not on the CPU, the coarse results are stored ones, the refiner is another than a
            plain `SAMRefiner`, objects are split, or the selection reads the ground truth.
    """
    refiner, package = model.refiner, 'such a model can be handed on with --format package'
    if model.data_preprocessor.device.type != 'cpu':
        raise ValueError(f"{source} is on {model.data_preprocessor.device}, expected the CPU: model.to('cpu')")
    if isinstance(model.coarse, PrecomputedCoarse):
        raise ValueError(
            f'{source} was trained on stored coarse predictions and has no coarse network; give one that was trained, '
            'with --coarse and a checkpoint of phase 1 or 3'
        )
    if refiner is not None and type(refiner) is not SAMRefiner:
        raise ValueError(f'{source} has a {type(refiner).__name__}, expected a SAMRefiner without a wrapper; {package}')
    if model.object_splitter is not None:
        raise ValueError(
            f'{source} has an object splitter, {type(model.object_splitter).__name__}, which finds objects by rules '
            f'that are no network; {package}'
        )
    if refiner is not None and refiner.selection.needs_truth:
        raise ValueError(f'{source} selects its masks by the ground truth, which an exported model does not have')


def plain_refiner(refiner: SAMRefiner) -> SAMRefiner:
    """A copy with the adapter merged, whose forward pass makes no choice by time or memory."""
    plain = copy.deepcopy(refiner)
    if plain.adapter is not None:
        plain.adapter.merge(plain.image_encoder)
        plain.adapter = None
    plain.image_encoder.activations = 'kept'
    for part in plain.image_encoder.modules():
        if isinstance(part, WindowAttention):
            part.way = 'plain'
    plain.prompt_encoder._embed_points = functools.partial(embed_points, plain.prompt_encoder)
    return plain.requires_grad_(False)


class CoarseGraph(nn.Module):
    """The coarse network."""

    def __init__(self, coarse: nn.Module):
        super().__init__()
        self.coarse = coarse

    def forward(self, pixels: Tensor) -> dict[str, Tensor]:
        """Prepared pixels (N, C, h, w) to ``coarse_logits`` (N, K, h, w), one-vs-rest."""
        return dict(coarse_logits=coarse_logits(self.coarse, pixels))


class EncoderGraph(nn.Module):
    """SAM's image encoder."""

    def __init__(self, image_encoder: nn.Module):
        super().__init__()
        self.image_encoder = image_encoder

    def forward(self, pixels: Tensor) -> dict[str, Tensor]:
        """Prepared pixels (N, 3, S, S) to the ``embedding`` (N, C, g, g)."""
        return dict(embedding=self.image_encoder(pixels))


class DecoderGraph(nn.Module):
    """Prompt generator, prompt encoder, mask decoder and selection."""

    def __init__(self, prompt_generator: nn.Module, refiner: SAMRefiner):
        super().__init__()
        self.prompt_generator = prompt_generator
        self.refiner = refiner

    def forward(self, embedding: Tensor, coarse_logits: Tensor, content: Tensor) -> dict[str, Tensor]:
        """Refine.

        Args:
            embedding (Tensor): (N, C, g, g).
            coarse_logits (Tensor): (N, K, h, w), one-vs-rest, over the whole image.
            content (Tensor): (N, 2) integers, (height, width) in pixels of SAM's input that each image covers.

        Returns:
            dict[str, Tensor]: ``low_res_logits`` (N, K, 4g, 4g) over the padded input, ``predicted_iou`` (N, K),
            ``valid`` (N, K) false where there was nothing to refine, and the prompts that were made of ``points``
            (N, K, P, 2), ``point_labels`` (N, K, P), ``boxes`` (N, K, 4) and ``masks`` (N, K, h', w').
        """
        prompts = self.prompt_generator(SegOutput(coarse_logits), [])
        low_res, quality = self.refiner.predict_low_res(
            ImageEmbedding(embedding, content), prompts, coarse_logits.shape[1]
        )
        result = select_candidate(
            self.refiner.selection,
            low_res,
            quality,
            crop=lambda masks: crop_masks(masks, content, self.refiner.prompt_encoder),
            enlarge=lambda masks: masks,
        )
        valid = torch.ones_like(quality[..., 0], dtype=torch.bool) if prompts.valid is None else prompts.valid
        made = dict(low_res_logits=result.logits, predicted_iou=result.quality, valid=valid)
        made |= {name: getattr(prompts, name) for name in ('points', 'point_labels', 'boxes', 'masks')}
        return {name: value for name, value in made.items() if value is not None}


def embed_points(encoder: PromptEncoder, points: Tensor, labels: Tensor, pad: bool) -> Tensor:
    """`segment_anything`'s ``PromptEncoder._embed_points`` without indexing by conditions, whose shapes depend on data.

    Args:
        encoder (PromptEncoder): SAM's.
        points (Tensor): (B, P, 2), (x, y) in pixels of the input.
        labels (Tensor): (B, P) integers: 1 object, 0 background, -1 padding.
        pad (bool): Whether to add a padding point, as SAM does where there is no box.

    Returns:
        Tensor: (B, P, C), or (B, P + 1, C) with padding.
    """
    points = points + 0.5
    if pad:
        points = torch.cat([points, points.new_zeros(points.shape[0], 1, 2)], dim=1)
        labels = torch.cat([labels, labels.new_full((labels.shape[0], 1), -1)], dim=1)
    embedded = encoder.pe_layer.forward_with_coords(points, encoder.input_image_size)
    kind = labels[..., None]
    embedded = torch.where(kind == -1, encoder.not_a_point_embed.weight, embedded)
    for label in (0, 1):
        embedded = embedded + torch.where(kind == label, encoder.point_embeddings[label].weight, 0.0)
    return embedded
