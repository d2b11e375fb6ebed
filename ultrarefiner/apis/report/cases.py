"""The cases of a report: which images are shown, and everything the page's gallery knows about them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import quote

import pandas as pd

from ...evaluation.interval_table import IMAGE
from ...evaluation.metric import METRICS
from ...evaluation.per_image_csv import STAGES, size_strata
from .charts import outcomes
from .result_pictures import ResultPictures
from .work_dir import WorkDir

Image = tuple[str, str]


def classes_of(rows: pd.DataFrame) -> list[str]:
    """The foreground classes in the order of their labels, in which `RefinementMetric` writes them."""
    return list(dict.fromkeys(rows['class']))


def choose_images(rows: pd.DataFrame, limit: int) -> list[Image]:
    """Choose the images that say most: the worst, the best, the most improved and the most spoiled, by turns.

    Args:
        rows (pd.DataFrame): Of all runs.
        limit (int): How many at most.

    Returns:
        list[Image]: Dataset and name, sorted.
    """
    last = 'refined/Dice' if 'refined/Dice' in rows else 'coarse/Dice'
    by_image = rows.groupby(IMAGE, sort=True)
    orders = [by_image[last].min().sort_values(kind='stable'), by_image[last].max().sort_values(kind='stable')[::-1]]
    if 'delta/Dice' in rows:
        change = by_image['delta/Dice']
        orders += [change.max().sort_values(kind='stable')[::-1], change.min().sort_values(kind='stable')]
    turns = [image for turn in zip(*(order.index for order in orders)) for image in turn]
    return sorted(list(dict.fromkeys(turns))[:limit])


def case_id(run: str, row: pd.Series) -> str:
    """The anchor of a case, without '#'."""
    return 'case/' + '/'.join(quote(str(part), safe='') for part in (run, row['dataset'], row['name'], row['class']))


def make_cases(
    runs: Sequence[tuple[WorkDir, ResultPictures]], chosen: Sequence[Image], progress: Callable[[int], Any]
) -> dict[str, Any]:
    """Gather the cases and their pictures.

    Args:
        runs (Sequence[tuple[WorkDir, ResultPictures]]): With results.
        chosen (Sequence[Image]): From `choose_images`.
        progress (Callable[[int], Any]): Is called after every image with the number of those done.

    Returns:
        dict[str, Any]: Plain values for the page's script: ``metrics``; ``pictures``, an image is there once whatever
        number of runs saw it; ``cases``, one a run, image and class. And ``without``, how many images have no picture.
    """
    pictures: list[dict] = []
    cases: list[dict] = []
    measured = [name for name in METRICS if any(f'{s}/{name}' in run.rows for run, _ in runs for s in STAGES)]
    tables = [_by_image(run) for run, _ in runs]
    without = 0
    for done, (dataset, name) in enumerate(chosen, start=1):
        place, size = None, None
        for (run, source), table in zip(runs, tables):
            rows = table.get((dataset, name))
            if rows is None:
                continue
            if place is None:
                picture = source.image(dataset, name)
                place = len(pictures)
                pictures.append(picture or dict(uri=None, width=None, height=None))
                without += picture is None
            layers, size = source.layers(dataset, name)
            if pictures[place]['width'] is None and size is not None:
                pictures[place].update(width=size[0], height=size[1])
            slots = source.prompts(dataset, name)
            for row in rows:
                case = _case(run.label, row, measured)
                slot = source.classes.index(row['class'])
                case.update(picture=place, layers=layers[row['class']])
                case['prompts'] = None if slots is None else _slots_of(slots, slot, len(source.classes))
                cases.append(case)
        progress(done)
    metrics = [
        dict(name=name, unit=METRICS[name].unit, digits=METRICS[name].digits, higher=METRICS[name].higher_is_better)
        for name in measured
    ]
    return dict(metrics=metrics, pictures=pictures, cases=cases, without=without)


def _by_image(run: WorkDir) -> dict[Image, list[pd.Series]]:
    rows = run.rows.copy()
    for stratum, part in size_strata(rows).items():
        rows.loc[part.index, 'stratum'] = stratum
    if 'delta/Dice' in rows:
        rows['outcome'] = outcomes(rows)
    found: dict[Image, list[pd.Series]] = {}
    for _, row in rows.iterrows():
        found.setdefault((row['dataset'], row['name']), []).append(row)
    return found


def _case(run: str, row: pd.Series, measured: Sequence[str]) -> dict[str, Any]:
    last = 'refined' if 'refined/Dice' in row else 'coarse'
    values = {
        stage: [_number(row.get(f'{stage}/{name}')) for name in measured]
        for stage in (*STAGES, 'delta')
        if f'{stage}/Dice' in row
    }
    return dict(
        id=case_id(run, row),
        run=run,
        dataset=row['dataset'],
        name=row['name'],
        label=row['class'],
        stratum=row['stratum'],
        outcome=row.get('outcome'),
        missed=bool(row.get(f'missed/{last}', 0)),
        invented=bool(row.get(f'invented/{last}', 0)),
        share=_number(row['area/ground_truth'] / row['area/image']),
        values=values,
        predicted=_number(row.get('predicted_iou')),
        parts={stage: _number(row.get(f'components/{stage}')) for stage in STAGES if f'components/{stage}' in row},
    )


def _slots_of(slots: list[dict], index: int, classes: int) -> list[dict] | None:
    """The slots of one class, of which an object splitter makes one for each object; None where there are none."""
    each = len(slots) // classes
    return slots[index * each : (index + 1) * each] or None


def _number(value: Any) -> float | None:
    """A number that JSON has a word for."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return round(number, 6) if math.isfinite(number) else None
