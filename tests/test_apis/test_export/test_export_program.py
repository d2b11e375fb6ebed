"""Programs of torch.export give what the model gives, for any number of images and without this package."""

import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from export_makers import open_trained, save_trained, trained_cfg

from ultrarefiner.apis.export import write_exported_program
from ultrarefiner.apis.export.stage_graphs import stage_graphs
from ultrarefiner.models.prompt_generators.projections import running_max

# Runs every program on the inputs in a file, in a process that cannot import this package or mmengine.
ELSEWHERE = """
import sys
for name in ('ultrarefiner', 'mmengine', 'mmseg', 'segment_anything'):
    sys.modules[name] = None
import torch
given = torch.load('inputs.pt')
with torch.no_grad():
    made = {
        stage: [torch.export.load(f'programs/{stage}.pt2').module()(*inputs) for inputs in batches]
        for stage, batches in given.items()
    }
torch.save(made, 'outputs.pt')
"""


@pytest.mark.slow
def test_programs_run_without_this_package(small_parts, tmp_path):
    model = open_trained(save_trained(tmp_path / 'best.pth', trained_cfg(small_parts)))
    differences = write_exported_program(model, tmp_path / 'programs', 'best.pth')
    assert max(differences.values()) < 1e-5
    settings = json.loads((tmp_path / 'programs' / 'pipeline.json').read_text())
    assert settings['stages']['decoder']['file'] == 'decoder.pt2'
    graphs = stage_graphs(model, 'best.pth')
    batches = {stage: [graph.of_images(1), graph.of_images(3)] for stage, graph in graphs.items()}
    torch.save(
        {stage: [list(inputs.values()) for inputs in both] for stage, both in batches.items()}, tmp_path / 'inputs.pt'
    )
    subprocess.run([sys.executable, '-c', ELSEWHERE], cwd=tmp_path, check=True, capture_output=True)
    made = torch.load(tmp_path / 'outputs.pt')
    for stage, graph in graphs.items():
        for inputs, outputs in zip(batches[stage], made[stage]):
            for name, expected in graph.run(inputs).items():
                torch.testing.assert_close(outputs[name], expected, atol=1e-5, rtol=1e-5)


def test_graphs_are_the_model_and_no_more(small_parts, tmp_path):
    model = open_trained(save_trained(tmp_path / 'best.pth', trained_cfg(small_parts)))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    graphs = stage_graphs(model, 'best.pth')
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    inputs = graphs['image_encoder'].of_images(3)
    with torch.no_grad():
        expected = model.refiner.image_encoder(inputs['pixels'])
    torch.testing.assert_close(graphs['image_encoder'].run(inputs)['embedding'], expected, atol=1e-5, rtol=1e-5)
    sizes = {
        stage: sum(value.numel() for value in graph.module.state_dict().values()) for stage, graph in graphs.items()
    }
    plain = sum(value.numel() for value in model.refiner.plain_state_dict().values())
    assert sizes['image_encoder'] + sizes['decoder'] == plain
    assert sizes['coarse'] == sum(value.numel() for value in model.coarse.state_dict().values())


@pytest.mark.parametrize('box', [False, True], ids=['points', 'points and box'])
def test_points_are_embedded_as_segment_anything_does_it(small_parts, tmp_path, box):
    model = open_trained(save_trained(tmp_path / 'best.pth', trained_cfg(small_parts)))
    original = model.refiner.prompt_encoder
    plain = stage_graphs(model, 'best.pth')['decoder'].module.refiner.prompt_encoder
    rng = np.random.default_rng(0)
    coordinates = torch.from_numpy(rng.uniform(0, 64, (2, 3, 2)).astype(np.float32))
    labels = torch.tensor([[1, 0, -1], [-1, 1, 1]])
    boxes = torch.tensor([[3.0, 4.0, 40.0, 50.0]] * 2) if box else None
    with torch.no_grad():
        for found, expected in zip(
            plain((coordinates, labels), boxes, None), original((coordinates, labels), boxes, None)
        ):
            assert torch.equal(found, expected)


def test_the_running_maximum_of_a_graph_is_that_of_training(monkeypatch):
    profile = torch.rand(2, 3, 17, generator=torch.Generator().manual_seed(0))
    expected = running_max(profile)
    assert not torch.equal(expected, profile)
    monkeypatch.setattr(torch.compiler, 'is_compiling', lambda: True)
    assert torch.equal(running_max(profile), expected)


@pytest.mark.parametrize('wrong', [1.0, torch.nan])
def test_a_file_that_gives_something_else_than_the_model_is_told(small_parts, tmp_path, wrong):
    model = open_trained(save_trained(tmp_path / 'best.pth', trained_cfg(small_parts)))
    graph = stage_graphs(model, 'best.pth')['coarse']
    inputs = graph.of_images(1)
    given = graph.run(inputs)
    assert graph.differences(inputs, given, 'coarse.pt2') == dict(coarse_logits=0)
    given['coarse_logits'] = given['coarse_logits'].clone()
    given['coarse_logits'][0, 0, 0, 0] += wrong * 10
    with pytest.raises(ValueError, match='coarse.pt2 gives coarse_logits that are off by .*, expected rounding errors'):
        graph.differences(inputs, given, 'coarse.pt2')
