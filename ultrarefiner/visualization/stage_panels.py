"""Stage panels: image, ground truth, coarse mask, prompts and refined mask of one image, side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ..structures import Prompts

PANEL_HEIGHT = 384
HEADER_HEIGHT = 44
FOOTER_HEIGHT = 38
GAP = 6
MARGIN = 12
BACKGROUND = (22, 24, 29)
TEXT = (236, 239, 244)
FAINT_TEXT = (150, 157, 170)
TRUTH = (92, 224, 128)
COARSE = (255, 166, 43)
REFINED = (66, 196, 255)
BOX = (255, 221, 51)
POINTS = {1: (46, 204, 84), 0: (240, 68, 68)}


def draw_stage_panels(
    image: np.ndarray,
    truth: np.ndarray | None = None,
    coarse: np.ndarray | None = None,
    prompts: Prompts | None = None,
    refined: np.ndarray | None = None,
    scores: dict[str, float] | None = None,
    title: str = '',
    class_colours: Sequence[Sequence[int]] | None = None,
) -> np.ndarray:
    """Draw what the stages made of one image; what is None gets no panel.

    Every panel has the same height, with the image scaled to it. The contour of the ground truth is repeated in the
    panels of the masks, so that their errors can be seen.

    Args:
        image (np.ndarray): (H, W, 3) uint8, RGB.
        truth (np.ndarray, optional): (H, W) labels: 0 background, k + 1 class k, 255 not counted.
        coarse (np.ndarray, optional): (H, W) labels.
        prompts (Prompts, optional): Of this image alone, N = 1, on the CPU.
        refined (np.ndarray, optional): (H, W) labels.
        scores (dict[str, float], optional): Dice of 'coarse' and 'refined', for the headers.
        title (str): For the footer, such as the image's name.
        class_colours (Sequence[Sequence[int]], optional): RGB of each foreground class, where there is more than one;
            without it every stage has a colour of its own.

    Returns:
        np.ndarray: (height, width, 3) uint8, RGB.
    """
    scores = scores or {}
    picture = _scale(image)
    size = picture.shape[:2]
    outline = _regions(truth, size, TRUTH, class_colours) if truth is not None else []
    panels = [_with_header(picture, 'Image')]
    if truth is not None:
        panels.append(_with_header(_draw_regions(picture, outline), 'Ground truth', colour=TRUTH))
    if coarse is not None:
        panels.append(_mask_panel(picture, coarse, outline, 'Coarse', COARSE, class_colours, scores.get('coarse')))
    if prompts is not None:
        panels.append(_with_header(_draw_prompts(picture, prompts), 'Prompts', _prompt_note(prompts), BOX))
    if refined is not None:
        panels.append(_mask_panel(picture, refined, outline, 'Refined', REFINED, class_colours, scores.get('refined')))
    return _with_footer(_join(panels), title, scores)


def draw_model_panels(
    image: np.ndarray,
    truth: np.ndarray,
    masks: Mapping[str, tuple[np.ndarray, Sequence[int], float]],
    title: str = '',
) -> np.ndarray:
    """Draw what several models made of one image: image, ground truth, and a panel a mask as `draw_stage_panels` has.

    Args:
        image (np.ndarray): (H, W, 3) uint8, RGB.
        truth (np.ndarray): (H, W) labels, of one class.
        masks (Mapping[str, tuple]): By the heading of its panel, each mask (H, W) of labels, its RGB colour and its
            Dice.
        title (str): For the footer.

    Returns:
        np.ndarray: (height, width, 3) uint8, RGB.
    """
    picture = _scale(image)
    outline = _regions(truth, picture.shape[:2], TRUTH, None)
    panels = [
        _with_header(picture, 'Image'),
        _with_header(_draw_regions(picture, outline), 'Ground truth', colour=TRUTH),
        *[
            _mask_panel(picture, labels, outline, name, colour, None, score)
            for name, (labels, colour, score) in masks.items()
        ],
    ]
    return _with_footer(_join(panels), title, {})


def stack_pictures(pictures: Sequence[np.ndarray]) -> np.ndarray:
    """One picture of several, one below the other; the narrower ones are filled up on the right.

    Args:
        pictures (Sequence[np.ndarray]): Each (height_i, width_i, 3) uint8, RGB.

    Returns:
        np.ndarray: (sum of heights, largest width, 3) uint8, RGB.
    """
    width = max(picture.shape[1] for picture in pictures)
    stacked = np.full((sum(len(picture) for picture in pictures), width, 3), BACKGROUND, dtype=np.uint8)
    top = 0
    for picture in pictures:
        stacked[top : top + len(picture), : picture.shape[1]] = picture
        top += len(picture)
    return stacked


def draw_contours(
    image: np.ndarray, labels: np.ndarray, colours: Sequence[Sequence[int]], width: int = 2
) -> np.ndarray:
    """Draw the contours of a mask on an image, each on a dark rim so that it shows on any image.

    Args:
        image (np.ndarray): (H, W, 3) uint8, RGB.
        labels (np.ndarray): (H, W): 0 background, k + 1 class k, 255 not counted.
        colours (Sequence[Sequence[int]]): RGB of each foreground class.
        width (int): Of the line in pixels. Defaults to 2.

    Returns:
        np.ndarray: (H, W, 3) uint8, RGB.
    """
    return _draw_regions(np.ascontiguousarray(image), _regions(labels, image.shape[:2], None, colours), width)


def _scale(image: np.ndarray) -> np.ndarray:
    height, width = image.shape[:2]
    size = max(round(width * PANEL_HEIGHT / height), 1), PANEL_HEIGHT
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA if height > PANEL_HEIGHT else cv2.INTER_CUBIC)


def _regions(labels: np.ndarray, size: tuple[int, int], colour, class_colours) -> list[tuple[np.ndarray, tuple]]:
    """The smoothly scaled mask (height, width) bool of each class that occurs, with its colour."""
    regions = []
    for label in np.unique(labels):
        if label in (0, 255):
            continue
        mask = cv2.resize((labels == label).astype(np.float32), size[::-1], interpolation=cv2.INTER_LINEAR) > 0.5
        regions.append((mask, tuple(class_colours[label - 1]) if class_colours is not None else colour))
    return regions


def _draw_regions(picture: np.ndarray, regions: list, width: int = 2) -> np.ndarray:
    """Draw the outlines of masks, dark below so that they show on any image."""
    picture = picture.copy()
    outlines = [
        (cv2.findContours(mask.astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)[0], colour)
        for mask, colour in regions
    ]
    for contours, _ in outlines:
        cv2.drawContours(picture, contours, -1, (0, 0, 0), width + 2, cv2.LINE_AA)
    for contours, colour in outlines:
        cv2.drawContours(picture, contours, -1, colour, width, cv2.LINE_AA)
    return picture


def _mask_panel(picture, labels, outline, name, colour, class_colours, score) -> np.ndarray:
    filled = picture.copy()
    regions = _regions(labels, picture.shape[:2], colour, class_colours)
    for mask, fill in regions:
        filled[mask] = (0.62 * picture[mask] + 0.38 * np.array(fill)).astype(np.uint8)
    # The truth goes below: it shows where the mask is wrong.
    return _with_header(
        _draw_regions(filled, outline + regions), name, '' if score is None else f'Dice {score:.3f}', colour
    )


def _draw_prompts(picture: np.ndarray, prompts: Prompts) -> np.ndarray:
    """Draw the mask prompts as heat, boxes as frames, and points as discs with + or -, of every slot that is valid."""
    height, width = picture.shape[:2]
    picture = picture.copy()
    used = slice(None) if prompts.valid is None else prompts.valid[0]
    if prompts.masks is not None and len(prompts.masks[0, used]):
        picture = _draw_heat(picture, prompts.masks[0, used].float().sigmoid().amax(0).numpy())
    scale = np.array([width, height])
    if prompts.boxes is not None:
        for box in prompts.boxes[0, used].float().numpy():
            corners = np.round(box.reshape(2, 2) * scale - 0.5).astype(int)
            for colour, thickness in (((0, 0, 0), 4), (BOX, 2)):
                cv2.rectangle(picture, corners[0].tolist(), corners[1].tolist(), colour, thickness, cv2.LINE_AA)
    if prompts.points is not None:
        points = np.round(prompts.points[0, used].float().numpy() * scale - 0.5).astype(int).reshape(-1, 2)
        for point, label in zip(points.tolist(), prompts.point_labels[0, used].flatten().tolist()):
            if label in POINTS:
                _draw_point(picture, point, label)
    return picture


def _draw_heat(picture: np.ndarray, probability: np.ndarray) -> np.ndarray:
    heat = cv2.resize(probability, picture.shape[1::-1], interpolation=cv2.INTER_LINEAR).clip(0, 1)
    colours = cv2.cvtColor(cv2.applyColorMap((heat * 255).astype(np.uint8), cv2.COLORMAP_INFERNO), cv2.COLOR_BGR2RGB)
    opacity = 0.6 * heat[..., None]
    return ((1 - opacity) * picture + opacity * colours).astype(np.uint8)


def _draw_point(picture: np.ndarray, point: list[int], label: int, radius: int = 9) -> None:
    x, y = point
    cv2.circle(picture, (x, y), radius + 2, (255, 255, 255), -1, cv2.LINE_AA)
    cv2.circle(picture, (x, y), radius, POINTS[label], -1, cv2.LINE_AA)
    arm = radius - 4
    cv2.line(picture, (x - arm, y), (x + arm, y), (255, 255, 255), 2)
    if label == 1:
        cv2.line(picture, (x, y - arm), (x, y + arm), (255, 255, 255), 2)


def _prompt_note(prompts: Prompts) -> str:
    if prompts.valid is not None and not bool(prompts.valid.any()):
        return 'nothing to refine'
    return ', '.join(kind for kind in ('points', 'boxes', 'masks') if kind in prompts.kinds)


def _with_header(picture: np.ndarray, name: str, note: str = '', colour: tuple = TEXT) -> np.ndarray:
    width = picture.shape[1]
    bar = Image.new('RGB', (width, HEADER_HEIGHT), BACKGROUND)
    draw = ImageDraw.Draw(bar)
    draw.rectangle((0, HEADER_HEIGHT - 3, width, HEADER_HEIGHT), fill=colour)
    end = MARGIN + _write(draw, MARGIN, HEADER_HEIGHT - 3, name, TEXT, 20)
    note_width = draw.textlength(note, font=ImageFont.load_default(17))
    if end + MARGIN + note_width <= width - MARGIN:  # a narrow panel shows its name only
        _write(draw, width - MARGIN - note_width, HEADER_HEIGHT - 3, note, colour, 17)
    return np.concatenate([np.asarray(bar), picture])


def _with_footer(picture: np.ndarray, title: str, scores: dict[str, float]) -> np.ndarray:
    bar = Image.new('RGB', (picture.shape[1], FOOTER_HEIGHT), BACKGROUND)
    draw = ImageDraw.Draw(bar)
    _write(draw, MARGIN, FOOTER_HEIGHT, title, FAINT_TEXT, 16)
    if {'coarse', 'refined'} <= set(scores):
        delta = scores['refined'] - scores['coarse']
        text = f'Dice gain {delta:+.3f}'
        colour = TRUTH if delta > 0 else POINTS[0] if delta < 0 else FAINT_TEXT
        _write(
            draw,
            bar.width - MARGIN - draw.textlength(text, ImageFont.load_default(16)),
            FOOTER_HEIGHT,
            text,
            colour,
            16,
        )
    return np.concatenate([picture, np.asarray(bar)])


def _write(draw: ImageDraw.ImageDraw, left: float, height: int, text: str, colour: tuple, size: int) -> float:
    """Write a line centred in a bar of this height; returns its width in pixels."""
    font = ImageFont.load_default(size)
    draw.text((left, height / 2), text, fill=colour, font=font, anchor='lm')
    return draw.textlength(text, font=font)


def _join(panels: list[np.ndarray]) -> np.ndarray:
    gap = np.full((panels[0].shape[0], GAP, 3), BACKGROUND, dtype=np.uint8)
    return np.concatenate([part for panel in panels for part in (panel, gap)][:-1], axis=1)
