"""The results that the pages and metafiles of the config families show, made of the collected runs."""

from __future__ import annotations

import re
from pathlib import Path

from ...evaluation.markdown_table import markdown_table
from .cells import SHOWN, digits_of, in_order, listed, name_of, number, title_of
from .layout import RANDOM
from .runs import ROWS_OF, MissingRuns, StoredRuns

# The rows of each family, a stage of its models at a time.
FAMILIES = dict(
    unet=('unet',), transunet=('phase1',), ultrarefiner=('phase2_coarse', 'phase2', 'phase3_coarse', 'phase3')
)
BEGIN, END = '<!-- results:begin -->', '<!-- results:end -->'
_GENERATED = re.compile(rf'(?<={re.escape(BEGIN)}\n).*?(?={re.escape(END)})', flags=re.DOTALL)
_ENTRY = re.compile(r'^(?=  - Name: )', flags=re.MULTILINE)
_RESULTS = re.compile(r'^    Results:\n(?:      .*\n?)*', flags=re.MULTILINE)


def family_pages(runs: StoredRuns, configs: Path) -> dict[Path, str]:
    """What ``README.md`` and ``metafile.yml`` of each family should hold.

    Args:
        runs (StoredRuns): The collected runs.
        configs (Path): The folder of the families.

    Raises:
        ValueError: If a README has no place for its table.
    """
    pages = {}
    for family in FAMILIES:
        readme, metafile = configs / family / 'README.md', configs / family / 'metafile.yml'
        measured = _measured(runs, family)
        text = readme.read_text()
        if not _GENERATED.search(text):
            raise ValueError(f'{readme} has no lines {BEGIN} and {END}; put them where the table of results is to be')
        # A table is no pattern: its backslashes stand for themselves.
        pages[readme] = _GENERATED.sub(f'\n{readme_table(measured)}\n\n'.replace('\\', r'\\'), text)
        pages[metafile] = with_results(metafile.read_text(), measured)
    return pages


def readme_table(measured: list[dict]) -> str:
    """The table of a family's README."""
    if not measured:
        return 'No results yet: no run of them was collected.'
    metrics = [name for name in SHOWN if any(name in result['means'] for result in measured)]
    heads = ['Config', 'Trained on', 'Tested on', 'Seeds', 'Stage', *map(title_of, metrics)]
    body = []
    for result in measured:
        cells = [number(result['means'].get(metric, float('nan')), metric) for metric in metrics]
        tested = f'{name_of(result["test_set"])}, {result["images"]}'
        seeds = listed(result['seeds']).partition(' ')[2]
        body.append([f'`{result["config"]}`', name_of(result['training_set']), tested, seeds, result['title'], *cells])
    note = 'Means over the test images, at their original size, and over seeds, each of which has its own fold. '
    note += 'Intervals, tests and what is behind the numbers: [Results](../../docs/results.md).'
    return f'{markdown_table(heads, body, left=5)}\n\n{note}'


def with_results(metafile: str, measured: list[dict]) -> str:
    """A metafile with the ``Results`` of the configs that were measured; those of others stay as they are."""
    by_config: dict[str, dict[str, dict[str, str]]] = {}
    for result in measured:
        dataset = (
            f'{name_of(result["test_set"])}, {result["images"]} test images, trained on '
            f'{name_of(result["training_set"])}, {listed(result["seeds"])}'
        )
        metrics = by_config.setdefault(result['config'], {}).setdefault(dataset, {})
        metrics.update(
            {f'{name} ({result["stage"]})': f'{value:.{digits_of(name)}f}' for name, value in result['means'].items()}
        )
    parts = []
    for part in _ENTRY.split(metafile):
        name = re.match(r'  - Name: (\S+)\n', part)
        if name and name[1] in by_config:
            kept = _RESULTS.sub('', part).rstrip('\n')
            part = f'{kept}\n{_entries(by_config[name[1]])}' + '\n' * (len(part) - len(part.rstrip('\n')) - 1)
        parts.append(part)
    return ''.join(parts)


def _entries(results: dict[str, dict[str, str]]) -> str:
    lines = ['    Results:']
    for dataset, metrics in results.items():
        lines += ['      - Task: Semantic Segmentation', f'        Dataset: {dataset}', '        Metrics:']
        lines += [f'          {name}: {value}' for name, value in metrics.items()]
    return '\n'.join(lines) + '\n'


def _measured(runs: StoredRuns, family: str) -> list[dict]:
    """A dict for each training set, test set and row of a family: what was measured, with the common seeds."""
    found = []
    training_sets = {run.training_set for run in runs.runs if not run.training_set.endswith(RANDOM)}
    for training_set in in_order(training_sets):
        for test_set in in_order(runs.test_sets(training_set)):
            for row in FAMILIES[family]:
                try:
                    means = runs.seed_means(training_set, test_set, row).mean()
                    seeds = runs.seeds(training_set, test_set)
                except MissingRuns:
                    continue
                folder = runs.folders(training_set, test_set, row)[seeds[0]]
                run = runs.of(training_set, ROWS_OF[row].kind)[seeds[0]]
                found.append(
                    dict(
                        config=run.config_name,
                        training_set=training_set,
                        test_set=test_set,
                        title=ROWS_OF[row].title,
                        stage=ROWS_OF[row].stage,
                        seeds=seeds,
                        images=runs.rows(folder)['name'].nunique(),
                        means={name: means[name] for name in SHOWN if name in means},
                    )
                )
    return found
