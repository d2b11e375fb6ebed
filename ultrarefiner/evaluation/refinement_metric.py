"""RefinementMetric: how good the coarse and the refined masks are, and what refining changed."""

from __future__ import annotations

import csv
import json
import statistics
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log
from PIL import Image

from ..registry import METRICS as METRIC_REGISTRY
from ..structures.stages import IGNORE_LABEL
from ..utils.result_path import result_path
from .overlap import METRICS, overlap
from .table import comparison_table

FIELDS = dict(coarse='coarse_sem_seg', refined='pred_sem_seg')


@METRIC_REGISTRY.register_module()
class RefinementMetric(BaseMetric):
    """Dice, IoU, precision, recall and accuracy at the original size, per image, then averaged over the images.

    Gives ``{stage}/{metric}`` for each stage and ``delta/{metric}`` (refined minus coarse), such as ``refined/Dice``;
    with more than one foreground class these are means over the classes, and ``{stage}/{class}/{metric}`` follow.
    ``empty/ground_truth`` and ``empty/{stage}`` count the masks without a pixel, on which `overlap` states its policy.
    The table of the means is written to the log.

    Args:
        stages (tuple[str, ...]): Of 'coarse' and 'refined'; only ('coarse', ) in phase 1. Defaults to both.
        csv_path (str, optional): File for the results of each image, sorted by name. The means, with the dataset and
            the hash of its split, go beside it under the same name with the ending ``.json``.
        mask_dir (str, optional): Folder for the masks of the last stage, ``{dataset}/{name}.png``: 0 and 255, or
            labels where there is more than one foreground class.
        **kwargs: mmengine's.

    Raises:
        ValueError: If a stage is unknown.
    """

    default_prefix = ''

    def __init__(
        self,
        stages: Sequence[str] = ('coarse', 'refined'),
        csv_path: str | None = None,
        mask_dir: str | None = None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.stages = tuple(stages)
        if not self.stages or not set(self.stages) <= set(FIELDS):
            raise ValueError(f'RefinementMetric.stages is {stages!r}, expected some of {tuple(FIELDS)}')
        self.csv_path = None if csv_path is None else Path(csv_path)
        self.mask_dir = None if mask_dir is None else Path(mask_dir)

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
            if self.mask_dir is not None:
                self._write_mask(sample, predictions[self.stages[-1]])

    def compute_metrics(self, results: list[dict]) -> dict[str, float]:
        """Average over the images, write the table and the file."""
        rows = [
            dict(name=result['name'], dataset=result['dataset'], **row)
            for result in sorted(results, key=lambda result: (result['dataset'], result['name']))
            for row in result['classes']
        ]
        columns = [f'{stage}/{metric}' for stage in self._columns() for metric in METRICS]
        names = self._class_names()
        by_class = {
            name: {column: statistics.fmean(row[column] for row in rows if row['class'] == name) for column in columns}
            for name in names
        }
        means = {column: statistics.fmean(by_class[name][column] for name in names) for column in columns}
        counts = {
            f'empty/{part}': sum(row[f'area/{part}'] == 0 for row in rows) for part in ('ground_truth', *self.stages)
        }
        empties = ', '.join(f'{count} {key.split("/")[1]}' for key, count in counts.items())
        caption = f'{len(results)} images, empty: {empties}'.replace('ground_truth', 'ground truth')
        print_log('\n' + comparison_table(means, caption), logger='current')
        if self.csv_path is not None:
            self._write_csv(rows)
            self._write_summary(means, counts, rows)
        if len(names) > 1:
            for name in names:
                means.update({column.replace('/', f'/{name}/'): value for column, value in by_class[name].items()})
        return {**means, **counts}

    def _columns(self) -> tuple[str, ...]:
        return (*self.stages, 'delta') if set(self.stages) == set(FIELDS) else self.stages

    def _class_names(self) -> list[str]:
        return list(self.dataset_meta['classes'][1:])

    def _measure(self, truth: np.ndarray, predictions: dict[str, np.ndarray], quality: list | None) -> list[dict]:
        """One row a foreground class; plain Python values only, for they travel between processes."""
        counted = truth != IGNORE_LABEL
        rows = []
        for label, name in enumerate(self._class_names(), start=1):
            row = {'class': name, 'area/ground_truth': int((truth == label).sum())}
            for stage, prediction in predictions.items():
                scores = overlap(prediction == label, truth == label, counted)
                row.update({f'{stage}/{metric}': score for metric, score in scores.items()})
                row[f'area/{stage}'] = int((prediction == label).sum())
            if 'delta' in self._columns():
                row.update(
                    {f'delta/{metric}': row[f'refined/{metric}'] - row[f'coarse/{metric}'] for metric in METRICS}
                )
            if quality is not None:
                row['predicted_iou'] = float(quality[label - 1])
            rows.append(row)
        return rows

    def _write_csv(self, rows: list[dict]) -> None:
        self.csv_path.parent.mkdir(parents=True, exist_ok=True)
        with self.csv_path.open('w', newline='') as file:
            writer = csv.DictWriter(file, fieldnames=list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
        print_log(f'results of each image: {self.csv_path}', logger='current')

    def _write_summary(self, means: dict[str, float], counts: dict[str, int], rows: list[dict]) -> None:
        datasets = sorted({row['dataset'] for row in rows})
        summary = dict(
            dataset='+'.join(datasets),
            # A concatenation has the meta data of its first part only.
            split_sha256=self.dataset_meta.get('split_sha256') if len(datasets) == 1 else None,
            images=len({(row['dataset'], row['name']) for row in rows}),
            means=means,
            counts=counts,
        )
        self.csv_path.with_suffix('.json').write_text(json.dumps(summary, indent=1))

    def _write_mask(self, sample: dict, labels: np.ndarray) -> None:
        path = result_path(self.mask_dir, sample)
        path.parent.mkdir(parents=True, exist_ok=True)
        grey = labels * 255 if len(self._class_names()) == 1 else labels
        Image.fromarray(grey.astype(np.uint8)).save(path)

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
