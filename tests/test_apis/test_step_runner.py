"""Steps run in order, neighbours at once; a failure is shown and stops what comes after."""

from pathlib import Path

import pytest
from mmengine.config import Config
from rich.console import Console

from ultrarefiner.apis.phases import Step
from ultrarefiner.apis.step_runner import StepFailed, StepRunner

TRAIN_LINE = (
    '11/23 - mmengine - INFO - Epoch(train) [2][10/52]  lr: 1e-3  eta: 0:01:00  time: 0.2  loss: 0.4321  loss_a: 0.1'
)
VAL_LINE = (
    '11/23 - mmengine - INFO - Epoch(val) [2][13/13]    coarse/Dice: 0.7000  coarse/IoU: 0.6  refined/Dice: 0.7500'
)


def step(title: str, output: Path, phase: str = 'coarse', code: str = '') -> Step:
    """A step whose tool is a Python file that runs ``code``."""
    tool = output.parent / f'{title}.py'
    tool.write_text(code + f'\nimport pathlib\npathlib.Path({str(output)!r}).touch()\n')
    return Step(title, tool.name, (), output, Config(dict(phase=phase, train_cfg=dict(max_epochs=4), work_dir='none')))


def run(folder: Path, steps: list[Step], capsys, **arguments) -> str:
    StepRunner(folder, folder / 'logs', console=Console(width=200), **arguments).run(steps)
    return capsys.readouterr().out


def test_validations_and_the_end_are_shown_and_all_output_is_kept(tmp_path, capsys):
    code = f'print({TRAIN_LINE!r})\nprint({VAL_LINE!r})'
    out = run(tmp_path, [step('one', tmp_path / 'one.done', code=code)], capsys)
    assert 'one, epoch 2: Dice coarse 0.7000, refined 0.7500' in out and 'one: done in' in out
    assert (tmp_path / 'logs' / 'one.log').read_text().splitlines() == [TRAIN_LINE, VAL_LINE]


def test_a_failure_is_shown_and_nothing_after_it_is_started(tmp_path, capsys):
    first = step('bad', tmp_path / 'bad.done', code='raise SystemExit("the reason")')
    second = step('later', tmp_path / 'later.done', phase='refine')
    with pytest.raises(StepFailed, match='(?s)bad failed with exit code 1; .*bad.log.*the reason'):
        run(tmp_path, [first, second], capsys)
    assert not second.output.exists()


def test_independent_steps_run_at_once_and_share_the_cores(tmp_path, capsys):
    # Each waits for the other, which only ends where both run at once.
    (tmp_path / 'wait.py').write_text("""
import os, pathlib, sys, time
assert int(os.environ['OMP_NUM_THREADS']) >= 1
pathlib.Path(sys.argv[1]).touch()
start = time.time()
while not pathlib.Path(sys.argv[2]).exists():
    assert time.time() < start + 20, 'the other one never started'
    time.sleep(0.01)
""")
    names = [str(tmp_path / 'a'), str(tmp_path / 'b')]
    cfg = Config(dict(phase='coarse', work_dir='none'))
    steps = [Step(Path(a).name, 'wait.py', (a, b), Path(a), cfg) for a, b in (names, names[::-1])]
    out = run(tmp_path, steps, capsys, jobs=2)
    assert 'a: done' in out and 'b: done' in out


def test_folds_that_wait_are_not_started_after_a_failure(tmp_path, capsys):
    steps = [step('bad', tmp_path / 'bad.done', code='raise SystemExit(1)')]
    steps += [step(f'later{i}', tmp_path / f'later{i}.done') for i in range(3)]
    (tmp_path / 'one_tool.py').write_text('import runpy, sys\nrunpy.run_path(sys.argv[1])\n')
    steps = [Step(s.title, 'one_tool.py', (str(tmp_path / s.tool),), s.output, s.cfg) for s in steps]
    with pytest.raises(StepFailed):
        run(tmp_path, steps, capsys)
    assert not steps[-1].output.exists()


def test_each_job_gets_one_of_the_users_gpus(tmp_path, monkeypatch):
    monkeypatch.setattr('torch.cuda.device_count', lambda: 2)
    monkeypatch.setenv('CUDA_VISIBLE_DEVICES', '4,5')
    runner = StepRunner(tmp_path, tmp_path, jobs=3)
    assert [runner._environment(slot)['CUDA_VISIBLE_DEVICES'] for slot in range(3)] == ['4', '5', '4']


def test_jobs_and_processes_together_are_refused(tmp_path):
    with pytest.raises(ValueError, match='--jobs 2 and --processes 2'):
        StepRunner(tmp_path, tmp_path, jobs=2, processes=2)


def run_chains(folder: Path, chains: list[list[Step]]) -> dict[int, StepFailed | None]:
    runner = StepRunner(folder, folder / 'logs', console=Console(width=200))
    return dict(runner.run_chains(chains))


def test_a_failure_ends_its_own_chain_only(tmp_path):
    chains = [
        [
            step('bad', tmp_path / 'bad.done', code='raise SystemExit("the reason")'),
            step('after', tmp_path / 'after.done'),
        ],
        [step('good', tmp_path / 'good.done'), step('better', tmp_path / 'better.done')],
    ]
    ended = run_chains(tmp_path, chains)
    assert ended[0].reason == 'the reason' and ended[1] is None
    assert sorted(path.name for path in tmp_path.glob('*.done')) == ['better.done', 'good.done']


def test_the_steps_of_a_chain_wait_for_each_other(tmp_path):
    first = step('first', tmp_path / 'first.done', code='import time\ntime.sleep(0.2)')
    second = step('second', tmp_path / 'second.done', code=f'open({str(first.output)!r})')
    assert run_chains(tmp_path, [[first, second]]) == {0: None}


@pytest.mark.parametrize(
    'code, reason',
    [
        ('import sys\nprint("one")\nprint("two\\n")\nsys.exit(3)', 'two'),
        ('raise SystemExit(3)', 'exit code 3'),
        ('import os\nprint("so far so good", flush=True)\nos.kill(os.getpid(), 9)', 'killed by signal 9'),
    ],
)
def test_the_reason_of_a_failure_is_the_last_line_or_the_signal(tmp_path, code, reason):
    assert run_chains(tmp_path, [[step('bad', tmp_path / 'bad.done', code=code)]])[0].reason == reason
