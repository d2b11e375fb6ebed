"""TrainableReportHook: the counts by part, with adapters and with refiners that hold a refiner."""

import copy

from mmengine.registry import init_default_scope
from torch import nn

from ultrarefiner.engine.hooks.trainable_report_hook import parameter_table
from ultrarefiner.registry import MODELS


def rows(model):
    cells = [line.split() for line in parameter_table(model).splitlines()]
    return {part: numbers for part, *numbers in filter(None, cells) if len(numbers) == 3 and part != 'Part'}


def test_lora_is_counted_within_the_encoder_that_it_adapts(small_parts):
    init_default_scope('ultrarefiner')

    def table(encoder):
        cfg = copy.deepcopy(small_parts)
        cfg.update(prompt_generator=dict(type='MaskPrompt'), losses=[dict(type='StageBCE', stage='refined')])
        cfg['refiner']['encoder'] = encoder
        return rows(MODELS.build(cfg))

    def number(text):
        return int(text.replace(',', ''))

    frozen, adapted = table('frozen'), table(dict(type='LoRAAdapter', r=2))
    # qkv of two blocks, 16 to 48: r * (16 + 48) weights each.
    added = 2 * 2 * (16 + 48)
    total, trainable, percent = adapted['refiner.image_encoder']
    assert number(trainable) == added and number(total) == number(frozen['refiner.image_encoder'][0]) + added
    assert float(percent) == round(100 * added / number(total), 1)
    assert frozen['refiner.image_encoder'][1:] == ['0', '0.0']
    for part in ('coarse', 'refiner.prompt_encoder', 'refiner.mask_decoder'):
        assert adapted[part] == frozen[part]
    assert [sum(number(cells[i]) for part, cells in adapted.items() if part != 'all') for i in (0, 1)] == [
        number(cell) for cell in adapted['all'][:2]
    ]


def test_a_refiner_within_a_refiner_is_broken_down():
    inner = nn.ModuleDict(dict(encoder=nn.Linear(2, 1).requires_grad_(False), decoder=nn.Linear(3, 1)))
    model = nn.ModuleDict(
        dict(coarse=nn.Linear(1, 1), refiner=nn.ModuleDict(dict(gate=nn.Linear(4, 1), refiner=inner)))
    )
    assert rows(model) == {
        'coarse': ['2', '2', '100.0'],
        'refiner.gate': ['5', '5', '100.0'],
        'refiner.refiner.encoder': ['3', '0', '0.0'],
        'refiner.refiner.decoder': ['4', '4', '100.0'],
        'all': ['14', '11', '78.6'],
    }
