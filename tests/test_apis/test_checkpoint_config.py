"""The config in a checkpoint: read as it was written, and never executed."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mmengine.config import Config

from ultrarefiner.apis.checkpoint_config import config_of, import_plugins, plain_values

SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8)
NAMES = st.from_regex(r'[a-z][a-z0-9_]{0,5}_', fullmatch=True)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.tuples(inner, inner) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(NAMES, VALUES, max_size=3))
def test_what_repr_writes_comes_back(values):
    assert plain_values('\n'.join(f'{name} = {value!r}' for name, value in values.items())) == values


def test_what_mmengine_writes_comes_back():
    values = dict(
        model=dict(type='A', size=(96, 96), scale=-0.5, none=None, deep=[dict(b=1e-6, c=True)]),
        label_map={255: 1, 0: 0},
        odd={'a b': 1, 'lr.x': dict(y=2)},
        limit=math.inf,
        words='it\'s "quoted"\nand broken',
        empty=dict(),
    )
    read = config_of(dict(meta=dict(cfg=Config(values).pretty_text)), 'x.pth')
    assert read.to_dict() == values


@pytest.mark.parametrize(
    'text',
    [
        'import os',
        'a = __import__("os").system("true")',
        'a = open("x", "w")',
        'a = [x for x in (1, 2)]',
        'a = b',
        'a = dict(1)',
        'a.b = 1',
        'a = 1 + 1',
        'a = (',
        "a = f'{1}'",
        'a = {[]: 1}',
        "a = -'b'",
        'filename = 1',
        'a = ' + '[' * 5000,
    ],
)
def test_anything_else_is_refused_and_not_run(text):
    with pytest.raises(ValueError, match=r'the config in x\.pth cannot be read .*give the config file too'):
        config_of(dict(meta=dict(cfg=text)), 'x.pth')


@pytest.mark.parametrize('checkpoint', [dict(), dict(meta=dict()), dict(meta=dict(cfg=None))])
def test_a_checkpoint_without_config_says_what_to_do(checkpoint):
    with pytest.raises(ValueError, match=r'x\.pth does not carry its config.* give the config, and this file'):
        config_of(checkpoint, 'x.pth')


@pytest.mark.parametrize('kind', ['subprocess.run', 'subprocess.Popen', 'mmengine.load', 'builtins.print'])
@pytest.mark.parametrize('place', ['model', 'part'])
def test_a_type_that_is_no_part_of_a_model_is_refused(kind, place):
    part = dict(type=kind, args=['true'])
    model = part if place == 'model' else dict(type='CoarseToFine', coarse=dict(heads=[part]))
    with pytest.raises(ValueError, match=rf"x\.pth: .*'{kind}', which is no registered part .* not run"):
        import_plugins(Config(dict(model=model)), 'x.pth')


def test_parts_of_models_may_be_named_by_scope_or_path():
    kinds = ['mmseg.EncoderDecoder', 'torch.nn.GELU', 'ultrarefiner.LoRAAdapter', 'CoarseToFine', 'Pretrained']
    import_plugins(Config(dict(model=dict(parts=[dict(type=kind) for kind in kinds]))), 'x.pth')
