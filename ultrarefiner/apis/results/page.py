"""The results page: a template written by hand, whose markers are filled with what the collected runs say."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from ...evaluation.metric import METRICS
from ...utils.command_line import did_you_mean
from ...visualization.learning_curves import CurvePanel, draw_learning_curves
from ..report.tables import p_text
from .cells import change_of, mean_and_deviation, name_of
from .costs import ablations, cost, trainings
from .differences import DIFFERENCES, difference
from .figures import curve_panels, gain_panels
from .insight import calibration, errors, gains
from .runs import ROWS_OF, MissingRuns, StoredRuns
from .tables import differences, guard, headline, random_split, sizes

MARKER = re.compile(r'\{\{ *(?P<words>[^{}\n]*?) *\}\}')
NOTICE = (
    '<!-- Made by tools/misc/update_results.py from results/template.md and results/runs/: change the template, then '
    'run it again. -->\n\n'
)


@dataclass(frozen=True)
class Part:
    """What a marker stands for.

    Args:
        arguments (str): The words after its name, for the message of a wrong marker.
        make (Callable[..., str]): Of `Results` and the words.
        in_text (bool): Whether it stands within a sentence.
    """

    arguments: str
    make: Callable[..., str]
    in_text: bool = False


@dataclass(frozen=True)
class Results:
    """What the page is made of.

    Args:
        runs (StoredRuns): The collected runs.
        folder (Path): With the pictures, the costs and the ablations; the page lies beside it.
    """

    runs: StoredRuns
    folder: Path

    def figures(self) -> dict[str, Callable[[], list[CurvePanel]]]:
        """The panels of every picture that markers can name, by file name."""
        training_sets = sorted({run.training_set for run in self.runs.runs})
        named: dict[str, Callable[[], list[CurvePanel]]] = {}
        for training_set in training_sets:
            named[f'curves_{training_set}.png'] = partial(curve_panels, self.runs, training_set)
            test_sets = self.runs.test_sets(training_set)
            named[f'gains_{training_set}.png'] = partial(gain_panels, self.runs, training_set, test_sets)
        return named

    def draw_figures(self, page: str) -> list[Path]:
        """Draw the pictures that a page shows; returns their files."""
        shown = {name: panels for name, panels in self.figures().items() if f'/{name})' in page}
        for name, panels in shown.items():
            draw_learning_curves(self.folder / name, panels())
        return [self.folder / name for name in shown]

    def curves(self, training_set: str) -> str:
        """The picture of the learning curves."""
        seen = 'Validation Dice of coarse and refined masks by epoch, a mean over seeds'
        return self._picture(f'curves_{training_set}.png', f'{seen}, trained on {name_of(training_set)}')

    def gain_distribution(self, training_set: str) -> str:
        """The picture of what refining changed, image by image."""
        seen = 'What refining changed about the Dice of each test image, sorted'
        return self._picture(f'gains_{training_set}.png', f'{seen}, trained on {name_of(training_set)}')

    def _picture(self, name: str, seen: str) -> str:
        if name not in self.figures():
            raise MissingRuns(f'the runs of {name}')
        self.figures()[name]()  # raises where its runs are missing
        return f'![{seen}]({self.folder.name}/{name})'

    def value(self, training_set: str, test_set: str, row: str, metric: str) -> str:
        """One cell of the headline table."""
        _known('row', row, ROWS_OF)
        _known('metric', metric, METRICS)
        return mean_and_deviation(self.runs.seed_means(training_set, test_set, row)[metric], metric)

    def difference(self, training_set: str, test_set: str, name: str, metric: str) -> str:
        """One change with its interval."""
        _known('difference', name, DIFFERENCES)
        _known('metric', metric, METRICS)
        return change_of(difference(self.runs, training_set, test_set, name, metric), metric)

    def p(self, training_set: str, test_set: str, name: str) -> str:
        """The p-value of a change of Dice."""
        _known('difference', name, DIFFERENCES)
        return p_text(difference(self.runs, training_set, test_set, name).p)


def _of_runs(make: Callable[..., str]) -> Callable[..., str]:
    return lambda results, *words: make(results.runs, *words)


_BOTH = 'TRAINING_SET TEST_SET'
PARTS = dict(
    trainings=Part('', _of_runs(trainings)),
    headline=Part(_BOTH, _of_runs(headline)),
    differences=Part(_BOTH, _of_runs(differences)),
    sizes=Part(_BOTH, _of_runs(sizes)),
    guard=Part(_BOTH, _of_runs(guard)),
    random_split=Part('TRAINING_SET', _of_runs(random_split)),
    curves=Part('TRAINING_SET', Results.curves),
    gain_distribution=Part('TRAINING_SET', Results.gain_distribution),
    errors=Part(_BOTH, _of_runs(errors)),
    gains=Part(_BOTH, _of_runs(gains)),
    calibration=Part(_BOTH, _of_runs(calibration)),
    cost=Part('', lambda results: cost(results.folder)),
    ablations=Part('', lambda results: ablations(results.folder)),
    value=Part(f'{_BOTH} ROW METRIC', Results.value, in_text=True),
    difference=Part(f'{_BOTH} DIFFERENCE METRIC', Results.difference, in_text=True),
    p=Part(f'{_BOTH} DIFFERENCE', Results.p, in_text=True),
)


def render(template: str, results: Results) -> str:
    """Fill a template.

    Args:
        template (str): Markdown with markers ``{{ name words }}``, the names and words of `PARTS`.
        results (Results): What they are filled with.

    Returns:
        str: The page. Where a marker's runs are missing it says so.

    Raises:
        ValueError: If a marker is none of `PARTS`, or has other words.
    """
    return NOTICE + MARKER.sub(lambda match: _fill(match['words'], results), template)


def _fill(words: str, results: Results) -> str:
    name, *arguments = words.split() or ['']
    _known('marker', name, PARTS)
    part = PARTS[name]
    if len(arguments) != len(part.arguments.split()):
        raise ValueError(f'the marker {{{{ {words} }}}}: expected {{{{ {f"{name} {part.arguments}".strip()} }}}}')
    try:
        return part.make(results, *arguments)
    except MissingRuns as missing:
        return f'(not there yet: {missing})' if part.in_text else f'*Not there yet: {missing}.*'


def _known(what: str, name: str, known: dict) -> None:
    if name not in known:
        raise ValueError(f'there is no {what} {name!r}{did_you_mean(name, known)}; there are {", ".join(known)}')
