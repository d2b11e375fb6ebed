"""Collecting the small files of finished runs, so that their results can be kept with the code."""

from __future__ import annotations

import gzip
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from ...data_preparation.splits import Splits
from ...datasets.mask_file import read_mask
from ...evaluation.error_places import error_places
from ...evaluation.per_image_csv import read_rows
from ...evaluation.training_log import loss_keys
from ..report.work_dir import CSV, WorkDir, read_work_dirs
from ..training_record import RECORD
from .layout import CURVE, ERRORS, LIST, ROWS, SPLITS, SUMMARY, TESTS

DIGITS = 5
GREY_TO_LABEL = {0: 0, 255: 1}
# A text in quotes that begins as an absolute path does, on any system.
_ABSOLUTE = re.compile(r"""(?P<quote>['"])(?P<path>(?:/|[A-Za-z]:[\\/])[^'"\n]*)(?P=quote)""")


@dataclass
class Collected:
    """What a collection took.

    Attributes:
        taken (dict[str, list[str]]): The names of the tests, by the path of the work directory.
        left (dict[str, str]): Why a work directory or a test was not taken, by its path.
        size (int): Bytes of all files that were written.
    """

    taken: dict[str, list[str]] = field(default_factory=dict)
    left: dict[str, str] = field(default_factory=dict)
    size: int = 0


def collect(
    runs: str | Path, out: str | Path, data_dirs: Iterable[str | Path] = (), track: Callable[[list], Iterable] = iter
) -> Collected:
    """Copy the small files of every finished training, see `layout`.

    The files of a run that was collected before are replaced, those of other runs stay.

    Args:
        runs (str | Path): Folder that holds work directories, at any depth.
        out (str | Path): Folder of the collected runs.
        data_dirs (Iterable[str | Path]): Folders of converted datasets, beside those that the configs name.
        track (Callable): Wraps the list of work directories, to show progress.

    Raises:
        FileExistsError: If a file is in the way that no earlier collection wrote.
        FileNotFoundError: If there is no work directory, or the split of a test is not found.
        ValueError: If a file of a run is damaged.
    """
    runs = Path(runs)
    folders = sorted(path.parent for path in runs.rglob(RECORD))
    if not folders:
        raise FileNotFoundError(f'{runs} holds no {RECORD}; expected the folder of work directories of tools/train.py')
    target = _Target(Path(out))
    datasets = _Datasets(data_dirs)
    collected = Collected()
    try:
        for folder in track(folders):
            name = folder.relative_to(runs).as_posix()
            if not json.loads((folder / RECORD).read_text()).get('finished'):
                collected.left[name] = 'the training has not come to its end'
                continue
            _Run(read_work_dirs([folder])[0], name, target, datasets, collected).collect()
    finally:
        target.write_list()
    collected.size = sum(target.sizes.values())
    return collected


class _Target:
    """The folder of collected runs; writes only over what an earlier collection wrote."""

    def __init__(self, root: Path):
        self.root = root
        self.sizes: dict[str, int] = {}
        listed = root / LIST
        self.files: set[str] = set(json.loads(listed.read_text())) if listed.is_file() else set()

    def write(self, name: str, content: bytes) -> None:
        path = self.root / name
        if path.exists() and name not in self.files:
            raise FileExistsError(f'{path} was not written by this tool; move it away, or choose another folder')
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        self.files.add(name)
        self.sizes[name] = len(content)

    def read(self, name: str) -> bytes | None:
        return (self.root / name).read_bytes() if name in self.files and (self.root / name).is_file() else None

    def drop(self, names: Iterable[str]) -> None:
        for name in names:
            (self.root / name).unlink(missing_ok=True)
            self.files.discard(name)

    def write_list(self) -> None:
        self.root.mkdir(parents=True, exist_ok=True)
        (self.root / LIST).write_text(json.dumps(sorted(self.files), indent=0) + '\n')


class _Datasets:
    """The converted datasets that a test can be of, by the hash of their split."""

    def __init__(self, data_dirs: Iterable[str | Path]):
        self.searched: dict[Path, None] = {}
        self.roots: dict[str, Path] = {}
        for folder in data_dirs:
            self.search(Path(folder))

    def search(self, data_dir: Path) -> None:
        if data_dir in self.searched:
            return
        self.searched[data_dir] = None
        for path in sorted(data_dir.glob('*/splits.json')):
            self.roots.setdefault(json.loads(path.read_text())['sha256'], path.parent)

    def root(self, digest: str, asked_by: Path) -> Path:
        if digest not in self.roots:
            raise FileNotFoundError(
                f'{asked_by} was tested with the split {digest[:12]}, which no dataset in '
                f'{", ".join(map(str, self.searched)) or "no folder"} has; give its folder with --data-dir'
            )
        return self.roots[digest]


@dataclass
class _Run:
    run: WorkDir
    name: str
    target: _Target
    datasets: _Datasets
    collected: Collected
    written: set[str] = field(default_factory=set)

    def collect(self) -> None:
        cfg = self.run.cfg or {}
        if cfg.get('data_dir'):
            self.datasets.search(Path(cfg['data_dir']))
        self._write(RECORD, json.dumps(self.run.record, indent=1) + '\n')
        if self.run.config_text:
            self._write(f'{self.run.config_name}.py', self.run.config_text)
        if self.run.log is not None:
            self._write(CURVE, curve_of(self.run.log).to_csv(index=False, lineterminator='\n'))
        folders = sorted(path.parent for path in self.run.path.glob(f'{TESTS}/*/{CSV}'))
        self.collected.taken[self.name] = [folder.name for folder in folders if self._collect_test(folder)]
        stale = {name for name in self.target.files if name.startswith(f'{self.name}/')} - self.written
        self.target.drop(stale)

    def _collect_test(self, folder: Path) -> bool:
        place = f'{TESTS}/{folder.name}'
        path = folder / SUMMARY
        summary = json.loads(path.read_text()) if path.is_file() else {}
        if not summary.get('split_sha256') or summary.get('subset') != 'test':
            reason = f'{SUMMARY} names no test set of one dataset; test again with tools/test.py --out'
            self.collected.left[f'{self.name}/{place}'] = reason
            return False
        root = self.datasets.root(summary['split_sha256'], folder)
        splits = Splits.load(root / 'splits.json')
        self._write_whole(f'{SPLITS}/{split_file(splits)}', (root / 'splits.json').read_bytes())
        rows = read_rows(folder / CSV)
        packed = gzip.compress(rows.round(DIGITS).to_csv(index=False, lineterminator='\n').encode(), mtime=0)
        before = self.target.read(f'{self.name}/{place}/{ROWS}'), self.target.read(f'{self.name}/{place}/{ERRORS}')
        if before[0] == packed and before[1] is not None:
            self._write(f'{place}/{ERRORS}', before[1])
        elif (folder / 'coarse').is_dir() and (folder / 'masks').is_dir() and rows['class'].nunique() == 1:
            self._write(f'{place}/{ERRORS}', json.dumps(errors_of(folder, root, rows), indent=1) + '\n')
        self._write(f'{place}/{ROWS}', packed)
        self._write(f'{place}/{SUMMARY}', json.dumps(summary, indent=1) + '\n')
        return True

    def _write(self, name: str, content: str | bytes) -> None:
        """Write a file of the run, text without the machine's paths."""
        if isinstance(content, str):
            cfg = self.run.cfg or {}
            roots = {cfg.get('data_dir'): 'data', cfg.get('out_dir'): '.'}
            content = without_paths(content, {root: new for root, new in roots.items() if root}).encode()
        self._write_whole(f'{self.name}/{name}', content)

    def _write_whole(self, name: str, content: bytes) -> None:
        self.target.write(name, content)
        self.written.add(name)


def split_file(splits: Splits) -> str:
    """The name of the collected split file."""
    return f'{splits.dataset}_{splits.digest[:12]}.json'


def without_paths(text: str, roots: Mapping[str, str]) -> str:
    """A text of Python or JSON with no absolute path in a string.

    Args:
        text (str): With paths in quotes.
        roots (Mapping[str, str]): What to write for a folder that paths begin with; of any other path only its last
            part is kept.
    """

    def relative(match: re.Match) -> str:
        path = match['path']
        for root, new in roots.items():
            root = root.rstrip('/\\')
            if path == root or path.startswith((f'{root}/', f'{root}\\')):
                rest = path[len(root) :].strip('/\\')
                path = '/'.join(part for part in (new if new != '.' or not rest else '', rest) if part)
                break
        else:
            path = re.split(r'[\\/]', path.rstrip('/\\'))[-1]
        return f'{match["quote"]}{path}{match["quote"]}'

    return _ABSOLUTE.sub(relative, text)


def curve_of(log: pd.DataFrame) -> pd.DataFrame:
    """What a training's validations gave, and the mean losses since the validation before.

    Args:
        log (pd.DataFrame): Of `read_training_log`.

    Returns:
        pd.DataFrame: A row a validation: ``epoch`` where epochs are counted, ``iter``, the losses, and
        ``{stage}/{metric}``; six digits that count. What was trained after the last one is left out.
    """
    validations = log[log['kind'] == 'val']
    since = (log['kind'] == 'val').cumsum()
    losses = log[log['kind'] == 'train'].groupby(since)[loss_keys(log)].mean()
    metrics = [name for name in validations if '/' in name]
    steps = [name for name in ('epoch', 'iter') if name in validations]
    curve = validations[[*steps, *metrics]].reset_index(drop=True)
    curve = pd.concat([curve[steps], losses.reindex(curve.index), curve[metrics]], axis=1)
    return curve.map(lambda value: float(f'{value:.6g}') if isinstance(value, float) else value)


def errors_of(folder: Path, data_root: Path, rows: pd.DataFrame) -> dict:
    """`error_places` of a test with one class, summed over its images.

    Args:
        folder (Path): What tools/test.py --out wrote, with ``masks/`` and ``coarse/``.
        data_root (Path): The converted dataset that was tested.
        rows (pd.DataFrame): Of `read_rows`.

    Returns:
        dict: ``images``, their number, and ``pixels``, the counts.

    Raises:
        FileNotFoundError: If a mask is missing.
    """
    pixels: Counter[str] = Counter()
    for dataset, name in zip(rows['dataset'], rows['name']):
        paths = [data_root / 'test' / 'masks' / f'{name}.png']
        paths += [folder / stage / dataset / f'{name}.png' for stage in ('coarse', 'masks')]
        for path in paths:
            if not path.is_file():
                raise FileNotFoundError(f'{path} does not exist; test again with tools/test.py --out')
        truth, coarse, refined = (read_mask(path, GREY_TO_LABEL) for path in paths)
        pixels.update(error_places(truth, coarse, refined))
    return dict(images=len(rows), pixels=dict(pixels))
