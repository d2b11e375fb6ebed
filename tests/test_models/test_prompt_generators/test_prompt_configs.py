"""Each prompt fragment sets one variable, and builds what its name says."""

from pathlib import Path

import pytest
from mmengine.config import Config

from ultrarefiner.registry import PROMPT_GENERATORS
from ultrarefiner.testing import check_prompt_generator

FOLDER = Path(__file__).resolve().parents[3] / 'configs/_base_/models'
PRODUCES = {
    'prompts_method': {'points', 'boxes', 'masks'},
    'prompts_point-moment-box-mask': {'points', 'boxes', 'masks'},
    'prompts_point': {'points'},
    'prompts_box': {'boxes'},
    'prompts_mask': {'masks'},
    'prompts_box-mask': {'boxes', 'masks'},
    'prompts_points': {'points'},
    'prompts_robust': {'points', 'boxes', 'masks'},
    'prompts_random-subset': {'points', 'boxes', 'masks'},
}


@pytest.mark.parametrize('name', sorted(path.stem for path in FOLDER.glob('prompts_*.py')))
def test_fragment(name):
    cfg = Config.fromfile(FOLDER / f'{name}.py')
    assert list(cfg) == ['prompt_generator']
    assert PROMPT_GENERATORS.build(cfg.prompt_generator).produces == PRODUCES[name]
    check_prompt_generator(cfg.prompt_generator)


def test_the_methods_box_alone_has_no_gradient():
    cfg = Config.fromfile(FOLDER / 'prompts_method.py')
    parts = [PROMPT_GENERATORS.build(part) for part in cfg.prompt_generator.generators]
    assert [type(part).__name__ for part in parts if not part.differentiable] == ['ThresholdBox']
