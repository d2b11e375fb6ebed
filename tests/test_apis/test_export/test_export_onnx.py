"""What is exported to ONNX gives what the model gives, and so do the other ways from a file to a mask.

Writing ONNX takes a while even of small models. By default the pipeline runs the graphs that would be written; the slow
tests run the same with the files.
"""

import copy
import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from export_makers import PROMPTS, open_trained, save_trained, trained_cfg
from mmengine.registry import init_default_scope
from PIL import Image
from run_tool import run_tool
from segment_anything import SamPredictor
from segment_anything.modeling import ImageEncoderViT, Sam

from ultrarefiner.apis.config import load_config
from ultrarefiner.apis.export import predictor_arguments, write_onnx, write_sam
from ultrarefiner.apis.export.onnx_folder import NEEDED, compare, write_graph
from ultrarefiner.apis.export.pipeline_file import write_pipeline_file
from ultrarefiner.apis.export.stage_graphs import stage_graphs
from ultrarefiner.apis.inference.image_sources import find_sources
from ultrarefiner.apis.inference.inferencer import UltraRefinerInferencer
from ultrarefiner.registry import MODELS, PROMPT_GENERATORS
from ultrarefiner.structures import MEDSAM_PROFILE, SAM_PROFILE, InputProfile

ROOT = Path(__file__).resolve().parents[3]
BUSI = ROOT / '../shared/data/Dataset_BUSI_with_GT/benign/benign (1).png'

onnx_pipeline = pytest.importorskip('ultrarefiner.apis.export.onnx_pipeline', reason='needs onnxruntime')
pytestmark = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in NEEDED), reason='needs requirements/export.txt'
)


@pytest.fixture(scope='module')
def trained(small_parts, tmp_path_factory):
    """The path of a checkpoint, and its model."""
    path = save_trained(tmp_path_factory.mktemp('trained') / 'best.pth', trained_cfg(small_parts))
    return path, open_trained(path)


@pytest.fixture(scope='module')
def exported(trained, tmp_path_factory):
    """A folder with the ONNX files, and the differences that the export measured."""
    path, model = trained
    folder = tmp_path_factory.mktemp('exported') / 'onnx'
    return folder, write_onnx(model, folder, str(path))


@pytest.fixture(scope='module', params=['graphs', pytest.param('files', marks=pytest.mark.slow)])
def pipeline(request, trained, tmp_path_factory):
    if request.param == 'files':
        return onnx_pipeline.ONNXPipeline(request.getfixturevalue('exported')[0], threads=1)
    folder, model = tmp_path_factory.mktemp('graphs'), trained[1]
    graphs = stage_graphs(model, 'best.pth')
    write_pipeline_file(folder, model, graphs, {stage: f'{stage}.onnx' for stage in graphs})
    for stage in graphs:
        (folder / f'{stage}.onnx').touch()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            onnx_pipeline.onnxruntime, 'InferenceSession', lambda path, *_, **__: GraphSession(graphs[path.stem])
        )
        return onnx_pipeline.ONNXPipeline(folder)


class GraphSession:
    """What onnxruntime offers, of a graph that was not written."""

    def __init__(self, graph):
        self.graph = graph

    def run(self, names, inputs):
        outputs = self.graph.run({name: torch.from_numpy(inputs[name]) for name in self.graph.inputs})
        return [outputs[name].numpy() for name in names]


def pictures(*sizes):
    rng = np.random.default_rng(0)
    blocks = [rng.integers(0, 256, (5, 5, 3), dtype=np.uint8) for _ in sizes]
    return [np.asarray(Image.fromarray(block).resize(size[::-1])) for block, size in zip(blocks, sizes)]


@torch.no_grad()
def predicted(model, images):
    return model.predict([torch.from_numpy(image.transpose(2, 0, 1).copy()) for image in images])


@pytest.mark.parametrize('sizes', [[(50, 61)], [(40, 48), (70, 64), (33, 90)]], ids=['one image', 'three images'])
def test_the_pipeline_gives_what_the_model_gives(trained, pipeline, sizes):
    images = pictures(*sizes)
    for found, sample in zip(pipeline.segment(images), predicted(trained[1], images)):
        expected = sample.seg_logits.data.sigmoid().numpy()
        assert 0.02 < (expected > 0.5).mean() < 0.98
        np.testing.assert_allclose(found.probabilities, expected, atol=1e-5)
        assert (found.mask != sample.pred_sem_seg.data[0].numpy()).sum() <= 1
        np.testing.assert_allclose(found.predicted_iou, sample.metainfo['quality'], atol=1e-5)
        prompts = sample.metainfo['prompts']
        assert found.prompts.keys() == {'points', 'point_labels', 'boxes', 'masks', 'valid'}
        for name, value in found.prompts.items():
            np.testing.assert_allclose(value, getattr(prompts, name)[0].numpy(), atol=1e-4)


@pytest.mark.slow
def test_the_export_measured_rounding_errors_and_wrote_them_down(trained, exported):
    (_, model), (folder, differences) = trained, exported
    assert max(differences.values()) < 1e-4
    settings = json.loads((folder / 'pipeline.json').read_text())
    assert settings['differences'] == differences and settings['classes'] == ['background', 'lesion']
    assert settings['provenance']['split_sha256'] == 'abc123'
    stages = settings['stages']
    assert stages['image_encoder']['input_profile'] == model.refiner.input_profile.as_dict()
    assert stages['decoder']['inputs']['content'] == dict(dtype='int64', shape=['N', 2])
    assert stages['decoder']['outputs']['low_res_logits']['shape'] == ['N', 1, 16, 16]


def test_where_nothing_is_to_be_refined_the_coarse_result_stands(pipeline):
    image = pictures((40, 48))[0]
    made = dict(
        low_res_logits=np.full((1, 1, 16, 16), 5.0, np.float32),
        valid=np.array([[False]]),
        predicted_iou=np.zeros((1, 1)),
    )
    coarse = np.full((1, 1, 32, 32), -3.0, np.float32)
    pixels = np.zeros((1, 3, 64, 64))
    result = pipeline._finish(0, image, pixels, np.array([[53, 64]]), coarse, made)
    assert result.mask.sum() == 0
    np.testing.assert_allclose(result.probabilities, 1 / (1 + np.exp(3)), atol=1e-6)
    decoder = pipeline.sessions['decoder']
    given = dict(embedding=np.zeros((2, 16, 4, 4), np.float32), content=np.full((2, 2), 64))
    coarse = np.concatenate([coarse, np.full((1, 1, 32, 32), 3.0, np.float32)])
    assert decoder.run(['valid'], dict(given, coarse_logits=coarse))[0].tolist() == [[False], [True]]


@pytest.mark.parametrize('source', ['noise', 'busi'])
def test_four_routes_lead_to_the_same_mask(trained, pipeline, source, tmp_path):
    """Inferencer, tool, ONNX, and segment_anything's predictor with our prompts: from a file to a mask."""
    checkpoint, model = trained
    path = BUSI
    if source == 'noise':
        path = tmp_path / 'image.png'
        Image.fromarray(pictures((150, 131))[0]).save(path)
    elif not BUSI.is_file():
        pytest.skip('needs Dataset_BUSI_with_GT in ../shared/data')
    prediction = UltraRefinerInferencer(checkpoint, device='cpu')(str(path))[0]
    assert 0.02 < prediction.mask.mean() < 0.98 and prediction.prompts.valid.all()

    run_tool('predict.py', checkpoint, path, '--out', tmp_path / 'out')
    from_tool = np.asarray(Image.open(tmp_path / 'out' / 'masks' / f'{path.stem}.png'))
    from_onnx = pipeline(path).mask
    from_sam = segment_anything_mask(model, tmp_path / 'sam.pth', path, prediction.prompts)
    differing = [int((mask != prediction.mask).sum()) for mask in (from_tool // 255, from_onnx, from_sam)]
    assert differing[0] == 0 and max(differing[1:]) <= 2, differing


def segment_anything_mask(model, file, path, prompts):
    write_sam(model, file, 'best.pth')
    architecture = model.refiner.architecture
    parts = ImageEncoderViT(**architecture.encoder_sizes()), *architecture.build_decoding()
    sam = Sam(*parts, pixel_mean=SAM_PROFILE.mean, pixel_std=SAM_PROFILE.std).eval()
    sam.load_state_dict(torch.load(file, weights_only=True))
    predictor = SamPredictor(sam)
    image = np.asarray(Image.open(path).convert('RGB'))
    predictor.set_image(image)
    masks, iou, _ = predictor.predict(**predictor_arguments(model.refiner, prompts, image.shape[:2]))
    return masks[iou.argmax()]


@pytest.mark.slow
def test_the_file_in_the_folder_runs_without_torch_and_without_this_package(trained, exported, tmp_path):
    (_, model), (folder, _) = trained, exported
    image = pictures((50, 61))[0]
    Image.fromarray(image).save(tmp_path / 'image.png')
    code = (
        'import runpy, sys\n'
        'for name in ("torch", "mmengine", "ultrarefiner", "cv2"): sys.modules[name] = None\n'
        'sys.argv = sys.argv[1:]\n'
        'runpy.run_path(sys.argv[0], run_name="__main__")'
    )
    arguments = [folder / 'onnx_pipeline.py', folder, tmp_path / 'image.png', tmp_path / 'mask.png']
    done = subprocess.run(
        [sys.executable, '-c', code, *map(str, arguments)], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith('lesion: ') and 'predicted IoU' in done.stdout
    mask = np.asarray(Image.open(tmp_path / 'mask.png'))
    assert (mask != 255 * predicted(model, [image])[0].pred_sem_seg.data[0].numpy()).sum() <= 1


PROFILES = dict(
    sam=SAM_PROFILE,
    medsam=MEDSAM_PROFILE,
    grey=InputProfile(size=(96, 80), grey=True, mean=(0.4,), std=(0.2,)),
    wide=InputProfile(size=(64, 128), keep_ratio=True, value_range='minmax', interpolation='bicubic'),
)


@pytest.mark.parametrize('size', [(40, 48), (300, 171), (96, 80), (1, 3000)], ids=str)
@pytest.mark.parametrize('name', PROFILES)
def test_an_image_is_prepared_to_the_last_bit_as_in_training(name, size):
    image = np.random.default_rng(1).integers(0, 256, (*size, 3), dtype=np.uint8)
    expected, covered = PROFILES[name].prepare([torch.from_numpy(image.transpose(2, 0, 1).copy())])
    found, content = onnx_pipeline.prepare(image, PROFILES[name].as_dict())
    assert found.dtype == np.float32 and content == tuple(covered[0].tolist())
    np.testing.assert_array_equal(found, expected[0].numpy())


@pytest.mark.parametrize('mode', ['L', 'LA', 'P', 'RGB', 'RGBA', '1'])
def test_images_of_all_kinds_are_read_as_the_inferencer_reads_them(mode, tmp_path):
    Image.fromarray(pictures((20, 30))[0]).convert(mode).save(tmp_path / 'image.png')
    expected = find_sources(tmp_path / 'image.png')[0].read().numpy()
    found = onnx_pipeline.read_image(tmp_path / 'image.png')
    np.testing.assert_array_equal(found, np.broadcast_to(expected[::-1], (3, 20, 30)).transpose(1, 2, 0))
    with pytest.raises(TypeError, match='the image is float64, expected uint8'):
        onnx_pipeline.read_image(np.zeros((4, 4)))


def test_masks_of_several_classes_are_labels():
    logits = np.array([[[1.0, -1.0, 3.0]], [[2.0, -2.0, 1.0]]])
    assert onnx_pipeline.to_labels(logits).tolist() == [[2, 0, 1]]
    np.testing.assert_allclose(onnx_pipeline.sigmoid(np.array([-1000.0, 0.0, 1000.0])), [0, 0.5, 1])


@pytest.mark.parametrize(
    'changes, message',
    [
        (dict(coarse=dict(type='PrecomputedCoarse', num_slots=1)), '.* has no coarse network; give one .* --coarse'),
        (dict(object_splitter=dict(type='ConnectedComponents')), 'has an object splitter, ConnectedComponents'),
        (dict(refiner='wrapped'), 'has a ROIRefiner, expected a SAMRefiner without a wrapper; .* --format package'),
        (dict(selection=dict(type='OracleSelection')), 'selects its masks by the ground truth'),
    ],
    ids=lambda value: value if isinstance(value, str) else next(iter(value)),
)
def test_what_is_no_graph_is_refused_before_anything_is_written(small_parts, tmp_path, changes, message):
    changes, refiner = dict(changes), copy.deepcopy(small_parts['refiner'])
    if changes.get('refiner') == 'wrapped':
        changes['refiner'] = dict(type='ROIRefiner', refiner=refiner)
    if 'selection' in changes:
        changes['refiner'] = dict(refiner, selection=changes.pop('selection'))
    model = open_trained(save_trained(tmp_path / 'best.pth', trained_cfg(small_parts, **changes)))
    with pytest.raises(ValueError, match=f'best.pth {message}'):
        write_onnx(model, tmp_path / 'onnx', 'best.pth')
    assert [path.name for path in tmp_path.iterdir()] == ['best.pth']


def test_what_is_not_installed_is_named(trained, tmp_path, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, 'find_spec', lambda name: None if name == 'onnxscript' else find(name))
    with pytest.raises(ImportError, match='exporting to ONNX needs onnxscript: pip install onnxscript'):
        write_onnx(trained[1], tmp_path / 'onnx', 'best.pth')


@pytest.mark.slow
def test_a_graph_that_gives_something_else_is_not_handed_out(trained, exported):
    graph = stage_graphs(open_trained(trained[0]), 'best.pth')['coarse']
    with torch.no_grad():
        graph.module.coarse.decode_head.conv_seg.bias[1] += 1.0
    with pytest.raises(ValueError, match='coarse.onnx gives coarse_logits that are off by 1, expected rounding'):
        compare(graph, exported[0] / 'coarse.onnx')


@pytest.mark.slow
def test_a_model_of_phase_1_is_one_graph(small_parts, tmp_path):
    parts = {name: small_parts[name] for name in ('type', 'coarse', 'coarse_input')}
    cfg = trained_cfg(small_parts)
    cfg.model = copy.deepcopy(parts)
    model = open_trained(save_trained(tmp_path / 'best.pth', cfg))
    write_onnx(model, tmp_path / 'onnx', 'best.pth')
    image = pictures((40, 48))[0]
    found = onnx_pipeline.ONNXPipeline(tmp_path / 'onnx', threads=1)(image)
    sample = predicted(model, [image])[0]
    np.testing.assert_allclose(found.probabilities, sample.seg_logits.data.sigmoid().numpy(), atol=1e-5)
    assert found.prompts is None and found.predicted_iou is None


def generators():
    """Every registered generator that needs no other one named."""
    init_default_scope('ultrarefiner')
    needs = dict(
        PointDropout=dict(generator=dict(type='SoftArgmaxPoint')),
        RandomPromptSubset=dict(generator=PROMPTS),
        ComposePrompts=dict(generators=[dict(type='MomentBox')]),
    )
    return [
        dict(type=name, **needs.get(name, {}))
        for name in sorted(PROMPT_GENERATORS.names())
        if MODELS.get(name).__module__.startswith('ultrarefiner')
    ]


@pytest.mark.slow
@pytest.mark.parametrize('generator', generators(), ids=lambda cfg: cfg['type'])
def test_every_prompt_generator_is_a_graph(small_parts, tmp_path, generator):
    cfg = trained_cfg(small_parts, prompt_generator=generator)
    model = open_trained(save_trained(tmp_path / 'best.pth', cfg))
    graph = stage_graphs(model, 'best.pth')['decoder']
    write_graph(graph, tmp_path / 'decoder.onnx')
    assert max(compare(graph, tmp_path / 'decoder.onnx').values()) < 1e-4


@pytest.mark.slow
@pytest.mark.parametrize('count', [1, 3])
def test_the_small_family(tmp_path, count):
    name = 'ultrarefiner_transunet-small_sam-small_soft-prompts_phase3-1xb4-2e_busi-192x192.py'
    cfg = load_config(ROOT / 'configs' / 'ultrarefiner' / name)
    cfg.model.init_from = None
    model = open_trained(save_trained(tmp_path / 'best.pth', cfg))
    write_onnx(model, tmp_path / 'onnx', 'best.pth')
    images = pictures(*[(471, 562), (300, 200), (500, 500)][:count])
    for found, sample in zip(
        onnx_pipeline.ONNXPipeline(tmp_path / 'onnx', threads=1).segment(images), predicted(model, images)
    ):
        # 14 pixels of 250,000 were off by more than 1e-4, the worst by 1.15e-4.
        np.testing.assert_allclose(found.probabilities, sample.seg_logits.data.sigmoid().numpy(), atol=3e-4)
