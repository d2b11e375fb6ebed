"""The benchmark's sections of the phases: the authors' step against known values, and every section on a tiny SAM."""

import math
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

FOLDER = Path(__file__).resolve().parents[2] / 'tools' / 'analysis_tools'


@pytest.fixture(scope='module')
def bench():
    """Gives the benchmark's modules by their names; one thread is the fastest on so little."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(FOLDER))
        yield lambda name: import_module(f'benchmarks.{name}')
    torch.set_num_threads(threads)


@pytest.fixture(scope='module')
def authors(bench):
    return bench('authors_step')


@pytest.fixture(scope='module')
def refiner(bench, authors):
    return authors.AuthorsRefiner(authors.public_sam(bench('toolkit_step').architecture_of('small')))


@pytest.fixture
def options(bench):
    def make(precision='fp32'):
        return bench('harness').Options(precision=precision, rounds=1, size='small')

    return make


def rectangle(height, width, rows, columns):
    mask = torch.zeros(1, 1, height, width)
    mask[..., rows, columns] = 1
    return mask


def test_centroid_of_two_weights(authors):
    weights = torch.zeros(1, 4, 6)
    weights[0, 1, 2], weights[0, 1, 4] = 1, 3
    torch.testing.assert_close(authors.centroid(weights), torch.tensor([[3.5, 1.0]]))


def test_box_of_a_rectangle_is_two_and_a_half_standard_deviations(authors):
    box = authors.moment_boxes(rectangle(14, 12, slice(4, 7), slice(3, 7)))
    # Of 4 and of 3 pixels side by side the variance is (4^2 - 1) / 12 and (3^2 - 1) / 12, that of a pixel 1 / 12.
    half_width, half_height = 2.5 * math.sqrt(16 / 12), 2.5 * math.sqrt(9 / 12)
    expected = torch.tensor([[4.5 - half_width, 5 - half_height, 4.5 + half_width, 5 + half_height]])
    torch.testing.assert_close(box, expected, rtol=1e-5, atol=1e-5)


def test_box_stays_in_the_image(authors):
    box = authors.moment_boxes(torch.ones(1, 1, 10, 20))
    assert box.tolist() == [[0, 0, 19, 9]]


def test_mask_prompt_is_linear_and_takes_the_pixels_around_a_cell_centre(refiner):
    mask = torch.rand(1, 1, 64, 64)
    pairs = mask.unflatten(3, (16, 4))[..., 1:3].mean(dim=-1).unflatten(2, (16, 4))[:, :, :, 1:3].mean(dim=3)
    torch.testing.assert_close(refiner.mask_prompts(mask), 20 * pairs - 10)


def test_roi_has_a_margin_and_a_smallest_size(authors):
    mask = rectangle(160, 160, slice(60, 100), slice(70, 90))
    box, roi = authors.moment_boxes(mask), authors.roi_boxes(mask)
    torch.testing.assert_close(roi[:, 2:] - roi[:, :2], 1.4 * (box[:, 2:] - box[:, :2]))
    point = authors.roi_boxes(rectangle(160, 160, slice(80, 81), slice(80, 81)))
    torch.testing.assert_close(point, torch.tensor([[75.0, 75.0, 85.0, 85.0]]))


def test_crop_and_paste_give_back_a_smooth_map_inside_and_nothing_outside(authors):
    y, x = torch.meshgrid(torch.arange(64.0), torch.arange(64.0), indexing='ij')
    maps, boxes = (x + 2 * y)[None, None], torch.tensor([[16.0, 8.0, 48.0, 40.0]])
    pasted = authors.paste(authors.crop(maps, boxes), boxes)
    torch.testing.assert_close(pasted[..., 11:37, 19:45], maps[..., 11:37, 19:45], rtol=1e-3, atol=1e-3)
    assert pasted[..., 44:, :].abs().max() < 1e-3 and pasted[..., :12].abs().max() < 1e-3


def test_gradient_of_the_place_of_a_crop_runs_through_the_image_encoder(authors, refiner):
    images, coarse = torch.randn(1, 3, 64, 64), torch.rand(1, 1, 64, 64, requires_grad=True)
    boxes = authors.roi_boxes(coarse)
    features = refiner.sam.image_encoder(authors.crop(images, boxes))
    (gradient,) = torch.autograd.grad(features.square().sum(), boxes)
    assert gradient.abs().min() > 0


def test_a_batch_is_its_images_one_by_one(refiner):
    images, coarse = torch.randn(3, 3, 64, 64), torch.rand(3, 1, 32, 32)
    with torch.no_grad():
        batch = refiner(images, coarse)
        alone = [refiner(image[None], mask[None]) for image, mask in zip(images, coarse)]
    torch.testing.assert_close(batch, torch.cat(alone), rtol=1e-4, atol=1e-5)


def test_candidates_are_mixed_by_their_predicted_iou(refiner, monkeypatch):
    masks = torch.tensor([1.0, 2.0, 4.0]).view(1, 3, 1, 1).expand(1, 3, 16, 16)
    judged = torch.tensor([[0.1, 0.1, 0.1 + 0.1 * math.log(2)]])
    monkeypatch.setattr(refiner.sam.mask_decoder, 'forward', lambda **_: (masks, judged))
    logits = refiner.decode(torch.zeros(1, 16, 4, 4), torch.rand(1, 1, 64, 64))
    torch.testing.assert_close(logits, torch.full((1, 1, 64, 64), (1 + 2 + 2 * 4) / 4))


def test_loss_of_an_undecided_mask(authors):
    truth = torch.zeros(1, 1, 8, 8)
    truth[..., :4] = 1
    loss = authors.phase2_loss(torch.zeros(1, 1, 8, 8), truth, truth)
    assert float(loss) == pytest.approx(math.log(2) + 1 - (2 * 16 + 1) / (64 + 1) + 0.5 * 0.5)


def test_joint_loss_of_an_undecided_coarse_network(authors):
    truth = torch.zeros(1, 1, 8, 8)
    truth[..., :4] = 1
    loss = authors.phase3_loss(torch.zeros(1, 2, 8, 8), 100 * (2 * truth - 1), truth, truth[:, 0].long())
    # A perfect refined mask costs nothing; each class has p = 0.5 and covers half: Dice 2 * 16 / (16 + 32).
    assert float(loss) == pytest.approx(0.5 * (0.5 * math.log(2) + 0.5 / 3), rel=1e-4)


def test_the_coarse_network_of_the_full_size_is_built(bench):
    phase3 = bench('phase3')
    phase3.init_default_scope('ultrarefiner')
    with torch.device('meta'):
        coarse = phase3.MODELS.build(phase3.coarse_config('full'))
    assert coarse.backbone.img_size == (phase3.COARSE_SIDES['full'],) * 2


@pytest.mark.parametrize('precision', ['fp32', 'bf16'])
@pytest.mark.parametrize('name', ['phase2', 'phase3', 'inference', 'cache'])
def test_section_is_equal_where_it_has_to_be(bench, options, name, precision):
    section = bench(name).run(options(precision))
    assert section.gates and [gate.name for gate in section.gates if not gate.passed] == []
    assert all(math.isfinite(goal.measured) and goal.measured > 0 for goal in section.goals)
    assert len({row.name for row in section.rows}) == len(section.rows) > 3
    if (name, precision) == ('phase2', 'fp32'):  # every way that is timed has its gradients compared
        exact = {gate.name: gate.limit for gate in section.gates if gate.name.endswith('gradients')}
        assert exact == {f'ours, fp32 {path}, float32 cache: gradients': 1e-5 for path in ('highest', 'medium')}


def test_authors_encode_in_every_step_and_ours_never(bench, options, tmp_path, monkeypatch):
    phase2 = bench('phase2').Phase2Bench(options(), tmp_path)
    phase2.ours()  # fills the cache
    calls = []
    monkeypatch.setattr(phase2.model.refiner, 'encode_image', lambda *_: pytest.fail('encoded'))
    phase2.authors_step.refiner.sam.image_encoder.register_forward_hook(lambda *_: calls.append(1))
    before = [weight.clone() for weight in phase2.model.refiner.mask_decoder.parameters()]
    assert phase2.ours() == pytest.approx(phase2.ours(side=64), rel=0.5)
    after = phase2.model.refiner.mask_decoder.parameters()
    assert any(not torch.equal(old, new) for old, new in zip(before, after))
    phase2.authors_step()
    phase2.authors_step()
    assert len(calls) == 2


def test_joint_step_encodes_the_crop_or_the_image_and_with_a_cache_nothing(bench, options, tmp_path):
    phase3 = bench('phase3')
    steps, seen = phase3.Phase3Bench(options()), []
    steps.whole.image_encoder.register_forward_hook(lambda _, inputs, __: seen.append(inputs[0].clone()))
    cache = phase3.EmbeddingCache(tmp_path)
    for arguments in ({}, dict(crop=True), dict(cache=cache), dict(cache=cache)):
        steps.ours(**arguments)
    assert len(seen) == 3
    assert torch.equal(seen[0], seen[2]) and not torch.equal(seen[0], seen[1])


def test_images_of_the_cache_differ(bench):
    images = {bench('cache').numbered_image(number).numpy().tobytes() for number in range(2500)}
    assert len(images) == 2500


def test_samples_of_the_authors_are_float32_of_the_input_size(bench, tmp_path):
    pipeline = bench('pipeline')
    pipeline.write_dataset(tmp_path / 'data', 3, different=1)
    samples = pipeline.AuthorsSamples(tmp_path / 'data', side=64)
    assert len(samples) == 3
    sample = samples[2]
    assert sum(tensor.nbytes for tensor in pipeline.tensors_of(sample)) == 5 * 4 * 64 * 64
    stored = np.load(tmp_path / 'data' / 'coarse' / '00000.npy')
    nearest = F.interpolate(sample['truth'][None], stored.shape, mode='nearest')[0, 0].numpy()
    assert abs(nearest - stored).mean() < 0.02


def test_loading_section(bench, options):
    section = bench('pipeline').run(options())
    assert all(gate.passed for gate in section.gates)
    theirs, few, many = (row.values for row in section.rows[:3])
    assert theirs['mib_a_sample'] == 5 * 4 * 64 * 64 / 2**20
    assert few['mib_a_sample'] == pytest.approx(many['mib_a_sample'], rel=0.2) and few['mib_a_sample'] > 0


@pytest.mark.parametrize('precision', ['fp32', 'bf16'])
def test_stages_section(bench, options, precision):
    section = bench('stages').run(options(precision))
    assert all(gate.passed for gate in section.gates)
    assert [row.name for row in section.rows] == ['coarse', 'prompts', 'image encoder', 'decoder', 'whole']
    shares = {row.name: row.values['share_of_whole'] for row in section.rows}
    assert shares['whole'] == 1 and 0 < shares['prompts'] < 1
    rates = {row.name: row.gflops_per_s for row in section.rows}
    assert rates['prompts'] is None and rates['image encoder'] > 0


@pytest.mark.parametrize(
    'name, stages',
    [
        ('transunet/transunet_small_1xb8-4e_busi-96x96.py', ['coarse', 'whole']),
        (
            'ultrarefiner/ultrarefiner_conv-small_soft-prompts_phase2-1xb4-3e_busi-192x192.py',
            ['coarse', 'prompts', 'image encoder', 'decoder', 'whole'],
        ),
    ],
)
def test_stages_of_a_config_of_the_users(bench, options, name, stages):
    section = bench('stages').run(replace(options(), model=str(FOLDER.parents[1] / 'configs' / name)))
    assert [row.name for row in section.rows] == stages and section.gates[0].passed
    assert name in section.title


def test_a_wrong_stage_fails_the_gate(bench, options, monkeypatch):
    stages = bench('stages')
    right = stages.StageBench.run_decoder
    monkeypatch.setattr(stages.StageBench, 'run_decoder', lambda self: right(self) + 1e-2)
    assert not stages.run(options()).gates[0].passed
