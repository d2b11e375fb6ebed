"""Reading what a training and its test left behind, whatever of it there is."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
from mmengine.config import Config

from ...evaluation.per_image_csv import read_rows
from ...evaluation.training_log import read_training_log
from ...utils.short_names import short_names
from ..checkpoint_config import plain_values
from ..config import DECISIVE_KEYS
from ..training_record import read_record

CSV = 'per_image.csv'
RESULTS = ('test', 'val')  # folders of results, the first goes before
REQUIRED = ('dataset', 'name', 'class', 'area/image', 'area/ground_truth')
STARTED = re.compile(r'\d{8}_\d{6}')  # mmengine's folder of a start
OF_THE_RUN = re.compile(r'\b(fold|seed)_\d+')


@dataclass(frozen=True, eq=False)
class Results:
    """The results of each image.

    Args:
        folder (Path): With ``per_image.csv`` and, beside it, what `utils.stage_files` knows.
        rows (pd.DataFrame): Of `read_rows`.
        summary (dict): What `RefinementMetric` wrote beside them; empty if that is missing.
        cfg (Config, optional): What was tested with.
    """

    folder: Path
    rows: pd.DataFrame
    summary: dict
    cfg: Config | None


@dataclass(frozen=True, eq=False)
class WorkDir:
    """A work directory.

    Args:
        path (Path): The folder.
        label (str): What tells it from the others that are read with it.
        config_name (str): The config's file name.
        config_text (str): The whole config, late variables filled in; '' if there is none.
        cfg (Config, optional): The same, read.
        record (dict): Of ``training.json``; empty if there is none.
        log (pd.DataFrame, optional): Of `read_training_log`.
        results (Results, optional): Of the test; of the validation where no run that is read with it has a test.
        absent (Sequence[str]): What is missing, one sentence each.
    """

    path: Path
    label: str = ''
    config_name: str = ''
    config_text: str = ''
    cfg: Config | None = None
    record: dict = field(default_factory=dict)
    log: pd.DataFrame | None = None
    results: Results | None = None
    absent: Sequence[str] = ()

    @property
    def rows(self) -> pd.DataFrame:
        """The results of each image; without results there are no rows."""
        return pd.DataFrame() if self.results is None else self.results.rows

    @property
    def summary(self) -> dict:
        """What was written beside them; empty without results."""
        return {} if self.results is None else self.results.summary

    def experiment(self) -> str:
        """What the folds and seeds of one experiment share and no other run has: its settings, but for those two."""
        if self.cfg is None:
            return str(self.path.resolve())
        decisive = {key: self.cfg.get(key) for key in DECISIVE_KEYS if key not in ('fold', 'randomness')}
        return OF_THE_RUN.sub(r'\1', json.dumps(_without_run(decisive), sort_keys=True, default=str))


def read_work_dirs(paths: Sequence[str | Path]) -> list[WorkDir]:
    """Read work directories, and give each a label by which they differ.

    Args:
        paths (Sequence[str | Path]): As tools/train.py leaves them; or a folder of results, as tools/test.py does.

    Raises:
        FileNotFoundError: If one does not exist.
        ValueError: If one is given twice, or holds neither a training nor results, or results that are none.
    """
    folders = [Path(path) for path in paths]
    labels = short_names(folders)
    held = [names for names in map(_held, folders) if names]
    # Test images and validation images are never mixed.
    subset = next((name for name in RESULTS if held and all(name in names for names in held)), RESULTS[0])
    return [_read_work_dir(folder, label, subset) for folder, label in zip(folders, labels)]


def _held(path: Path) -> list[str]:
    return [name for name in RESULTS if (path / name / CSV).is_file()]


def _read_work_dir(path: Path, label: str, subset: str) -> WorkDir:
    if not path.is_dir():
        raise FileNotFoundError(f'{path} is no folder; expected the work directory of a training')
    absent: list[str] = []
    config = _config_file(path)
    text = '' if config is None else config.read_text(encoding='utf-8')
    record, log, results = read_record(path) or {}, None, _read_results(path, subset, absent)
    try:
        log = read_training_log(path)
    except FileNotFoundError:
        absent.append('There is no log of the training, so there are no learning curves.')
    except ValueError as error:
        absent.append(f'The log of the training cannot be read ({error}), so there are no learning curves.')
    if not record and log is None and results is None:
        raise ValueError(
            f'{path} holds no training and no results; expected the work directory of a training, with training.json, '
            f'or the folder that tools/test.py --out wrote, with {CSV}'
        )
    if not record:
        absent.append('There is no training.json, so the cost and the split of the training are not known.')
    elif not record.get('finished'):
        absent.append('The training has not come to its end.')
    if config is None:
        absent.append('There is no config, so the settings are not known.')
    cfg = None if config is None else _plain_config(text, absent)
    name = _config_name(path, config)
    return WorkDir(path, label, name, text, cfg, record, log, results, tuple(absent))


def _read_results(path: Path, subset: str, absent: list[str]) -> Results | None:
    folder = path if (path / CSV).is_file() else path / subset
    if not (folder / CSV).is_file():
        others = _held(path)
        if others:
            what = f'Its results in {others[0]}/ are of other images than the {subset}/ of the other runs: left out.'
        else:
            what = (
                'Nothing has been tested yet: tools/test.py CONFIG CHECKPOINT --out WORK_DIR/test gives the tables and '
                'the pictures of each image.'
            )
        absent.append(what)
        return None
    try:
        rows = read_rows(folder / CSV)
    except (ValueError, pd.errors.ParserError) as error:
        raise ValueError(f'{folder / CSV} cannot be read ({error}); test again with tools/test.py --out') from error
    missing = [column for column in REQUIRED if column not in rows]
    if missing or rows.empty:
        what = f'lacks the columns {missing}' if missing else 'has no rows'
        raise ValueError(f'{folder / CSV} {what}; test again with tools/test.py --out')
    summary = folder / 'per_image.json'
    config = _config_file(folder)
    cfg = None if config is None else _plain_config(config.read_text(encoding='utf-8'), [])
    return Results(folder, rows, json.loads(summary.read_text()) if summary.is_file() else {}, cfg)


def _config_file(path: Path) -> Path | None:
    """The config as it was run, of the last start; else what mmengine left in the folder itself."""
    starts = sorted(path.glob('*/vis_data/config.py'), key=lambda file: file.parents[1].name)
    starts = [file for file in starts if STARTED.fullmatch(file.parents[1].name)]
    beside = [*path.glob('vis_data/config.py'), *sorted(path.glob('*.py'))]
    return starts[-1] if starts else next(iter(beside), None)


def _config_name(path: Path, config: Path | None) -> str:
    """The name that the config has in the work directory; everywhere else it is config.py."""
    names = sorted(file.stem for file in path.glob('*.py'))
    return names[0] if names else '' if config is None else config.stem


def _plain_config(text: str, absent: list[str]) -> Config | None:
    try:
        return Config(plain_values(text))
    except (SyntaxError, ValueError) as error:
        absent.append(f'The config cannot be read ({error}); it is shown as it is.')
        return None


def _without_run(node: Any) -> Any:
    if isinstance(node, dict):
        return {key: _without_run(value) for key, value in node.items() if key not in ('fold', 'seed')}
    if isinstance(node, (list, tuple)):
        return [_without_run(item) for item in node]
    return node
