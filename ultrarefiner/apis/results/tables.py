"""The tables of test results: every stage, what refining changed, lesion sizes, the guard, the random split."""

from __future__ import annotations

import json

import pandas as pd

from ...data_preparation.splits import shared_groups
from ...evaluation.interval_table import mean_of_runs, stratum_table
from ...evaluation.markdown_table import markdown_table
from ...evaluation.table import GROUPS
from ..report.tables import p_text
from .cells import SHOWN, change, change_of, facts, listed, mean_and_deviation, name_of, number, title_of
from .differences import DIFFERENCES, Difference, difference
from .layout import RANDOM, ROWS, SUMMARY, TESTS
from .runs import HEADLINE, ROWS_OF, MissingRuns, StoredRuns

COMPARED = ('phase2', 'phase3', 'phase3_phase1', 'phase3_unet', 'coarse')
BEYOND_DICE = ('IoU', 'HD95', 'BoundaryIoU')


def headline(runs: StoredRuns, training_set: str, test_set: str) -> str:
    """A row for every stage of every phase, all with the same seeds."""
    means = {}
    for row in HEADLINE:
        try:
            means[row] = runs.seed_means(training_set, test_set, row)
        except MissingRuns:
            continue
    if not means:
        runs.seeds(training_set, test_set)  # says what is missing
    metrics = [name for name in SHOWN if any(name in mean for mean in means.values())]
    body = [
        [ROWS_OF[row].title, *(mean_and_deviation(mean.get(name, pd.Series(dtype=float)), name) for name in metrics)]
        for row, mean in means.items()
    ]
    images = runs.images(training_set, test_set, next(iter(means)))
    note = f'{facts(runs, training_set, test_set, images)}.'
    missing = [ROWS_OF[row].title for row in HEADLINE if row not in means]
    if missing:
        note += f' Not there yet: {"; ".join(missing)}.'
    return f'{markdown_table(["", *map(title_of, metrics)], body)}\n\n{note}'


def differences(runs: StoredRuns, training_set: str, test_set: str) -> str:
    """What refining and training together changed, with intervals and the test of Dice."""
    body, first, missing = [], None, []
    for name in COMPARED:
        title = DIFFERENCES[name][2]
        try:
            dice = difference(runs, training_set, test_set, name)
        except MissingRuns:
            missing.append(title)
            continue
        first = first or dice
        others = [_beyond_dice(runs, training_set, test_set, name, metric) for metric in BEYOND_DICE]
        body.append([title, change_of(dice), p_text(dice.p), dice.win_tie_loss(), *others])
    if first is None:
        raise MissingRuns(f'runs trained on {training_set} and tested on {test_set}')
    heads = ['', 'Dice', 'p', 'win / tie / loss', *map(title_of, BEYOND_DICE)]
    note = _paired_facts(runs, training_set, test_set, first)
    if missing:
        note += f' Not there yet: {"; ".join(missing)}.'
    return f'{markdown_table(heads, body)}\n\n{note}'


def sizes(runs: StoredRuns, training_set: str, test_set: str) -> str:
    """Dice by the size of the lesion, for both phases that refine."""
    body, shown, missing = [], None, []
    for row in ('phase2', 'phase3'):
        try:
            images = runs.images(training_set, test_set, row)
        except MissingRuns:
            missing.append(ROWS_OF[row].title)
            continue
        shown = images
        groups = runs.group_map(next(iter(runs.folders(training_set, test_set, row).values())))
        for name, part in stratum_table(images, groups).iterrows():
            if name == 'all':  # is in the table of differences
                continue
            counts = ' / '.join(str(int(part[key])) for key in ('win', 'tie', 'loss'))
            means = [number(part[f'{stage}/Dice']) for stage in ('coarse', 'refined')]
            delta = change(part['delta/Dice'], part['delta.low'], part['delta.high'])
            body.append([f'phase {row[-1]}, {GROUPS[str(name)]}', str(int(part['rows'])), *means, delta, counts])
    if shown is None:
        raise MissingRuns(f'refined masks of models trained on {training_set} and tested on {test_set}')
    note = f'{facts(runs, training_set, test_set, shown)}. Sizes are shares of the area of the image.'
    if missing:
        note += f' Not there yet: {"; ".join(missing)}.'
    heads = ['Lesion', 'Images', 'Coarse Dice', 'Refined Dice', 'Refined − coarse', 'win / tie / loss']
    return f'{markdown_table(heads, body)}\n\n{note}'


def guard(runs: StoredRuns, training_set: str, test_set: str) -> str:
    """What the guard changes."""
    body, first = [], None
    for phase in ('phase2', 'phase3'):
        try:
            found = difference(runs, training_set, test_set, f'{phase}_guard')
        except MissingRuns:
            continue
        first = first or found
        means = [runs.seed_means(training_set, test_set, f'{phase}{end}')['Dice'].mean() for end in ('', '_guarded')]
        masks, changed = _guarded_masks(runs, training_set, test_set, phase)
        share = f'{changed} of {masks}'
        body.append([f'phase {phase[-1]}', *map(number, means), change_of(found), p_text(found.p), share])
    if first is None:
        raise MissingRuns(f'guarded tests of models trained on {training_set} and tested on {test_set}')
    heads = ['', 'Refined Dice', 'Guarded Dice', 'Guarded − refined', 'p', 'masks that the guard changed']
    return f'{markdown_table(heads, body)}\n\n{_paired_facts(runs, training_set, test_set, first)}'


def random_split(runs: StoredRuns, training_set: str) -> str:
    """The coarse network measured on a plain random split, beside the grouped one."""
    tests = {}
    for title, name in (('grouped', training_set), ('random', f'{training_set}{RANDOM}')):
        tests[title] = _own_tests(runs, name)
        if not tests[title]:
            raise MissingRuns(f'the coarse network of {name}, tested on its own test set')
    seeds = sorted(set(tests['grouped']) & set(tests['random']))
    if not seeds:
        raise MissingRuns(f'a seed that both splits of {training_set} were trained with')
    body = []
    for title, folders in tests.items():
        splits = runs.split(folders[seeds[0]])
        rows = [runs.rows(folders[seed]) for seed in seeds]
        dice = pd.Series([part['coarse/Dice'].mean() for part in rows])
        images = mean_of_runs(pd.concat(rows))
        shared = shared_groups(splits.groups, splits.train, splits.test)
        leaks = images['name'].map(splits.groups).isin(shared)
        parts = [number(images.loc[mask, 'coarse/Dice'].mean()) for mask in (leaks, ~leaks)]
        body.append([title, mean_and_deviation(dice, 'Dice'), str(len(images)), str(int(leaks.sum())), *parts])
    heads = ['Split', 'Dice', 'Test images', 'share a group with training', 'Dice of those', 'Dice of the others']
    note = f'The coarse network of phase 1, trained and tested on {name_of(training_set)}; {listed(seeds)}.'
    return f'{markdown_table(heads, body)}\n\n{note}'


def _beyond_dice(runs: StoredRuns, training_set: str, test_set: str, name: str, metric: str) -> str:
    try:
        return change_of(difference(runs, training_set, test_set, name, metric), metric)
    except KeyError:  # the test did not measure it
        return number(float('nan'))


def _paired_facts(runs: StoredRuns, training_set: str, test_set: str, found: Difference) -> str:
    return f'{facts(runs, training_set, test_set, found.values.index.to_frame(index=False))}.'


def _guarded_masks(runs: StoredRuns, training_set: str, test_set: str, phase: str) -> tuple[int, int]:
    """The number of masks of all seeds, and of those that differ with the guard."""
    pairs = [runs.of_seeds(training_set, test_set, f'{phase}{end}') for end in ('', '_guarded')]
    masks = changed = 0
    for seed, plain in pairs[0].items():
        key = ['dataset', 'name', 'class']
        both = plain.merge(pairs[1][seed], on=key, suffixes=('', '.guarded'))
        same = (both['refined/Dice'] == both['refined/Dice.guarded']) & (
            both['area/refined'] == both['area/refined.guarded']
        )
        masks, changed = masks + len(both), changed + int((~same).sum())
    return masks, changed


def _own_tests(runs: StoredRuns, training_set: str) -> dict:
    """The tests of the coarse network on the test set of its own training data, by seed."""
    found = {}
    for seed, run in runs.of(training_set, 'transunet').items():
        for path in sorted(run.path.glob(f'{TESTS}/*/{ROWS}')):
            digest = json.loads((path.parent / SUMMARY).read_text())['split_sha256']
            if digest in run.record.get('splits', {}).values():
                found[seed] = path.parent
    return found
