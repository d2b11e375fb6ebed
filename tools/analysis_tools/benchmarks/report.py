"""The benchmark's report: tables for people, JSON for programs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from itertools import groupby
from statistics import median

from rich.console import Console
from rich.table import Table

from .harness import Gate, Goal, Options, Ratio, Row, Section


@dataclass(frozen=True)
class Run:
    """One section, run once in a process of its own.

    Args:
        section (str): Its name.
        options (Options): What it was run with.
        machine (dict): From `machine.describe`.
        result (Section): What came out.
    """

    section: str
    options: Options
    machine: dict
    result: Section

    def share_of_peak(self, row: Row) -> float | None:
        """The row's rate as a share of the matmul peak of its precision, measured in the same process."""
        if row.gflops_per_s is None:
            return None
        return row.gflops_per_s / self.machine[f'matmul_{row.precision}_gflops_per_s']

    def to_json(self) -> dict:
        """As plain data that explains itself: keys name their units."""
        rows = []
        for row in self.result.rows:
            plain = dict(
                name=row.name,
                precision=row.precision,
                seconds=row.seconds,
                median_seconds=median(row.seconds) if row.seconds else None,
                peak_mib=row.peak_mib,
                times_as_fast_median=row.ratio and row.ratio.median,
                times_as_fast_worst=row.ratio and row.ratio.worst,
                gflops_per_s=row.gflops_per_s,
                share_of_matmul_peak=self.share_of_peak(row),
                values=row.values,
            )
            rows.append(plain)
        return dict(
            section=self.section,
            title=self.result.title,
            options=asdict(self.options),
            machine=self.machine,
            rows=rows,
            gates=[dict(**asdict(gate), passed=gate.passed) for gate in self.result.gates],
            goals=[dict(**asdict(goal), passed=goal.passed) for goal in self.result.goals],
            notes=self.result.notes,
        )

    @classmethod
    def from_json(cls, plain: dict) -> Run:
        """What `to_json` made."""
        rows = []
        for row in plain['rows']:
            ratio = row['times_as_fast_median'], row['times_as_fast_worst']
            rows.append(Row(**_arguments(Row, row), ratio=None if None in ratio else Ratio(*ratio)))
        gates, goals = (
            [kind(**_arguments(kind, part)) for part in plain[name]]
            for kind, name in ((Gate, 'gates'), (Goal, 'goals'))
        )
        result = Section(plain['title'], rows, gates, goals, plain['notes'])
        return cls(plain['section'], Options(**plain['options']), plain['machine'], result)


def _arguments(kind: type, plain: dict) -> dict:
    """Those entries that are fields of a dataclass."""
    return {field.name: plain[field.name] for field in fields(kind) if field.name in plain}


def show(runs: Sequence[Run], console: Console) -> None:
    """Print the runs of each section as one table, and under it its gates and goals."""
    for name, group in groupby(runs, key=lambda run: run.section):
        group = list(group)
        console.print(_times(name, group))
        console.print(_verdicts(name, group))
        for note in dict.fromkeys(note for run in group for note in run.result.notes):
            console.print(f'- {note}', markup=False)
        console.print()


def _times(name: str, runs: Sequence[Run]) -> Table:
    """A row for each variant in each run; a column of further values appears where a row has it."""
    extra = list(dict.fromkeys(key for run in runs for row in run.result.rows for key in row.values))
    table = Table('allocator', 'precision', 'variant', title=f'{name}: {runs[0].result.title}')
    headings = ('median s', 'min - max s', 'x as fast', 'worst', 'peak MiB', 'GFLOP/s', 'of matmul peak', *extra)
    for heading in headings:
        table.add_column(heading, justify='right')
    for run in runs:
        for index, row in enumerate(run.result.rows):
            times = row.seconds
            cells = (
                _number(median(times)) if times else '',
                f'{_number(min(times))} - {_number(max(times))}' if times else '',
                _number(row.ratio and row.ratio.median),
                _number(row.ratio and row.ratio.worst),
                '' if row.peak_mib is None else f'{row.peak_mib:,.0f}',
                '' if row.gflops_per_s is None else f'{row.gflops_per_s:,.0f}',
                '' if row.gflops_per_s is None else f'{run.share_of_peak(row):.0%}',
                *(_number(row.values.get(key)) for key in extra),
            )
            labels = (run.options.allocator, run.options.precision) if index == 0 else ('', '')
            table.add_row(*labels, row.name, *cells)
        table.add_section()
    return table


def _verdicts(name: str, runs: Sequence[Run]) -> Table:
    """A row for each gate and each goal."""
    table = Table('allocator', 'precision', 'gate or goal', title=f'{name}: equality and goals')
    for heading in ('measured', 'wanted'):
        table.add_column(heading, justify='right')
    table.add_column('')
    for run in runs:
        labels = run.options.allocator, run.options.precision
        for gate in run.result.gates:
            verdict = 'equal' if gate.passed else '[bold red]FAILED'
            table.add_row(*labels, f'equal: {gate.name}', f'{gate.error:.1e}', f'<= {gate.limit:.0e}', verdict)
        for goal in run.result.goals:
            verdict = '[green]reached' if goal.passed else '[yellow]not reached'
            wanted = f'{goal.direction} {_number(goal.wanted)}'
            table.add_row(*labels, goal.name, _number(goal.measured), wanted, verdict)
        table.add_section()
    return table


def _number(value: float | None) -> str:
    """Three digits that count."""
    return '' if value is None else f'{value:,.0f}' if abs(value) >= 1000 else f'{value:.3g}'
