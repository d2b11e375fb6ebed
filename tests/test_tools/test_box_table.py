import pandas as pd
import pytest
import torch
from mmengine.registry import init_default_scope
from run_tool import load_tool

from ultrarefiner.registry import MODELS, PROMPT_GENERATORS


@pytest.fixture(scope='module')
def tool():
    return load_tool('analysis_tools/box_table.py')


@pytest.fixture(scope='module')
def rows(tool):
    return pd.DataFrame([row for shape in tool.SHAPES for row in tool.measure(shape, 25)])


def test_no_generator_of_boxes_is_left_out(tool):
    init_default_scope('ultrarefiner')
    boxes = {name for name in PROMPT_GENERATORS.names() if MODELS.get(name).produces == {'boxes'}}
    assert {cfg['type'] for cfg in tool.GENERATORS.values()} == boxes


def test_the_authors_formula_by_hand(tool):
    """A disc of radius r has a standard deviation of r / 2: a half-width of 1.25 r, and 5 pixels of 1024."""
    cover, truth = tool.draw('disc', 40)
    box = tool.authors_box(cover)
    half = 1.25 * 40 / 224 + 5 / 1024
    torch.testing.assert_close((box[2:] - box[:2]) / 2, torch.full((2,), half), atol=1e-4, rtol=0)
    torch.testing.assert_close((box[2:] + box[:2]) / 2, (truth[2:] + truth[:2]) / 2, atol=1e-4, rtol=0)


def test_k_is_2_for_an_ellipse_and_the_root_of_3_for_a_rectangle(tool):
    for shape, k in (('disc', 2.0), ('ellipse', 2.0), ('rectangle', 3**0.5)):
        cover, truth = tool.draw(shape, 40)
        measured = tool.extent(truth) / 2 / tool.mean_and_std(cover)[1]
        torch.testing.assert_close(measured, torch.full((2,), k), atol=2e-3, rtol=0)


@pytest.mark.parametrize(
    'generator, shape, iou',
    [
        ('MomentBox k=2', 'disc', 0.99),
        ('MomentBox k=2', 'ellipse', 0.99),
        ('MomentBox k=1.732', 'rectangle', 0.99),
        ('SoftExtremesBox', 'disc', 0.99),
        ('SoftExtremesBox', 'rectangle', 0.99),
        ('ThresholdBox', 'disc', 0.97),
        ('SoftQuantileBox 0.001', 'ellipse', 0.97),
    ],
)
def test_the_right_generator_finds_the_box_at_every_floor(rows, generator, shape, iou):
    found = rows[(rows.generator == generator) & (rows['shape'] == shape)]
    assert len(found) == 3 and found.iou.min() > iou
    assert found.iou.max() - found.iou.min() < 0.002


def test_the_authors_box_gets_lost_in_the_background(rows):
    for _, found in rows[rows.generator == "authors' formula"].groupby('shape'):
        clean, slight, leaking = found.iou
        assert 0.7 > clean > slight > leaking and leaking < 0.2


def test_command_line(tool, tmp_path, capsys):
    assert tool.main(['--sizes', '12', '30', '--csv', str(tmp_path / 'boxes.csv')]) == 0
    printed = capsys.readouterr().out
    assert "authors' formula" in printed and 'k at which MomentBox is exact' in printed
    table = pd.read_csv(tmp_path / 'boxes.csv')
    assert len(table) == 3 * 2 * 3 * (len(tool.GENERATORS) + 1)
    with pytest.raises(SystemExit):
        tool.main(['--sizes', '200'])
