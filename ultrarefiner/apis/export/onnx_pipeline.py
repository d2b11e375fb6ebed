"""Segment an image with a model that was exported to ONNX.

Example:
  python onnx_pipeline.py FOLDER IMAGE OUT.png

Needs numpy, Pillow and onnxruntime, and nothing else: this file can be copied into another program.

Letters: N images, K foreground classes, P points, H, W a size in pixels. Logits are one-vs-rest: the sigmoid of channel
k is the probability of class k + 1. Coordinates are normalised to the image's outer edges, (x, y), x right, y down.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnxruntime
from PIL import Image, ImageOps

RESAMPLING = {'bilinear': Image.Resampling.BILINEAR, 'bicubic': Image.Resampling.BICUBIC}
PROMPTS = ('points', 'point_labels', 'boxes', 'masks')


class Segmentation(NamedTuple):
    """The result for one image.

    Attributes:
        mask: (H, W) uint8: 0 background, k + 1 class k, the most probable above 0.5.
        probabilities: (K, H, W) float32 in [0, 1].
        predicted_iou: (K,) float32 of the refined masks; a regression, which may leave [0, 1]. None without a refiner.
        prompts: By kind, of what the model makes: 'points' (K, P, 2), 'point_labels' (K, P) with 1 object, 0
            background, -1 none, 'boxes' (K, 4) x0, y0, x1, y1, 'masks' (K, h, w) logits over the whole image; and
            'valid' (K,), False where there was nothing to refine and the coarse result stands. None without a refiner.
    """

    mask: np.ndarray
    probabilities: np.ndarray
    predicted_iou: np.ndarray | None
    prompts: dict[str, np.ndarray] | None


class ONNXPipeline:
    """The exported graphs, one after the other, with what comes before and after them.

    Args:
        folder (str | Path): As ``tools/export.py --format onnx`` wrote it.
        providers (list[str], optional): Of onnxruntime, such as ``['CUDAExecutionProvider']``. Defaults to all that the
            installation has, the fastest first.
        threads (int, optional): Of a CPU. Defaults to onnxruntime's choice, all cores.

    Attributes:
        classes (tuple[str, ...]): The background first.
        settings (dict): The content of ``pipeline.json``.

    Raises:
        FileNotFoundError: If a file is missing.
    """

    def __init__(self, folder: str | Path, providers: list[str] | None = None, threads: int | None = None):
        folder = Path(folder)
        if not (folder / 'pipeline.json').is_file():
            raise FileNotFoundError(f'{folder} has no pipeline.json; give a folder of tools/export.py --format onnx')
        self.settings = json.loads((folder / 'pipeline.json').read_text())
        self.classes = tuple(self.settings['classes'])
        self.stages = self.settings['stages']
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or 0
        providers = providers or onnxruntime.get_available_providers()
        self.sessions = {}
        for name, stage in self.stages.items():
            if not (folder / stage['file']).is_file():
                raise FileNotFoundError(f'{folder} has no {stage["file"]}, which its pipeline.json names; export again')
            self.sessions[name] = onnxruntime.InferenceSession(folder / stage['file'], options, providers=providers)

    def __call__(self, image: str | Path | Image.Image | np.ndarray) -> Segmentation:
        """Segment one image.

        Args:
            image (str | Path | Image.Image | np.ndarray): A file, a picture, or (H, W, 3) or (H, W) uint8, RGB or grey.

        Raises:
            TypeError: If an array is not uint8.
        """
        return self.segment([image])[0]

    def segment(self, images: list) -> list[Segmentation]:
        """Segment several images of any sizes, in one batch.

        Args:
            images (list): What a call takes, N of them.
        """
        pictures = [read_image(image) for image in images]
        coarse = self._run('coarse', pixels=self._prepare('coarse', pictures)[0])['coarse_logits']
        if 'decoder' not in self.stages:
            logits = [resize(one, None, picture.shape[:2]) for one, picture in zip(coarse, pictures)]
            return [Segmentation(to_labels(one), sigmoid(one), None, None) for one in logits]
        pixels, content = self._prepare('image_encoder', pictures)
        embedding = self._run('image_encoder', pixels=pixels)['embedding']
        made = self._run('decoder', embedding=embedding, coarse_logits=coarse, content=content)
        return [self._finish(i, picture, pixels, content, coarse, made) for i, picture in enumerate(pictures)]

    def _finish(
        self, i: int, picture: np.ndarray, pixels: np.ndarray, content: np.ndarray, coarse: np.ndarray, made: dict
    ) -> Segmentation:
        size = picture.shape[:2]
        logits = resize(made['low_res_logits'][i], (pixels.shape[-2:], content[i]), size)
        valid = made['valid'][i]
        logits = np.where(valid[:, None, None], logits, resize(coarse[i], None, size))
        prompts = {name: made[name][i] for name in (*PROMPTS, 'valid') if name in made}
        return Segmentation(to_labels(logits), sigmoid(logits), made['predicted_iou'][i], prompts)

    def _prepare(self, stage: str, pictures: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """The input (N, C, h, w) of a stage, and (N, 2) the (height, width) of it that each image covers."""
        prepared = [prepare(picture, self.stages[stage]['input_profile']) for picture in pictures]
        pixels, content = zip(*prepared)
        return np.stack(pixels), np.array(content, dtype=np.int64)

    def _run(self, stage: str, **inputs: np.ndarray) -> dict[str, np.ndarray]:
        names = list(self.stages[stage]['outputs'])
        return dict(zip(names, self.sessions[stage].run(names, inputs)))


def read_image(image: str | Path | Image.Image | np.ndarray) -> np.ndarray:
    """An image as (H, W, 3) uint8, RGB."""
    if isinstance(image, np.ndarray):
        if image.dtype != np.uint8:
            raise TypeError(f'the image is {image.dtype}, expected uint8, from 0 to 255')
        image = Image.fromarray(image)
    elif not isinstance(image, Image.Image):
        with Image.open(image) as file:
            image = ImageOps.exif_transpose(file)
    if image.mode.startswith(('I', 'F')):
        raise TypeError(f'the image has the mode {image.mode}, expected 8 bits a channel; choose a grey window first')
    return np.asarray(image.convert('L' if image.mode == 'LA' else 'RGB').convert('RGB'))


def prepare(picture: np.ndarray, profile: dict) -> tuple[np.ndarray, tuple[int, int]]:
    """What a network gets of an image.

    Order: resize (antialiased, in 8 bit, as Pillow does), grey if asked, scale values, subtract the mean, divide by the
    deviation, then pad with zeros at the bottom and right.

    Args:
        picture (np.ndarray): (H, W, 3) uint8, RGB.
        profile (dict): 'size', 'keep_ratio', 'grey', 'value_range', 'mean', 'std' and 'interpolation'.

    Returns:
        tuple[np.ndarray, tuple[int, int]]: (C, h, w) float32, and the (height, width) of it that the image covers.
    """
    height, width = profile['size']
    if profile['keep_ratio']:
        rows, columns = picture.shape[:2]
        scale = min(height / rows, width / columns)
        content = max(int(rows * scale + 0.5), 1), max(int(columns * scale + 0.5), 1)
    else:
        content = height, width
    if picture.shape[:2] != content:
        resized = Image.fromarray(picture).resize(content[::-1], RESAMPLING[profile['interpolation']])
        picture = np.asarray(resized)
    pixels = picture.transpose(2, 0, 1).astype(np.float32)
    if profile['grey']:
        luma = np.array([299, 587, 114], dtype=np.float32) / np.float32(1000)
        pixels = (pixels * luma[:, None, None]).sum(0, keepdims=True)
    if profile['value_range'] == 'unit':
        pixels = pixels / np.float32(255)
    elif profile['value_range'] == 'minmax':
        low, high = pixels.min(), pixels.max()
        pixels = (pixels - low) / max(high - low, np.float32(1e-8))
    mean, std = (np.array(profile[name], dtype=np.float32)[:, None, None] for name in ('mean', 'std'))
    pixels = (pixels - mean) / std
    return np.pad(pixels, ((0, 0), (0, height - content[0]), (0, width - content[1]))), content


def resize(logits: np.ndarray, padded: tuple | None, size: tuple[int, int]) -> np.ndarray:
    """Logits at the size of the image, bilinear between the outer edges.

    Args:
        logits (np.ndarray): (K, h, w), over the whole image, or over a padded input.
        padded (tuple, optional): (height, width) of the padded input, and of the part that the image covers.
        size (tuple[int, int]): (H, W).

    Returns:
        np.ndarray: (K, H, W) float32.
    """
    matrices = []
    for axis, wanted in enumerate(size):
        rows = np.eye(logits.shape[1 + axis], dtype=np.float32)
        if padded is not None:
            rows = _interpolate(rows, padded[0][axis])[:, : padded[1][axis]]
        matrices.append(_interpolate(rows, wanted))
    return matrices[0].T @ logits @ matrices[1]


def _interpolate(rows: np.ndarray, wanted: int) -> np.ndarray:
    """Rows (A, length) at another length (A, wanted), linearly; pixel i of L is centred at (i + 0.5) / L."""
    length = rows.shape[1]
    position = np.maximum((np.arange(wanted) + 0.5) * (length / wanted) - 0.5, 0)
    before = np.minimum(position.astype(int), length - 1)
    after = np.minimum(before + 1, length - 1)
    share = (position - before).astype(np.float32)
    return rows[:, before] * (1 - share) + rows[:, after] * share


def sigmoid(logits: np.ndarray) -> np.ndarray:
    """Probabilities of logits, without overflow."""
    return (0.5 + 0.5 * np.tanh(0.5 * logits)).astype(np.float32)


def to_labels(logits: np.ndarray) -> np.ndarray:
    """Logits (K, H, W) to (H, W) uint8: the most probable class above 0.5, else 0."""
    return np.where(logits.max(0) > 0, logits.argmax(0) + 1, 0).astype(np.uint8)


def main() -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(description='Segment an image with a model that was exported to ONNX.')
    parser.add_argument('folder', type=Path, help='as tools/export.py --format onnx wrote it')
    parser.add_argument('image', type=Path)
    parser.add_argument('out', type=Path, help='PNG to write: 0 and 255, or the labels of several classes')
    args = parser.parse_args()
    try:
        pipeline = ONNXPipeline(args.folder)
        result = pipeline(args.image)
    except (OSError, TypeError) as error:
        print(f'error: {error}', file=sys.stderr)
        return 2
    factor = 255 if len(pipeline.classes) == 2 else 1
    args.out.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(result.mask * np.uint8(factor)).save(args.out)
    for k, name in enumerate(pipeline.classes[1:]):
        iou = '' if result.predicted_iou is None else f', predicted IoU {result.predicted_iou[k]:.3f}'
        print(f'{name}: {(result.mask == k + 1).mean():.2%} of the image{iou}')
    return 0


if __name__ == '__main__':
    sys.exit(main())
