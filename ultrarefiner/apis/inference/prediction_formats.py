"""Predictions as files and as the entries of tables: one plain function each."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from ...evaluation.overlap import overlap
from ...utils.count_components import count_components
from ...utils.stage_files import write_mask, write_prompts
from ...utils.whole_file import whole_file
from ...visualization.stage_panels import REFINED, draw_contours, draw_stage_panels
from .prediction import Prediction

COLUMNS = (
    'name',
    'height',
    'width',
    'class',
    'area',
    'area_share',
    'components',
    'predicted_iou',
    'uncertainty/image',
    'uncertainty/mask',
    'change/IoU',
)
PIXELS_PER_LINE_WIDTH = 300


def save_mask(path: Path, prediction: Prediction, palette: Sequence) -> None:
    """The final mask, PNG: 0 and 255 for one class, labels for more."""
    with whole_file(path) as partial:
        write_mask(partial, prediction.mask, len(prediction.probabilities))


def save_coarse(path: Path, prediction: Prediction, palette: Sequence) -> None:
    """The mask of the coarse stage, as the final one."""
    with whole_file(path) as partial:
        write_mask(partial, prediction.coarse_mask, len(prediction.probabilities))


def save_prompts(path: Path, prediction: Prediction, palette: Sequence) -> None:
    """Points and boxes, JSON, see `prompts_to_dict`; nothing without a refiner."""
    if prediction.prompts is not None:
        with whole_file(path) as partial:
            write_prompts(partial, prediction.prompts)


def save_probabilities(path: Path, prediction: Prediction, palette: Sequence) -> None:
    """The probabilities, NumPy, (K, H, W) float32; as `LoadCoarsePrediction` and ``coarse_masks`` read them."""
    with whole_file(path) as partial:
        np.save(partial, prediction.probabilities)


def save_uncertainty(path: Path, prediction: Prediction, palette: Sequence) -> None:
    """The uncertainty, grey PNG: the value over 255 is the entropy in bits."""
    _save_picture(path, np.round(prediction.uncertainty * 255).astype(np.uint8))


def save_overlay(path: Path, prediction: Prediction, palette: Sequence) -> None:
    """The image with the contours of the mask, PNG at its own size."""
    width = max(round(max(prediction.mask.shape) / PIXELS_PER_LINE_WIDTH), 1)
    _save_picture(path, draw_contours(prediction.image, prediction.mask, _colours(palette) or [REFINED], width))


def save_panels(path: Path, prediction: Prediction, palette: Sequence) -> None:
    """Image, coarse mask, prompts and refined mask side by side, PNG."""
    height, width = prediction.mask.shape
    picture = draw_stage_panels(
        np.ascontiguousarray(prediction.image),
        coarse=prediction.coarse_mask,
        prompts=prediction.prompts,
        refined=None if prediction.prompts is None else prediction.mask,
        title=f'{prediction.name} | {width} x {height}',
        class_colours=_colours(palette),
    )
    _save_picture(path, picture)


def table_rows(prediction: Prediction, classes: Sequence[str]) -> list[dict]:
    """A row of ``predictions.csv`` for each foreground class, with the keys `COLUMNS`.

    ``area`` is in pixels, ``area_share`` of the image's; ``components`` counts pieces; ``uncertainty/image`` and
    ``uncertainty/mask`` are means over the image and over the mask; ``change/IoU`` is the IoU of the coarse and the
    mask, 1 where nothing changed. What does not apply is left empty.

    Args:
        prediction (Prediction): Of one image.
        classes (Sequence[str]): The background first.
    """
    rows = []
    height, width = prediction.mask.shape
    for label, name in enumerate(classes[1:], start=1):
        mask = prediction.mask == label
        area = int(np.count_nonzero(mask))
        quality = prediction.predicted_iou
        values = (
            prediction.name,
            height,
            width,
            name,
            area,
            round(area / mask.size, 6),
            count_components(mask),
            None if quality is None else round(float(quality[label - 1]), 6),
            round(float(prediction.uncertainty.mean()), 6),
            round(float(prediction.uncertainty[mask].mean()), 6) if area else None,
            None if prediction.prompts is None else round(overlap(mask, prediction.coarse_mask == label)['IoU'], 6),
        )
        rows.append(dict(zip(COLUMNS, values)))
    return rows


def coco_annotations(prediction: Prediction) -> list[dict]:
    """The annotations of one image in a COCO file, one for each class that was found, without their numbers.

    The mask is exact: run lengths, not compressed. ``score`` is the predicted IoU, where there is one.

    Args:
        prediction (Prediction): Of the image.
    """
    annotations = []
    for slot in range(len(prediction.probabilities)):
        mask = prediction.mask == slot + 1
        area = int(np.count_nonzero(mask))
        if not area:
            continue
        entry = dict(
            category_id=slot + 1,
            segmentation=dict(size=list(mask.shape), counts=run_lengths(mask)),
            area=area,
            bbox=list(cv2.boundingRect(mask.astype(np.uint8))),
            iscrowd=0,
        )
        if prediction.predicted_iou is not None:
            entry['score'] = round(float(prediction.predicted_iou[slot]), 6)
        annotations.append(entry)
    return annotations


def run_lengths(mask: np.ndarray) -> list[int]:
    """COCO's run lengths of a mask (H, W) bool: down the columns, beginning with those of the background."""
    flat = mask.ravel(order='F')
    changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    counts = np.diff(np.concatenate([[0], changes, [flat.size]])).tolist()
    return [0, *counts] if flat[0] else counts


def _colours(palette: Sequence) -> Sequence | None:
    """The colours of the foreground classes where there are several, which have to be told apart."""
    return palette[1:] if len(palette) > 2 else None


def _save_picture(path: Path, pixels: np.ndarray) -> None:
    with whole_file(path) as partial:
        Image.fromarray(pixels).save(partial)
