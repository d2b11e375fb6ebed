"""What the models cost, what was trained, and the tables of ablations, from files of other tools."""

from __future__ import annotations

import json
from pathlib import Path
from statistics import median

from ...evaluation.markdown_table import markdown_table
from ..report.tables import DASH
from .cells import in_order, listed, name_of
from .runs import KINDS, MissingRuns, StoredRuns

FLOPS, STAGES = '_flops.json', '_stages.json'


def cost(folder: Path) -> str:
    """Parameters, multiply-accumulates and milliseconds of each stage of each model.

    Args:
        folder (Path): With ``cost_{model}_flops.json`` of tools/analysis_tools/get_flops.py and, where it was timed,
            ``cost_{model}_stages.json`` of the section 'stages' of tools/analysis_tools/benchmark.py.

    Raises:
        MissingRuns: If there is no such file.
    """
    counted = sorted(folder.glob(f'cost_*{FLOPS}'))
    if not counted:
        raise MissingRuns(f'results/cost_*{FLOPS}, written by tools/analysis_tools/get_flops.py --json')
    models: dict[str, tuple[dict, dict]] = {}
    notes: list[str] = []
    for path in counted:
        name = path.name.removeprefix('cost_').removesuffix(FLOPS)
        content = json.loads(path.read_text())
        timed = folder / f'cost_{name}{STAGES}'
        models[name] = content['stages'], _times(timed) if timed.is_file() else {}
        sizes = ' × '.join(map(str, content['image_size']))
        notes.append(f'Parameters and multiply-accumulates: one image of {sizes} pixels.')
        if timed.is_file():
            notes.append(_circumstances(timed))
    settings = list(dict.fromkeys(setting for _, times in models.values() for setting in times))
    body = []
    for name, (stages, times) in models.items():
        for stage, numbers in stages.items():
            parameters = (numbers['trainable'] + numbers['frozen']) / 1e6
            milliseconds = [times.get(setting, {}).get(stage) for setting in settings]
            cells = [DASH if value is None else f'{1000 * value:.1f}' for value in milliseconds]
            body.append([f'{name}: {stage}', f'{parameters:.3f}', f'{numbers["macs"] / 1e9:.3f}', *cells])
    heads = ['Stage', 'Parameters (M)', 'GMAC', *(f'ms, {setting}' for setting in settings)]
    return f'{markdown_table(heads, body)}\n\n{" ".join(dict.fromkeys(notes))}'


def ablations(folder: Path) -> str:
    """The first table of every ``ablation_*/ablation.md`` of tools/ablate.py, under a heading of its own.

    Raises:
        MissingRuns: If there is none.
    """
    pages = sorted(folder.glob('ablation_*/ablation.md'))
    if not pages:
        raise MissingRuns('results/ablation_*/ablation.md, written by tools/ablate.py')
    parts = []
    for page in pages:
        first, _, _ = page.read_text().partition('\n## ')
        link = f'{folder.name}/{page.parent.name}'
        part = f'##{first.strip()}\n\n[Every metric with its interval]({link}/ablation.md)'
        if (page.parent / 'ablation.png').is_file():
            part += f'\n\n![Means and intervals of the cells]({link}/ablation.png)'
        parts.append(part)
    return '\n\n'.join(parts)


def trainings(runs: StoredRuns) -> str:
    """What was trained: a row for the seeds of one kind on one training set."""
    body = []
    for training_set in in_order({run.training_set for run in runs.runs}):
        for kind, title in KINDS.items():
            found = list(runs.of(training_set, kind).values())
            if not found:
                continue
            costs = [run.record['cost'] for run in found if run.record.get('cost')]
            minutes = f'{sum(cost["seconds"] for cost in costs) / len(costs) / 60:.0f}' if costs else DASH
            parameters = f'{costs[0]["parameters"] / 1e6:.2f}' if costs else DASH
            configs = ', '.join(sorted({f'`{run.config_name}`' for run in found if run.config_name}))
            seeds = listed(sorted(run.fold for run in found)).partition(' ')[2]
            body.append([name_of(training_set), title, configs, seeds, parameters, minutes])
    if not body:
        raise MissingRuns('collected runs')
    heads = ['Trained on', 'What', 'Config', 'Folds and seeds', 'Parameters (M)', 'Minutes each']
    return markdown_table(heads, body, left=4)


def _times(path: Path) -> dict[str, dict[str, float]]:
    """Median seconds by setting and stage."""
    return {
        _setting(run): {row['name']: median(row['seconds']) for row in run['rows'] if row['seconds']}
        for run in json.loads(path.read_text())['runs']
    }


def _setting(run: dict) -> str:
    options = run['options']
    allocator = ', tuned allocator' if options['allocator'] == 'tuned' else ''
    return f'{options["device"]}, {options["precision"]}{allocator}'


def _circumstances(path: Path) -> str:
    runs = json.loads(path.read_text())['runs']
    threads = dict.fromkeys(str(run['options']['threads']) for run in runs)
    sizes = dict.fromkeys(run['title'].rpartition(', ')[2] for run in runs)
    return (
        f'Milliseconds: median of {runs[0]["options"]["rounds"]} rounds, {"; ".join(sizes)}, '
        f'{" or ".join(threads)} threads.'
    )
