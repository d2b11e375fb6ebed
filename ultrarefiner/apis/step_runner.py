"""Running the steps of a pipeline: several at once where they do not depend on each other, with their progress."""

from __future__ import annotations

import itertools
import os
import re
import subprocess
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from queue import SimpleQueue

import torch
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from .phases import Step

TRAINING = re.compile(r'Epoch\(train\)\s+\[(\d+)\]\[\s*(\d+)/(\d+)\].*?\bloss: (\S+)')
VALIDATION = re.compile(r'Epoch\(val\) \[(\d+)\].*?((?:coarse|refined)/Dice: .*)')
DICE = re.compile(r'\b(coarse|refined|delta)/Dice: (-?[\d.]+)')
LINES_OF_A_FAILURE = 25


class StepFailed(RuntimeError):
    """A step ended with an error; the message holds the end of its output and where the rest is.

    Args:
        message (str): For people.
        reason (str): The last line of its output, or the signal that killed it.
    """

    def __init__(self, message: str, reason: str = ''):
        super().__init__(message)
        self.reason = reason


class StepRunner:
    """Runs steps as processes of their own, shows a bar for each, and keeps their output in files.

    Args:
        tools (Path): The folder of the command-line tools.
        log_dir (Path): Where the output of each step goes.
        jobs (int): Steps that run at once, where they do not depend on each other. On GPUs each job gets one of those
            that are visible; on CPUs the cores are shared out. Defaults to 1.
        processes (int): Processes (GPUs) of each training. Defaults to 1.
        console (Console, optional): rich's.

    Raises:
        ValueError: If both ``jobs`` and ``processes`` are above 1.
    """

    def __init__(self, tools: Path, log_dir: Path, jobs: int = 1, processes: int = 1, console: Console | None = None):
        if jobs > 1 and processes > 1:
            raise ValueError(f'--jobs {jobs} and --processes {processes}: give folds a GPU each, or one fold all GPUs')
        self.tools, self.log_dir, self.jobs, self.processes = tools, log_dir, jobs, processes
        self.console = console or Console()
        self._slots: SimpleQueue[int] = SimpleQueue()
        for slot in range(jobs):
            self._slots.put(slot)

    def run(self, steps: Iterable[Step]) -> None:
        """Run steps that stand in their order; neighbours with the same tool and phase are independent.

        Raises:
            StepFailed: If a step fails; those that run beside it are finished first, later ones are not started.
        """
        for _, group in itertools.groupby(steps, key=lambda step: (step.tool, step.cfg.get('phase'))):
            with self._progress() as progress, ThreadPoolExecutor(self.jobs) as pool:
                results = [pool.submit(self._run_one, step, progress) for step in group]
                try:
                    for result in results:
                        result.result()
                finally:
                    pool.shutdown(cancel_futures=True)

    def run_chains(self, chains: Iterable[Sequence[Step]]) -> Iterator[tuple[int, StepFailed | None]]:
        """Run chains of steps that do not depend on each other; a failure ends its own chain only.

        Args:
            chains (Iterable[Sequence[Step]]): The steps of each chain in their order.

        Yields:
            tuple[int, StepFailed | None]: As soon as a chain has ended, its number from 0 and its failure, if any.
        """
        with self._progress() as progress, ThreadPoolExecutor(self.jobs) as pool:
            results = {pool.submit(self._run_chain, chain, progress): number for number, chain in enumerate(chains)}
            try:
                for result in as_completed(results):
                    yield results[result], result.result()
            finally:
                pool.shutdown(cancel_futures=True)

    def _run_chain(self, chain: Sequence[Step], progress: Progress) -> StepFailed | None:
        try:
            for step in chain:
                self._run_one(step, progress)
        except StepFailed as failure:
            return failure
        return None

    def _progress(self) -> Progress:
        return Progress(
            TextColumn('{task.description}'),
            BarColumn(),
            TextColumn('{task.fields[state]}'),
            TimeElapsedColumn(),
            console=self.console,
        )

    def _run_one(self, step: Step, progress: Progress) -> None:
        slot, started = self._slots.get(), time.time()
        task = progress.add_task(step.title, total=step.cfg.get('train_cfg', {}).get('max_epochs', 1), state='starting')
        try:
            self._run_process(step, slot, progress, task)
            self._say(f'{step.title}: done in {time.time() - started:.0f} s')
        except StepFailed as failure:
            self._say(f'{step.title}: failed after {time.time() - started:.0f} s: {failure.reason}')
            raise
        finally:
            progress.remove_task(task)
            self._slots.put(slot)

    def _say(self, text: str) -> None:
        self.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def _run_process(self, step: Step, slot: int, progress: Progress, task: TaskID) -> None:
        self.log_dir.mkdir(parents=True, exist_ok=True)
        log = self.log_dir / (re.sub(r'[^\w.-]+', '_', step.title) + '.log')
        last_lines: deque[str] = deque(maxlen=LINES_OF_A_FAILURE)
        process = subprocess.Popen(
            step.command(self.tools, self.processes),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors='replace',
            env=self._environment(slot),
        )
        with log.open('a') as file:
            for line in process.stdout or ():
                file.write(line)
                last_lines.append(line)
                self._show(step, line, progress, task)
        code = process.wait()
        if code:
            raise StepFailed(
                f'{step.title} failed with exit code {code}; all of its output: {log}\n{"".join(last_lines)}',
                self._reason(code, last_lines),
            )

    @staticmethod
    def _reason(code: int, last_lines: Iterable[str]) -> str:
        said = [line.strip() for line in last_lines if line.strip()]
        return f'killed by signal {-code}' if code < 0 else said[-1] if said else f'exit code {code}'

    def _show(self, step: Step, line: str, progress: Progress, task: TaskID) -> None:
        training, validation = TRAINING.search(line), VALIDATION.search(line)
        if training:
            epoch, iteration, iterations, loss = training.groups()
            done = int(epoch) - 1 + int(iteration) / int(iterations)
            progress.update(task, completed=done, state=f'epoch {epoch} {iteration}/{iterations} loss {loss}')
        elif validation:
            dice = ', '.join(f'{stage} {value}' for stage, value in DICE.findall(validation.group(2)))
            self._say(f'{step.title}, epoch {validation.group(1)}: Dice {dice}')

    def _environment(self, slot: int) -> dict[str, str]:
        environment = dict(os.environ, PYTHONUNBUFFERED='1')
        if self.jobs > 1:
            threads = max(1, (os.cpu_count() or 1) // self.jobs)
            environment.setdefault('OMP_NUM_THREADS', str(threads))
            if torch.cuda.device_count():
                visible = environment.get('CUDA_VISIBLE_DEVICES') or ','.join(
                    map(str, range(torch.cuda.device_count()))
                )
                devices = visible.split(',')
                environment['CUDA_VISIBLE_DEVICES'] = devices[slot % len(devices)]
        return environment
