"""The example keeps the contract, says what its docstring says, and is reached from its config."""

from pathlib import Path

import pytest
import softmax_point  # noqa: F401  registers the class
import torch

from ultrarefiner.apis.config import load_config
from ultrarefiner.apis.model import build_model
from ultrarefiner.registry import PROMPT_GENERATORS
from ultrarefiner.structures import SegOutput
from ultrarefiner.testing import check_prompt_generator


def test_contract():
    check_prompt_generator(dict(type='SoftmaxPoint'))


def test_the_point_is_where_the_network_is_surest():
    logits = torch.full((1, 1, 20, 40), -3.0)
    logits[0, 0, 5, 30] = 20.0
    point = PROMPT_GENERATORS.build(dict(type='SoftmaxPoint'))(SegOutput(logits), []).points[0, 0, 0]
    assert point.tolist() == pytest.approx([30.5 / 40, 5.5 / 20], abs=1e-4)


def test_the_config_builds_it():
    cfg = load_config(Path(__file__).parent / 'configs' / 'phase2_softmax-point.py')
    with torch.device('meta'):
        assert type(build_model(cfg).prompt_generator).__name__ == 'SoftmaxPoint'
