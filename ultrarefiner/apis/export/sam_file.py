"""The SAM of a trained model as a file of its own, for every program that knows SAM."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import torch

from ...models.refiners import SAMRefiner, TransformersRefiner
from ...models.refiners.sam_architecture import PUBLISHED, SAMArchitecture
from ...models.refiners.sam_prompts import pad_masks
from ...models.segmentors import CoarseToFine
from ...structures import Prompts
from ...utils.whole_file import whole_file
from ...utils.whole_folder import whole_folder

# In a folder for `transformers`, whose own files tell it from no other model.
FACTS_FILE = 'ultrarefiner.json'
# What SamPredictor has to be told to do the same.
SELECTIONS = dict(
    ArgmaxSelection=': multimask_output=True, and the mask of the highest predicted IoU',
    SingleMaskSelection=': multimask_output=False',
    SoftmaxSelection=': multimask_output=True, return_logits=True, and the mean of the logits weighted by '
    'softmax(predicted IoU / {temperature})',
)


def write_sam(model: CoarseToFine, path: str | Path, source: str, force: bool = False) -> list[str]:
    """Write the weights in the format of the published SAM, with an adapter merged into them.

    Of a `SAMRefiner` it is a file for ``segment_anything.sam_model_registry``, and beside it a JSON file with the
    architecture, the input profile and what the weights were trained on. Of a `TransformersRefiner` it is a folder for
    ``from_pretrained`` of `transformers`, with ``ultrarefiner.json`` in it.

    Args:
        model (CoarseToFine): From `init_model`.
        path (str | Path): The file, or the folder, to make.
        source (str): Where the model comes from, for messages.
        force (bool): Whether to replace an earlier export. Defaults to False.

    Returns:
        list[str]: What a user has to know to use it, a line each.

    Raises:
        FileExistsError: If the file is there already, or with `force` one that is no earlier export.
        ValueError: If the model has no SAM, or several.
    """
    path, refiner = Path(path), sam_of(model, source)
    selection = type(refiner.selection).__name__
    temperature = getattr(refiner.selection, 'temperature', None)
    how = SELECTIONS.get(selection, '').format(temperature=temperature)
    notes = [
        f'its images have to be prepared as {refiner.input_profile}',
        f'of its candidates the refiner makes one mask by {selection}{how}',
    ]
    if refiner is not model.refiner:
        notes.append(
            f'what {type(model.refiner).__name__} does around the SAM is not in it: the masks are those of the SAM '
            'alone; --format package keeps the whole'
        )
    facts: dict = dict(
        input_profile=refiner.input_profile.as_dict(),
        selection=dict(type=selection) | ({} if temperature is None else dict(temperature=temperature)),
        classes=list(model.dataset_meta['classes']),
        provenance=model.provenance,
    )
    if isinstance(refiner, TransformersRefiner):
        with whole_folder(path, FACTS_FILE, force) as partial:
            refiner.save_pretrained(partial)
            (partial / FACTS_FILE).write_text(json.dumps(facts, indent=1))
        name = type(refiner.model).__name__
        return [f'open it with transformers.{name}.from_pretrained({str(path)!r})', *notes]
    sidecar = path.with_suffix('.json')
    if path.suffix == sidecar.suffix:
        raise ValueError(f'{path} ends in .json, where the facts about the weights go; give a name such as sam.pth')
    _check_replaceable(path, sidecar, force)
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as partial:
        torch.save({name: value.cpu() for name, value in refiner.plain_state_dict().items()}, partial)
    published = registry_name(refiner)
    facts = dict(registry=published, architecture=vars(refiner.architecture), **facts)
    with whole_file(sidecar) as partial:
        partial.write_text(json.dumps(facts, indent=1))
    if published is None:
        opened = f'a segment_anything.modeling.Sam of these sizes takes it: {refiner.architecture}'
    else:
        opened = f'open it with segment_anything.sam_model_registry[{published!r}](checkpoint={str(path)!r})'
    return [opened, *notes, f'{sidecar} says the same to programs']


def _check_replaceable(path: Path, sidecar: Path, force: bool) -> None:
    """Refuse files that are there, unless replacing is wanted and both are of an earlier export.

    Raises:
        FileExistsError: If one may not be replaced.
    """
    there = [file for file in (path, sidecar) if os.path.lexists(file)]
    if there and not force:
        raise FileExistsError(f'{there[0]} exists; give --force to replace it, or another --out')
    if there and not _is_facts(sidecar):
        raise FileExistsError(
            f'{there[0]} is no earlier export of this format ({sidecar.name} beside it would say so), so --force does '
            'not replace it; give another --out'
        )


def _is_facts(sidecar: Path) -> bool:
    try:
        facts = json.loads(sidecar.read_text())
    except (OSError, ValueError):
        return False
    return isinstance(facts, dict) and {'registry', 'architecture', 'input_profile'} <= facts.keys()


def sam_of(model: CoarseToFine, source: str) -> SAMRefiner | TransformersRefiner:
    """The SAM among the refiner and what it wraps.

    Raises:
        ValueError: If there is none, or more than one.
    """
    found = [part for part in model.modules() if isinstance(part, (SAMRefiner, TransformersRefiner))]
    if len(found) == 1:
        return found[0]
    if model.refiner is None:
        raise ValueError(f'{source} has no refiner, it is of phase 1; give a checkpoint of phase 2 or 3')
    name = type(model.refiner).__name__
    raise ValueError(
        f'the refiner of {source}, {name}, holds {len(found)} SAM, expected one, alone or in a wrapper; hand it '
        'on with --format package'
    )


def registry_name(refiner: SAMRefiner) -> str | None:
    """The name that the architecture has in ``segment_anything.sam_model_registry``; None for other sizes."""
    for name in PUBLISHED:
        if refiner.architecture == SAMArchitecture.from_config(name):
            return name
    return None


def predictor_arguments(refiner: SAMRefiner, prompts: Prompts, size: tuple[int, int], slot: int = 0) -> dict:
    """Our prompts for one slot of one image as the arguments of ``segment_anything.SamPredictor.predict``.

    The masks that it gives, with the selection of the refiner, make the mask of the `SAMRefiner`. `SamPredictor`
    prepares images in SAM's own way, so it fits an ``input_profile='sam'``.

    Args:
        refiner (SAMRefiner): For the frame of mask prompts.
        prompts (Prompts): Of one image (N = 1), normalised.
        size (tuple[int, int]): (H, W) in pixels of the image.
        slot (int): Which of the K slots. Defaults to 0.

    Returns:
        dict: ``point_coords`` (P, 2), ``point_labels`` (P,), ``box`` (4,) in pixels of the image and ``mask_input``
        (1, 4g, 4g) logits, of what there is; and ``multimask_output`` for the refiner's selection.
    """
    prompts = prompts.detach().to('cpu')
    content = torch.tensor([refiner.input_profile.content_size(*size)])
    # SamPredictor multiplies by the scale to its input and adds half a pixel of that.
    sides = np.array(size[::-1])
    half = 0.5 * sides / content[0].flip(0).numpy()

    def in_pixels(coordinates: torch.Tensor) -> np.ndarray:
        return coordinates.double().numpy() * sides - half

    arguments: dict = dict(multimask_output=not refiner.selection.reads_single_mask)
    if prompts.points is not None and prompts.point_labels is not None:
        labels = prompts.point_labels[0, slot]
        arguments.update(
            point_coords=in_pixels(prompts.points[0, slot])[labels.numpy() >= 0],
            point_labels=labels[labels >= 0].numpy(),
        )
    if prompts.boxes is not None:
        arguments['box'] = in_pixels(prompts.boxes[0, slot].view(2, 2)).ravel()
    if prompts.masks is not None:
        masks = pad_masks(prompts.masks[:, slot : slot + 1].float(), content, refiner.prompt_encoder)
        arguments['mask_input'] = masks[0].numpy()
    return arguments
