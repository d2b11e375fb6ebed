"""Axes, cells and their configs, worked out by hand."""

from pathlib import Path

import pytest
from mmengine.config import Config

from ultrarefiner.apis.ablation_grid import Cell, expand, find_cell, parse_grid, split_outside_brackets
from ultrarefiner.apis.presets import Presets

PRESETS = """
fragments = dict(net=dict(files='net_*.py', replaces='model.net'))
presets = {
    'width': {'thin': {'model.net.width': 1}, 'wide': {'model.net.width': 9}},
    'part': {
        'a': {'model.part': dict(_delete_=True, type='A')},
        'b': {'model.part': dict(_delete_=True, type='B', power=2)},
        'slow': {'optimizer.lr': 0.1},
    },
}
joined = {'model.part': dict(type='All', parts='members')}
"""


@pytest.fixture
def presets(tmp_path):
    (tmp_path / 'presets.py').write_text(PRESETS)
    (tmp_path / 'net_one.py').write_text("net = dict(type='One', depth=3)\n")
    (tmp_path / 'net_two-three.py').write_text("net = dict(type='Two', width=5)\n")
    return Presets([tmp_path / 'presets.py'])


@pytest.fixture
def base():
    return Config(
        dict(
            model=dict(net=dict(type='Old', old=True, width=0), losses=[dict(weight=1.0), dict(weight=2.0)]),
            optimizer=dict(lr=1e-3),
        )
    )


def cells(grid, presets, base) -> list[Cell]:
    return expand(parse_grid(grid), presets, base)


def test_every_combination_is_a_cell_and_the_last_axis_changes_fastest(presets, base):
    found = cells(['net=one,two-three', 'optimizer.lr=1e-3,1e-4'], presets, base)
    assert [cell.label for cell in found] == [
        'net=one,optimizer.lr=1e-3',
        'net=one,optimizer.lr=1e-4',
        'net=two-three,optimizer.lr=1e-3',
        'net=two-three,optimizer.lr=1e-4',
    ]
    assert found[3].folder == 'net=two-three_optimizer.lr=1e-4'
    assert found[3].config(base).optimizer.lr == 1e-4 and base.optimizer.lr == 1e-3


def test_a_fragment_replaces_what_was_there(presets, base):
    one, two = cells(['net=one,two-three'], presets, base)
    assert one.config(base).model.net == dict(type='One', depth=3)
    assert two.config(base).model.net == dict(type='Two', width=5)


def test_presets_act_in_the_order_of_their_file(presets, base):
    wide = cells(['width=wide', 'net=one'], presets, base)[0]
    assert wide.label == 'width=wide,net=one'
    assert wide.config(base).model.net == dict(type='One', depth=3, width=9)


def test_a_key_of_the_config_acts_after_all_presets(presets, base):
    cell = cells(['model.net.width=4', 'width=wide', 'net=one'], presets, base)[0]
    assert cell.config(base).model.net.width == 4


def test_presets_joined_by_a_plus_become_one_part(presets, base):
    both, all_three = cells(['part=a+b,b+slow+a'], presets, base)
    assert both.config(base).model.part == dict(type='All', members=[dict(type='A'), dict(type='B', power=2)])
    cfg = all_three.config(base)
    assert [part.type for part in cfg.model.part.members] == ['B', 'A'] and cfg.optimizer.lr == 0.1


def test_a_preset_for_a_part_that_the_config_lacks_adds_it(presets, base):
    assert cells(['part=a'], presets, base)[0].config(base).model.part == dict(type='A')


def test_values_are_read_as_config_options(presets, base):
    found = cells(['model.size=[96,96],(64,32),None', 'model.losses.1.weight=3,True'], presets, base)
    values = [cell.config(base).model for cell in found]
    assert [value['size'] for value in values[::2]] == [[96, 96], (64, 32), None]
    assert [value.losses[1].weight for value in values[:2]] == [3, True] and values[0].losses[0].weight == 1


def test_a_later_file_adds_presets_and_replaces_those_of_the_same_name(presets, base, tmp_path):
    (tmp_path / 'mine.py').write_text(
        "presets = {'width': {'wide': {'model.net.width': 99}, 'odd': {'optimizer.lr': 1}}}"
    )
    both = Presets([tmp_path / 'presets.py', tmp_path / 'mine.py'])
    assert both.overrides('width', 'wide') == {'model.net.width': 99}
    assert list(both.axes['width']) == ['thin', 'wide', 'odd']


def test_commas_in_brackets_do_not_separate():
    assert split_outside_brackets('[1,2],(3,[4,5]),6') == ['[1,2]', '(3,[4,5])', '6']
    for text in ('[1,2', '1],[2'):
        with pytest.raises(ValueError, match='do not match'):
            split_outside_brackets(text)


@pytest.mark.parametrize(
    'grid, message',
    [
        ([], 'the grid has no cells'),
        (['net'], "'net': expected NAME=VALUE"),
        (['net='], "'net=': expected NAME=VALUE"),
        (['net=one', 'net=two-three'], 'net is given twice'),
        (['net=one,one'], 'net: one is given twice'),
        (['nett=one'], r'nett: neither an axis .*did you mean net\?'),
        (['net=two-tree'], r"no preset 'two-tree', did you mean two-three\?; there are one, two-three"),
        (['part=a+c'], "no preset 'c' in 'a\\+c'"),
        (['width=thin+wide'], '2 of these presets set model.net.width'),
        (['model.nte.width=1'], r'sets model.nte.width, but the config has no model.nte, did you mean net\?'),
        (['model.losses.2.weight=1'], 'the config has no model.losses.2'),
        (['model.net.type.x=1'], "model.net.type is 'Old' in the config and holds no 'x'"),
        (['model.size=[1,2],(1,2)'], 'two cells would have the folder'),
    ],
)
def test_what_cannot_be_meant_is_one_message(presets, base, grid, message):
    with pytest.raises((KeyError, ValueError), match=message):
        for cell in cells(grid, presets, base):
            cell.config(base)


def test_the_base_is_named_by_choices_in_any_order(presets, base):
    found = cells(['net=one,two-three', 'model.size=[1,2],[3,4]'], presets, base)
    assert find_cell(found, None) is found[0]
    assert find_cell(found, 'model.size=[3,4],net=one') is found[1]
    for text, number in (('net=one', 2), ('net=four', 0)):
        with pytest.raises(ValueError, match=f'names {number} cells, expected one of net=one'):
            find_cell(found, text)


def test_a_fragment_with_two_variables_is_refused(presets, tmp_path):
    (tmp_path / 'net_bad.py').write_text('net = 1\nother = 2\n')
    with pytest.raises(ValueError, match='net_bad.py sets .*expected one variable'):
        Presets([tmp_path / 'presets.py'])


def test_a_file_that_is_no_presets_file_is_refused(tmp_path):
    (tmp_path / 'model.py').write_text('model = dict()\n')
    with pytest.raises(ValueError, match=r"sets \['model'\], expected some of fragments, presets, joined"):
        Presets([tmp_path / 'model.py'])
    with pytest.raises(FileNotFoundError, match='no.py does not exist'):
        Presets([tmp_path / 'no.py'])


def test_the_projects_own_presets_build_prompts_from_their_parts():
    presets = Presets([Path(__file__).resolve().parents[2] / 'configs' / 'ablation' / 'presets.py'])
    assert list(presets.axes)[:3] == ['coarse', 'refiner', 'prompts']
    made = presets.overrides('prompts', 'point+negative-point+box+mask')['model.prompt_generator']
    assert made['type'] == 'ComposePrompts'
    assert [part['type'] for part in made['generators']] == [
        'SoftArgmaxPoint',
        'NegativePoint',
        'MomentBox',
        'MaskPrompt',
    ]
    assert presets.overrides('refiner', 'sam-small')['model.refiner']['_delete_'] is True
    assert presets.overrides('lora', '0') == {'model.refiner.encoder': 'frozen'}
    assert presets.overrides('lora', '8')['model.refiner.encoder']['r'] == 8
