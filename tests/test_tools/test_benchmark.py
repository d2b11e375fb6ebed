"""The benchmark: its arithmetic on times given by hand, its gates, and its sections of single parts, tiny."""

import io
import json
import math
import subprocess
import time
import weakref
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from rich.console import Console
from torch import nn

from ultrarefiner.models.peft import LoRAAdapter

TOOLS = Path(__file__).resolve().parents[2] / 'tools' / 'analysis_tools'
MIB = 2**20


@pytest.fixture(scope='module')
def bench():
    """Gives the tool by the name 'benchmark', and the modules of its package by theirs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(TOOLS))
        yield lambda name: import_module(name if name == 'benchmark' else f'benchmarks.{name}')


@pytest.fixture(scope='module', autouse=True)
def one_thread():
    """Networks as small as these are no faster on more, and far slower where others wait for the cores as well."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope='module')
def harness(bench):
    return bench('harness')


@pytest.fixture
def small(harness):
    return lambda precision='fp32': harness.Options(precision=precision, rounds=1, size='small')


@pytest.fixture
def in_process(bench, monkeypatch):
    """The tool, with its sections run in this process."""
    tool = bench('benchmark')
    monkeypatch.setattr(tool, 'measure_apart', tool.measure)
    monkeypatch.setattr(tool, 'SECTIONS', ('encoder', 'decoder'))
    return tool


def measurement(harness, seconds, flops=None):
    return harness.Measurement(harness.Variant('a', lambda: 0, flops), seconds, peak_mib=1.0, result=None)


def section_with(harness, error=0.0, measured=2.0):
    base = measurement(harness, [2.0, 4.0], flops=8e9)
    section = harness.Section('title', notes=['left out'])
    section.rows += [harness.Row.of(base, base, read_ms=0.5), harness.Row('bare', values=dict(mib_an_image=2.0))]
    section.gates.append(harness.Gate('equal', error, 1e-5))
    section.goals.append(harness.Goal('faster', measured, 1.5))
    return section


def run_with(bench, harness, **values):
    machine = dict(matmul_fp32_gflops_per_s=8.0, matmul_bf16_gflops_per_s=16.0)
    return bench('report').Run('encoder', harness.Options(), machine, section_with(harness, **values))


def test_ratios_are_paired_round_by_round(harness):
    base, ours = measurement(harness, [2.0, 9.0, 4.0]), measurement(harness, [1.0, 3.0, 4.0])
    assert harness.ratio(base, ours) == harness.Ratio(median=2.0, worst=1.0)
    with pytest.raises(ValueError):
        harness.ratio(base, measurement(harness, [1.0]))


def test_rate_is_that_of_the_median_round(harness):
    assert measurement(harness, [1.0, 2.0, 10.0], flops=4e9).gflops_per_s == 2.0
    assert measurement(harness, [1.0]).gflops_per_s is None


def test_variants_run_in_turns_on_their_matmul_path(harness):
    seen = []
    variants = [
        harness.Variant(name, lambda n=name: seen.append((n, torch.get_float32_matmul_precision())) or n, matmul=path)
        for name, path in (('a', 'highest'), ('b', 'medium'))
    ]
    before = torch.get_float32_matmul_precision()
    measured = harness.alternate(variants, rounds=2)
    assert seen == 3 * [('a', 'highest'), ('b', 'medium')]  # a warm-up and two rounds
    assert torch.get_float32_matmul_precision() == before
    assert [(name, len(one.seconds), one.result) for name, one in measured.items()] == [('a', 2, 'a'), ('b', 2, 'b')]


def test_a_result_is_freed_before_its_variant_runs_again(harness):
    made, alive = [], []

    def run():
        alive.append(sum(result() is not None for result in made))
        result = nn.Linear(1, 1)
        result.cycle = [result]  # which only a garbage collection frees
        made.append(weakref.ref(result))
        return result

    harness.alternate([harness.Variant('a', run)], rounds=2)
    assert alive == [0, 0, 0]


def test_peak_memory_counts_from_before_the_run(harness):
    def holding(mib):
        def run():
            twice = [torch.ones(mib * MIB // 4) for _ in range(2)]
            time.sleep(0.1)  # long enough to be seen where others wait for the cores as well
            return len(twice)

        return run

    held = torch.ones(64 * MIB // 4)
    measured = harness.alternate([harness.Variant(str(mib), holding(mib)) for mib in (64, 16)], rounds=1)
    assert held[0] == 1
    assert 120 < measured['64'].peak_mib < 150 and 30 < measured['16'].peak_mib < 60


@pytest.mark.parametrize('names, rounds', [('aa', 1), ('ab', 0)])
def test_what_cannot_be_alternated_is_refused(harness, names, rounds):
    with pytest.raises(ValueError, match='alternate: '):
        harness.alternate([harness.Variant(name, lambda: 0) for name in names], rounds)


def test_relative_error_by_hand(bench):
    error = bench('equality').relative_error
    one, other = torch.tensor([3.0, 5.0]), torch.tensor([3.0, 4.0])
    assert error(one, other) == pytest.approx(1 / 5)
    assert error(dict(a=one, b=[12.0]), dict(a=other, b=[12.0])) == pytest.approx(1 / 13)
    assert error(other, other) == error(0.0, 0.0) == 0 and error(1.0, 0.0) == math.inf
    for wrong in (dict(a=one), one[:1], [other]):
        with pytest.raises(ValueError, match='relative_error: '):
            error(wrong, other)


def test_gates_and_goals_judge(harness, bench):
    nan = bench('equality').relative_error(torch.tensor(math.nan), torch.tensor(1.0))
    assert [harness.Gate('', error, 1e-5).passed for error in (1e-5, 2e-5, nan)] == [True, False, False]
    goals = [harness.Goal('', measured, 2.0, way) for way in ('>=', '<=') for measured in (1.0, 2.0, 3.0, math.nan)]
    assert [goal.passed for goal in goals] == [False, True, True, False, True, True, False, False]
    with pytest.raises(ValueError):
        harness.Goal('', 1.0, 2.0, '>')


def test_report_survives_json(bench, harness):
    run = run_with(bench, harness)
    plain = json.loads(json.dumps(run.to_json()))
    assert bench('report').Run.from_json(plain) == run
    first, bare = plain['rows']
    assert (
        first['median_seconds'] == 3.0 and first['times_as_fast_median'] == 1.0 and first['values'] == {'read_ms': 0.5}
    )
    assert first['share_of_matmul_peak'] == pytest.approx(8 / 3 / 8) and bare['share_of_matmul_peak'] is None
    assert plain['gates'][0]['passed'] and plain['goals'][0]['passed']


def test_report_says_what_failed_and_what_was_not_reached(bench, harness):
    console = Console(width=200, file=io.StringIO())
    bench('report').show([run_with(bench, harness, error=1e-3, measured=1.0)], console)
    text = console.file.getvalue()
    assert all(part in text for part in ('FAILED', 'not reached', 'read_ms', 'mib_an_image', '33%', 'left out'))


def test_matmul_path_is_fast_only_where_it_is_float32(bench):
    peaks = bench('machine').MatmulPeaks
    assert peaks(4, 100, 200, 400, medium_error=1e-6).fp32 == 200
    coarse = peaks(4, 100, 200, 400, medium_error=1e-3)
    assert coarse.fp32 == 100 and coarse.fast_matmul == 'highest'


@pytest.mark.parametrize('precision', ['fp32', 'bf16'])
@pytest.mark.parametrize('name', ['encoder', 'lora', 'decoder', 'transunet'])
def test_sections_are_equal_to_the_public_implementation(bench, small, name, precision):
    section = bench(name).run(small(precision))
    assert [gate for gate in section.gates if not gate.passed] == []
    assert any(gate.error > 0 for gate in section.gates)  # two programs, and not one compared with itself
    assert section.rows[0].ratio.median == 1 and all(row.seconds for row in section.rows)
    makers = dict.fromkeys(row.name.rsplit(',', 1)[0] for row in section.rows)
    if (name, precision) == ('encoder', 'fp32'):
        assert list(makers) == ['segment_anything', 'ours', 'transformers eager', 'transformers sdpa']


@pytest.mark.parametrize(
    'name, attribute, wrong',
    [
        ('lora', 'adapt', lambda *encoders: [LoRAAdapter().inject(encoder) for encoder in encoders]),
        ('decoder', 'SELECTION_TEMPERATURE', 0.5),
        ('transunet', 'math', SimpleNamespace(sqrt=lambda _: 1.0)),
    ],
)
def test_a_section_that_compares_different_things_fails_its_gate(bench, small, monkeypatch, name, attribute, wrong):
    monkeypatch.setattr(bench(name), attribute, wrong)
    assert not all(gate.passed for gate in bench(name).run(small()).gates)


def test_lora_gradients_are_there(bench, small):
    encoders, lora = bench('encoders').EncoderBench.make(small()), bench('lora')
    ours = encoders.ours()
    lora.adapt(ours)
    gradients = lora.lora_gradients(encoders.images, torch.ones(1, *encoders.embedding_shape), ours, 'fp32')
    assert len(gradients) == 2 * encoders.architecture.depth
    assert all(gradient.norm() > 0 for gradient in gradients.values())


def test_a_wrong_encoder_fails_its_gate(bench, in_process, monkeypatch):
    def off(self):
        encoder = right(self)
        attention = encoder.blocks[1].attn
        attention.rel_pos_h = nn.Parameter(attention.rel_pos_h.flip(0))
        return encoder

    right = bench('encoders').EncoderBench.ours
    arguments = ['encoder', '--size', 'small', '--rounds', '1', '--precision', 'fp32', '--allocator', 'default']
    assert in_process.main(arguments) == 0
    monkeypatch.setattr(bench('encoders').EncoderBench, 'ours', off)
    assert in_process.main(arguments) == 1


def test_goals_on_a_gpu_are_those_of_bf16(bench, harness, monkeypatch):
    """At half the matmul peak the first goal is reached and the second is not."""
    encoder = bench('encoder')
    monkeypatch.setattr(encoder, 'matmul_peaks', lambda *_: SimpleNamespace(fp32=1.0, bf16=2.0))
    base, original, ours = (measurement(harness, [seconds], flops=1e9) for seconds in (6.0, 3.0, 1.0))
    goals = encoder.goals(harness.Options(device='cuda', precision='bf16'), base, original, ours)
    assert [(goal.measured, goal.passed) for goal in goals] == [
        (6.0, True),
        (3.0, True),
        (1.0, False),  # of the memory
        (0.5, True),
        (0.5, False),
    ]


@pytest.mark.parametrize('values, code', [({}, 0), (dict(measured=1.0), 0), (dict(error=1e-3), 1), (None, 1)])
def test_exit_code(bench, harness, in_process, monkeypatch, tmp_path, values, code):
    """A goal that was missed is no failure; a gate is, and a section that broke."""
    made = None if values is None else run_with(bench, harness, **values)
    monkeypatch.setattr(in_process, 'measure_apart', lambda *_: made)
    path = tmp_path / 'report.json'
    assert in_process.main(['encoder', '--allocator', 'tuned', '--precision', 'bf16', '--json', str(path)]) == code
    written = json.loads(path.read_text())
    assert written['format'] == in_process.FORMAT and len(written['runs']) == (made is not None)


def test_every_section_runs_once_for_each_allocator_and_precision(in_process):
    planned = in_process.plan(in_process.parse(['decoder', 'encoder', 'decoder', '--device', 'cpu', '--rounds', '3']))
    assert [(name, one.allocator, one.precision, one.rounds) for name, one in planned] == [
        (name, allocator, precision, 3)
        for name in ('decoder', 'encoder')
        for allocator in ('default', 'tuned')
        for precision in ('fp32', 'bf16')
    ]
    planned = in_process.plan(in_process.parse(['all', '--device', 'cuda', '--precision', 'bf16']))
    assert [(name, one.allocator) for name, one in planned] == [('encoder', 'default'), ('decoder', 'default')]
    with pytest.raises(SystemExit):
        in_process.parse(['encoder', '--rounds', '0'])


@pytest.mark.parametrize('allocator', ['default', 'tuned'])
def test_a_worker_has_its_allocator_and_hands_its_run_back(bench, harness, monkeypatch, allocator):
    tool, run = bench('benchmark'), run_with(bench, harness)
    environments = []

    def start(command, env):
        environments.append(env)
        return subprocess.CompletedProcess(command, tool.main(command[2:]))

    monkeypatch.setenv('MALLOC_MMAP_MAX_', '7')
    monkeypatch.setattr(tool.subprocess, 'run', start)
    monkeypatch.setattr(
        tool, 'measure', lambda section, options: bench('report').Run(section, options, run.machine, run.result)
    )
    options = harness.Options(allocator=allocator, threads=3)
    found = tool.measure_apart('decoder', options)
    assert (found.section, found.options, found.result) == ('decoder', options, run.result)
    [environment] = environments
    assert environment['OMP_NUM_THREADS'] == '3'
    expected = tool.TUNED if allocator == 'tuned' else {}
    assert {name: environment[name] for name in tool.TUNED if name in environment} == expected
