"""RefinementMetric: how good the coarse and the refined masks are, and what refining changed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log

from ..registry import METRICS as METRIC_REGISTRY
from ..structures.stages import IGNORE_LABEL
from ..utils.count_components import count_components
from ..utils.result_path import result_path
from ..utils.stage_files import write_mask, write_prompts
from .boundary_iou import boundary_iou
from .metric import BOUNDARY, OVERLAP, SURFACE
from .overlap import overlap
from .per_image_csv import count_images, mean_over_classes, mean_over_images, summarise_class
from .surface_distances import NSD_TOLERANCE, surface_distances
from .table import comparison_table, size_table

FIELDS = dict(coarse='coarse_sem_seg', refined='pred_sem_seg')


@METRIC_REGISTRY.register_module()
class RefinementMetric(BaseMetric):
    """Overlap and distance of the masks at the original size, per image, then averaged over the images.

    Gives ``{stage}/{metric}`` for each stage and ``delta/{metric}`` (refined minus coarse, so that a negative change of
    a distance is an improvement), such as ``refined/Dice``. With more than one foreground class these are means over
    the classes, and ``{stage}/{class}/{metric}`` follow. Every class of every image enters the means; `overlap`,
    `surface_distances` and `boundary_iou` state what they give for empty masks.

    ``empty/ground_truth`` and ``empty/{stage}`` count the masks without a pixel; ``missed/{stage}`` those that are
    empty where the ground truth is not, ``invented/{stage}`` the other way round: for both a distance is the diagonal
    of the image. The table of the means is written to the log, and one of each class by the size of its lesions.

    Pixels of the label 255 count in no comparison with the ground truth.

    Args:
        stages (tuple[str, ...]): Of 'coarse' and 'refined'; only ('coarse', ) in phase 1. Defaults to both.
        boundary_metrics (tuple[str, ...]): Of 'HD95', 'ASSD', 'NSD' and 'BoundaryIoU', to measure beside Dice, IoU,
            precision, recall and accuracy; distances are in pixels. They cost more than the others together, the first
            three some milliseconds a mask: leave them to the test. Defaults to none.
        nsd_tolerance (float): Distance in pixels up to which an outline is right for NSD. Defaults to 2.
        csv_path (str, optional): File for the results of each image, sorted by name. The means, counts, and what
            `summarise_class` says on each class go beside it, with the dataset and the hash of its split, under the
            same name with the ending ``.json``. Beside the metrics the columns are areas in pixels,
            ``missed/{stage}`` and ``invented/{stage}`` (0 or 1), ``components/{stage}`` (8-connected parts),
            ``change/IoU`` (of the coarse mask with the refined one, 1 where both are empty) and the predicted IoU.
        notes (dict, optional): What else to say in the ``.json`` file, such as ``dict(guarded=True)``.
        stage_dir (str, optional): Folder for the masks of each image and its prompts, see `utils.stage_files`.
        **kwargs: mmengine's.

    Raises:
        ValueError: If a stage or a metric is unknown, or the tolerance is negative.
    """

    default_prefix = ''

    def __init__(
        self,
        stages: Sequence[str] = ('coarse', 'refined'),
        boundary_metrics: Sequence[str] = (),
        nsd_tolerance: float = NSD_TOLERANCE,
        csv_path: str | None = None,
        notes: dict | None = None,
        stage_dir: str | None = None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.stages = tuple(stages)
        if not self.stages or not set(self.stages) <= set(FIELDS):
            raise ValueError(f'RefinementMetric.stages is {stages!r}, expected some of {tuple(FIELDS)}')
        unknown = sorted(set(boundary_metrics) - set(BOUNDARY))
        if unknown:
            raise ValueError(
                f'RefinementMetric.boundary_metrics has {unknown}, expected some of {tuple(BOUNDARY)}; '
                f'{tuple(OVERLAP)} are always measured'
            )
        if nsd_tolerance < 0:
            raise ValueError(f'RefinementMetric.nsd_tolerance is {nsd_tolerance}, expected a distance in pixels')
        self.metrics = (*OVERLAP, *(name for name in BOUNDARY if name in boundary_metrics))
        self.nsd_tolerance = nsd_tolerance
        self.csv_path = None if csv_path is None else Path(csv_path)
        self.notes = dict(notes or {})
        self.stage_dir = None if stage_dir is None else Path(stage_dir)

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """Measure each image of a batch.

        Args:
            data_batch (dict): Not used.
            data_samples (Sequence[dict]): With ``gt_sem_seg`` and the prediction of each stage, (1, H, W) labels.
        """
        for sample in data_samples:
            truth = _labels(sample['gt_sem_seg'])
            predictions = {stage: _labels(self._field(sample, stage)) for stage in self.stages}
            self.results.append(
                dict(
                    name=Path(sample['img_path']).stem,
                    dataset=sample.get('dataset', ''),
                    classes=self._measure(truth, predictions, sample.get('quality')),
                )
            )
            if self.stage_dir is not None:
                self._write_stages(sample, predictions)

    def compute_metrics(self, results: list[dict]) -> dict[str, float]:
        """Average over the images, write the tables and the files."""
        rows = pd.DataFrame(
            [
                dict(name=result['name'], dataset=result['dataset'], **row)
                for result in sorted(results, key=lambda result: (result['dataset'], result['name']))
                for row in result['classes']
            ]
        )
        means = mean_over_classes(rows)
        counts = {f'empty/{part}': int((rows[f'area/{part}'] == 0).sum()) for part in ('ground_truth', *self.stages)}
        for flag in ('missed', 'invented'):
            counts.update({f'{flag}/{stage}': int(rows[f'{flag}/{stage}'].sum()) for stage in self.stages})
        by_class = {name: rows[rows['class'] == name] for name in self._class_names()}
        summaries = {name: summarise_class(part) for name, part in by_class.items()}
        self._write_log(means, counts, summaries, count_images(rows))
        if self.csv_path is not None:
            self._write_csv(rows)
            self._write_summary(means, counts, summaries, rows)
        if len(by_class) > 1:
            for name, part in by_class.items():
                of_class = mean_over_images(part)
                means.update({column.replace('/', f'/{name}/'): value for column, value in of_class.items()})
        return {**means, **counts}

    def _class_names(self) -> list[str]:
        return list(self.dataset_meta['classes'][1:])

    def _measure(self, truth: np.ndarray, predictions: dict[str, np.ndarray], quality: list | None) -> list[dict]:
        """One row a foreground class; plain Python values only, for they travel between processes."""
        counted = truth != IGNORE_LABEL
        rows = []
        for label, name in enumerate(self._class_names(), start=1):
            true_mask = truth == label
            masks = {stage: prediction == label for stage, prediction in predictions.items()}
            row = {'class': name, 'area/image': truth.size, 'area/ground_truth': int(np.count_nonzero(true_mask))}
            for stage, mask in masks.items():
                row.update({f'{stage}/{key}': value for key, value in self._scores(mask, true_mask, counted).items()})
                row.update(_describe(stage, mask, true_mask, counted))
            if set(masks) == set(FIELDS):
                row.update({f'delta/{key}': row[f'refined/{key}'] - row[f'coarse/{key}'] for key in self.metrics})
                row['change/IoU'] = overlap(masks['refined'], masks['coarse'])['IoU']
            if quality is not None:
                row['predicted_iou'] = float(quality[label - 1])
            rows.append(row)
        return rows

    def _scores(self, mask: np.ndarray, truth: np.ndarray, counted: np.ndarray) -> dict[str, float]:
        scores = overlap(mask, truth, counted)
        if not set(self.metrics).isdisjoint(SURFACE):
            scores.update(surface_distances(mask, truth, counted, tolerance=self.nsd_tolerance))
        if 'BoundaryIoU' in self.metrics:
            scores['BoundaryIoU'] = boundary_iou(mask, truth, counted)
        return {name: scores[name] for name in self.metrics}

    def _write_log(self, means: dict, counts: dict, summaries: dict, images: int) -> None:
        empties = ', '.join(f'{counts[f"empty/{part}"]} {part}' for part in ('ground_truth', *self.stages))
        caption = f'{images} images, empty: {empties}'.replace('ground_truth', 'ground truth')
        tables = [comparison_table(means, caption)]
        tables += [size_table(summary, f'Dice of {name}') for name, summary in summaries.items()]
        print_log('\n' + '\n'.join(tables), logger='current')

    def _write_csv(self, rows: pd.DataFrame) -> None:
        self.csv_path.parent.mkdir(parents=True, exist_ok=True)
        rows.to_csv(self.csv_path, index=False)
        print_log(f'results of each image: {self.csv_path}', logger='current')

    def _write_summary(self, means: dict, counts: dict, summaries: dict, rows: pd.DataFrame) -> None:
        datasets = sorted(rows['dataset'].unique())
        summary = dict(
            dataset='+'.join(datasets),
            # A concatenation has the meta data of its first part only.
            split_sha256=self.dataset_meta.get('split_sha256') if len(datasets) == 1 else None,
            **self.notes,
            subset=self.dataset_meta.get('subset'),
            fold=self.dataset_meta.get('fold'),
            images=count_images(rows),
            means=means,
            counts=counts,
            classes=summaries,
        )
        if 'NSD' in self.metrics:
            summary['nsd_tolerance'] = self.nsd_tolerance
        self.csv_path.with_suffix('.json').write_text(json.dumps(summary, indent=1))

    def _write_stages(self, sample: dict, predictions: dict[str, np.ndarray]) -> None:
        *earlier, last = self.stages
        for folder, stage in [*((stage, stage) for stage in earlier), ('masks', last)]:
            path = result_path(self.stage_dir / folder, sample)
            write_mask(path, predictions[stage], len(self._class_names()))
        if sample.get('prompts') is not None:
            write_prompts(result_path(self.stage_dir / 'prompts', sample).with_suffix('.json'), sample['prompts'])

    @staticmethod
    def _field(sample: dict, stage: str) -> dict:
        if FIELDS[stage] not in sample:
            raise ValueError(
                f"RefinementMetric: the model gives no {FIELDS[stage]}, so the stage '{stage}' cannot be measured; "
                'use a CoarseToFine model, or leave the stage out of `stages`'
            )
        return sample[FIELDS[stage]]


def _labels(pixel_data: dict) -> np.ndarray:
    return pixel_data['data'][0].cpu().numpy()


def _describe(stage: str, mask: np.ndarray, truth: np.ndarray, counted: np.ndarray) -> dict[str, int]:
    """Size and parts of the whole mask, and whether it is empty, as far as pixels count, where the truth is not."""
    found = bool((mask & counted).any())
    return {
        f'area/{stage}': int(np.count_nonzero(mask)),
        f'components/{stage}': count_components(mask),
        f'missed/{stage}': int(truth.any() and not found),
        f'invented/{stage}': int(found and not truth.any()),
    }
