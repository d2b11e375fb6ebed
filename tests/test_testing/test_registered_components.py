"""Every registered prompt generator and stage loss keeps its contract; none escapes."""

import pytest
from mmengine.registry import init_default_scope

from ultrarefiner.registry import PROMPT_GENERATORS, STAGE_LOSSES
from ultrarefiner.testing import check_loss, check_prompt_generator

# The arguments of the components that cannot be built without any, and variants worth a check of their own.
PROMPT_GENERATOR_ARGUMENTS = {
    'ComposePrompts': [
        dict(generators=[dict(type=name) for name in ('SoftArgmaxPoint', 'NegativePoint', 'MomentBox', 'MaskPrompt')]),
        dict(generators=[dict(type='ThresholdBox')]),
    ],
    'MaskPrompt': [dict(), dict(size=(32, 32))],
    'MomentBox': [dict(), dict(k=1.732, power=2.0)],
    'NegativePoint': [dict(), dict(box=dict(type='ThresholdBox'))],
    'SoftArgmaxPoint': [dict(), dict(power=2.0)],
}
LOSS_ARGUMENTS = {'StageDice': [dict(), dict(exponent=2.0)]}


def cases(family, arguments):
    """Every registered name, with its arguments; a name without an entry is built without arguments, or fails."""
    init_default_scope('ultrarefiner')
    return [(name, entry) for name in family.names() for entry in arguments.get(name, [dict()])]


@pytest.mark.parametrize('name, arguments', cases(PROMPT_GENERATORS, PROMPT_GENERATOR_ARGUMENTS))
def test_prompt_generator(name, arguments):
    check_prompt_generator(dict(type=name, **arguments))


@pytest.mark.parametrize('stage', ['coarse', 'refined'])
@pytest.mark.parametrize('name, arguments', cases(STAGE_LOSSES, LOSS_ARGUMENTS))
def test_stage_loss(name, arguments, stage):
    check_loss(dict(type=name, stage=stage, **arguments))


@pytest.mark.parametrize(
    'family, arguments', [(PROMPT_GENERATORS, PROMPT_GENERATOR_ARGUMENTS), (STAGE_LOSSES, LOSS_ARGUMENTS)]
)
def test_no_entry_is_stale(family, arguments):
    assert set(arguments) <= set(family.names())
