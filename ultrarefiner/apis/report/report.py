"""The report of one run, of the folds of an experiment, or of several experiments: one HTML page."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd

from ... import __version__
from ...evaluation.interval_table import IMAGE, mean_of_runs
from ...evaluation.per_image_csv import LARGE, SMALL, TIE
from ...visualization.report import render_page
from .cases import case_id, choose_images, classes_of, make_cases
from .charts import dice_scatter, learning_curves, quality_scatter
from .result_pictures import DataFolder, ResultPictures, find_data
from .settings import main_settings, run_facts
from .tables import comparison, metric_rows, run_rows, stratum_rows
from .work_dir import Results, WorkDir, read_work_dirs

CASES = 150


@dataclass(eq=False)
class Experiment:
    """The folds and seeds of one experiment.

    Args:
        label (str): What tells it from the others.
        runs (list[WorkDir]): Those that have results come with them.
    """

    label: str
    runs: list[WorkDir] = field(default_factory=list)

    @property
    def measured(self) -> list[WorkDir]:
        """The runs that have results."""
        return [run for run in self.runs if run.results is not None]

    @property
    def rows(self) -> pd.DataFrame:
        """The results of all runs, one below the other."""
        return pd.concat([run.rows for run in self.measured], ignore_index=True)


@dataclass(frozen=True)
class Report:
    """A page and what there is to say about it.

    Args:
        html (str): The page.
        images (int): Images in its gallery.
        left_out (int): Images that were measured and are not in it.
        absent (list[str]): What is missing, as the page says too.
    """

    html: str
    images: int
    left_out: int
    absent: list[str]


def make_report(
    work_dirs: Sequence[str | Path],
    data_dir: str | Path | None = None,
    cases: int = CASES,
    title: str | None = None,
    progress: Callable[[int, int], Any] = lambda done, images: None,
) -> Report:
    """Make the report.

    Runs that differ in nothing but fold and seed are one experiment: every image's values are averaged over the runs
    that measured it, then over the images, so that five folds tested on 100 images are 100 images. Different
    experiments have a table each, and one that compares them on the images that all measured.

    Args:
        work_dirs (Sequence[str | Path]): See `read_work_dirs`.
        data_dir (str | Path, optional): Where the datasets lie now, see `find_data`.
        cases (int): How many images the gallery shows at most, see `choose_images`.
        title (str, optional): Defaults to the name of the config.
        progress (Callable[[int, int], Any]): Is called after every image, with the number of those done and of all.

    Returns:
        Report: The page.

    Raises:
        FileNotFoundError: If a work directory does not exist.
        ValueError: If one holds nothing, or ``cases`` is negative.
    """
    if cases < 0:
        raise ValueError(f'the number of cases is {cases}, expected 0 or more')
    runs = read_work_dirs(work_dirs)
    experiments = _experiments(runs)
    data, absent = _find_data(runs, data_dir)
    groups = _groups(data)
    measured = [run for run in runs if run.results is not None]
    all_rows = pd.concat([run.rows for run in measured]) if measured else pd.DataFrame(columns=IMAGE)
    chosen = choose_images(all_rows, cases) if measured else []
    total = len(all_rows[IMAGE].drop_duplicates())
    pictures = [(run, _pictures(run.results, data)) for run in measured if run.results is not None]
    gallery = make_cases(pictures, chosen, lambda done: progress(done, len(chosen)))
    gallery['runs'] = [run.label for run in measured]
    without = gallery.pop('without')
    if data and without:
        absent.append(f'{without} images of the gallery were not found in the dataset.')
    notes = _notes(runs, absent, data)
    parts = [experiment for experiment in experiments if experiment.measured]
    content = dict(
        title=title or _title(runs, experiments),
        made=f'{datetime.now():%Y-%m-%d %H:%M}',
        version=__version__,
        notes=notes,
        grouped=any(image in groups for image in zip(all_rows['dataset'], all_rows['name'])),
        limits=dict(tie=TIE, small=f'{SMALL:.0%}', large=f'{LARGE:.0%}'),
        experiments=[_numbers(part, groups, set(chosen)) for part in parts],
        comparison=_comparison(parts, groups),
        compared=len(parts) > 1,
        curves=[dict(label=run.label, **learning_curves(run.log)) for run in runs if run.log is not None],
        runs=[_settings(run) for run in runs],
        images=len(chosen),
        left_out=total - len(chosen),
        total=total,
        gallery=gallery,
    )
    return Report(render_page(content), len(chosen), total - len(chosen), notes)


def _experiments(runs: Sequence[WorkDir]) -> list[Experiment]:
    by_key: dict[str, list[WorkDir]] = {}
    for run in runs:
        by_key.setdefault(run.experiment(), []).append(run)
    # What the labels of an experiment begin with, if no other experiment's do.
    labels = ['/'.join(os.path.commonprefix([run.label.split('/') for run in members])) for members in by_key.values()]
    return [
        Experiment(label if label and labels.count(label) == 1 else members[0].label, members)
        for label, members in zip(labels, by_key.values())
    ]


def _groups(data: dict[str, DataFolder]) -> dict[tuple[str, str], str]:
    return {
        (name, image): f'{name}/{of}' for name, folder in data.items() for image, of in folder.splits.groups.items()
    }


def _find_data(runs: Sequence[WorkDir], data_dir: str | Path | None) -> tuple[dict[str, DataFolder], list[str]]:
    data, absent = {}, []
    for run in runs:
        if run.results is not None:
            found, missing = find_data(run.results.cfg or run.cfg, data_dir)
            data.update(found)
            absent += missing
    return data, list(dict.fromkeys(absent))


def _pictures(results: Results, data: dict[str, DataFolder]) -> ResultPictures:
    rows = results.rows
    return ResultPictures(results.folder, data, classes_of(rows), 'refined/Dice' in rows)


def _notes(runs: Sequence[WorkDir], absent: Sequence[str], data: dict[str, DataFolder]) -> list[str]:
    """What is missing, with the runs that it is about where there are several."""
    of_runs: dict[str, list[str]] = {}
    for run in runs:
        for text in [*run.absent, *([] if run.results is None else _result_notes(run.results, data))]:
            of_runs.setdefault(text, []).append(run.label)
    notes = []
    for text, labels in of_runs.items():
        about = 'all runs' if len(labels) == len(runs) else ', '.join(labels)
        notes.append(f'{about}: {text}' if len(runs) > 1 else text)
    return [*notes, *absent]


def _result_notes(results: Results, data: dict[str, DataFolder]) -> list[str]:
    """What the results of a run lack."""
    notes = []
    folders = dict(masks='masks')
    if 'refined/Dice' in results.rows:
        folders.update(coarse='coarse masks', prompts='prompts')
    missing = [what for name, what in folders.items() if not (results.folder / name).is_dir()]
    if missing:
        what = ' and no '.join(missing)
        notes.append(f'The results hold no {what}: testing again with tools/test.py --out leaves them there.')
    folder, made = data.get(results.summary.get('dataset', '')), results.summary.get('split_sha256')
    if folder is not None and made is not None and folder.splits.digest != made:
        now = folder.splits.digest
        notes.append(f'The dataset was split again since this was measured (then {made[:12]}, now {now[:12]}).')
    return notes


def _title(runs: Sequence[WorkDir], experiments: Sequence[Experiment]) -> str:
    if len(experiments) > 1:
        return f'{len(experiments)} experiments compared'
    name = runs[0].config_name or runs[0].path.resolve().name
    return name if len(runs) == 1 else f'{name}, {len(runs)} runs'


def _numbers(experiment: Experiment, groups: dict, chosen: set) -> dict[str, Any]:
    rows = experiment.rows
    images, by_class = mean_of_runs(rows, tuple(IMAGE)), mean_of_runs(rows)
    classes = classes_of(rows)
    several = len(classes) > 1
    metrics = metric_rows(images, groups)
    scatters = []
    for run in experiment.measured:
        if 'delta/Dice' in run.rows:
            link = _linker(run, chosen)
            scatters.append(dict(
                label=run.label,
                dice=dice_scatter(run.rows, link, several),
                quality=quality_scatter(run.rows, link, several),
            ))  # fmt: skip
    return dict(
        label=experiment.label,
        images=len(images),
        repeated=len(rows) > len(by_class),
        stages=[stage for stage in ('coarse', 'refined', 'delta') if stage in metrics[0]['cells']],
        subset=_subset(experiment),
        metrics=metrics,
        dice=metrics[0],
        strata=stratum_rows(by_class, groups),
        classes=[
            dict(name=name, metrics=metric_rows(part, groups), strata=stratum_rows(part, groups))
            for name in classes
            for part in [by_class[by_class['class'] == name]]
        ]
        if several
        else [],
        folds=run_rows([(run.label, run.rows) for run in experiment.measured]) if len(experiment.measured) > 1
        else [],
        scatters=scatters,
    )  # fmt: skip


def _linker(run: WorkDir, chosen: set) -> Callable[[pd.Series], str]:
    return lambda row: f'#{case_id(run.label, row)}' if (row['dataset'], row['name']) in chosen else ''


def _subset(experiment: Experiment) -> str:
    subsets = {str(run.summary.get('subset')) for run in experiment.measured}
    names = dict(test='held-out test images', val='validation images')
    return names.get(next(iter(subsets)), 'images') if len(subsets) == 1 else 'images of different subsets'


def _comparison(parts: Sequence[Experiment], groups: dict) -> dict[str, Any] | None:
    if len(parts) < 2:
        return None
    costs = [[run.record['cost'] for run in part.measured if run.record.get('cost')] for part in parts]
    return comparison([(part.label, part.rows, cost) for part, cost in zip(parts, costs)], groups)


def _settings(run: WorkDir) -> dict[str, Any]:
    return dict(
        label=run.label,
        name=run.config_name,
        facts=run_facts(run),
        settings=main_settings(run.cfg),
        config=run.config_text,
    )
