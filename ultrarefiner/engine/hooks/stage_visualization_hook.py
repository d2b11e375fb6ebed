"""StageVisualizationHook: pictures of all stages, of every image."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.visualization import BaseVisBackend, LocalVisBackend, Visualizer
from mmseg.structures import SegDataSample
from PIL import Image

from ...evaluation.overlap import overlap
from ...registry import HOOKS
from ...structures.stages import IGNORE_LABEL
from ...utils.result_path import result_path
from ...visualization.stage_panels import draw_stage_panels


@HOOKS.register_module()
class StageVisualizationHook(Hook):
    """Draws image, ground truth, coarse mask, prompts and refined mask side by side.

    Expects `ImagePreprocessor` batches: images as loaded, BGR or grey uint8, at the size of the predictions.

    Args:
        show_dir (str, optional): Folder for a picture of every tested image, ``{dataset}/{name}.png``; with
            ``val_interval`` also of every validated one, under ``epoch_{epoch}``. None saves nothing.
        val_interval (int): Save the validation's pictures every n-th epoch; 0 never does. Defaults to 0.
        tensorboard_images (int): How many of the validation's first images, the same ones every time, go to TensorBoard
            and the visualizer's other backends, at half size, as ``val/{dataset}/{name}``. The local one, which keeps
            every picture as a file, gets none. Defaults to 0.
    """

    def __init__(self, show_dir: str | None = None, val_interval: int = 0, tensorboard_images: int = 0):
        self.show_dir = None if show_dir is None else Path(show_dir)
        self.val_interval = val_interval
        self.tensorboard_images = tensorboard_images
        self._images_shown = 0

    def before_val_epoch(self, runner) -> None:
        """Start counting the images shown."""
        self._images_shown = 0

    def after_val_iter(self, runner, batch_idx: int, data_batch: dict, outputs: Sequence[SegDataSample]) -> None:
        """Draw a batch of the validation, if it is wanted."""
        saves = self.show_dir is not None and self.val_interval > 0 and runner.epoch % self.val_interval == 0
        backends = _remote_backends(runner.visualizer) if is_main_process() else []
        for image, sample in zip(data_batch['inputs'], outputs):
            shows = backends and self._images_shown < self.tensorboard_images
            if not saves and not shows:
                return
            panels = self._draw(runner.val_loop.dataloader.dataset.metainfo, image, sample)
            if shows:
                self._images_shown += 1
                _show(backends, sample.metainfo, panels, runner.epoch)
            if saves:
                _save(panels, result_path(self.show_dir / f'epoch_{runner.epoch}', sample.metainfo))

    def after_test_iter(self, runner, batch_idx: int, data_batch: dict, outputs: Sequence[SegDataSample]) -> None:
        """Draw a batch of the test."""
        if self.show_dir is None:
            return
        for image, sample in zip(data_batch['inputs'], outputs):
            panels = self._draw(runner.test_loop.dataloader.dataset.metainfo, image, sample)
            _save(panels, result_path(self.show_dir, sample.metainfo))

    @staticmethod
    def _draw(dataset_meta: dict, image, sample: SegDataSample) -> np.ndarray:
        truth, coarse = _labels(sample, 'gt_sem_seg'), _labels(sample, 'coarse_sem_seg')
        prompts = sample.metainfo.get('prompts')
        refined = None if prompts is None else _labels(sample, 'pred_sem_seg')
        height, width = image.shape[-2:]
        name = Path(sample.metainfo['img_path']).stem
        classes = len(dataset_meta['classes']) - 1
        return draw_stage_panels(
            np.ascontiguousarray(image.expand(3, -1, -1).cpu().numpy().transpose(1, 2, 0)[..., ::-1]),
            truth,
            coarse,
            prompts,
            refined,
            scores=_dice(truth, dict(coarse=coarse, refined=refined), classes),
            title=' | '.join(filter(None, (sample.metainfo.get('dataset'), name, f'{width} x {height}'))),
            class_colours=dataset_meta['palette'][1:] if classes > 1 else None,
        )


def _labels(sample: SegDataSample, field: str) -> np.ndarray | None:
    return getattr(sample, field).data[0].cpu().numpy() if field in sample else None


def _dice(truth: np.ndarray | None, masks: dict[str, np.ndarray | None], classes: int) -> dict[str, float]:
    """The Dice of each stage's mask, averaged over the classes."""
    if truth is None:
        return {}
    counted = truth != IGNORE_LABEL
    return {
        stage: float(np.mean([overlap(mask == k, truth == k, counted)['Dice'] for k in range(1, classes + 1)]))
        for stage, mask in masks.items()
        if mask is not None
    }


def _remote_backends(visualizer: Visualizer) -> list[BaseVisBackend]:
    return [backend for backend in visualizer._vis_backends.values() if not isinstance(backend, LocalVisBackend)]


def _show(backends: list[BaseVisBackend], meta: dict, picture: np.ndarray, step: int) -> None:
    """Send a picture (height, width, 3) to backends, at half its size: it is kept for every validation."""
    height, width = picture.shape[:2]
    small = cv2.resize(picture, (width // 2, height // 2), interpolation=cv2.INTER_AREA)
    name = '/'.join(filter(None, ('val', meta.get('dataset'), Path(meta['img_path']).stem)))
    for backend in backends:
        backend.add_image(name, small, step=step)


def _save(picture: np.ndarray, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture).save(path)
