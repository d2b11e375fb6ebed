"""Imports run one way: structures, interfaces, registry, families, segmentors, engine, apis."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / 'ultrarefiner'
FAMILIES = (
    'backbones',
    'decode_heads',
    'prompt_generators',
    'object_splitters',
    'refiners',
    'gates',
    'losses',
    'peft',
    'regularizers',
)
# A part may import itself and the parts named; what is not listed may import nothing of ours.
ALLOWED = {
    'structures': (),
    'utils': ('structures',),
    'interfaces': ('structures', 'utils'),
    'registry': ('interfaces', 'structures'),
    'data_preparation': ('utils',),
    'corruption': (),
    **{f'models.{family}': ('registry', 'interfaces', 'structures', 'utils') for family in FAMILIES},
    'models.data_preprocessor': ('registry', 'structures'),
    'models.segmentors': ('registry', 'interfaces', 'structures', 'utils'),
    'models': ('models',),
    'datasets': ('registry', 'structures', 'data_preparation', 'corruption', 'utils'),
    'evaluation': ('registry', 'structures', 'utils'),
    'visualization': ('registry', 'structures', 'utils'),
    'engine': ('registry', 'interfaces', 'structures', 'utils', 'visualization', 'evaluation'),
    'apis': (
        'registry',
        'interfaces',
        'structures',
        'utils',
        'models.segmentors',
        'models.refiners',
        'engine',
        'evaluation',
        'data_preparation',
        'datasets',
        'visualization',
    ),
    'testing': ('registry', 'interfaces', 'structures', 'utils'),
}


def part_of(dotted: str) -> str:
    names = dotted.split('.')
    return '.'.join(names[:2]) if names[0] == 'models' and len(names) > 1 else names[0]


def imported(path: Path):
    """(line, dotted name inside the package) of every import of ours."""
    package = list(path.relative_to(PACKAGE).with_suffix('').parts)
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            module = node.module or ''
            if node.level:
                base = package[: len(package) - node.level]
                for alias in node.names:
                    yield node.lineno, '.'.join([*base, *filter(None, module.split('.')), alias.name])
            elif module.split('.')[0] == 'ultrarefiner':
                yield node.lineno, '.'.join([*module.split('.')[1:], node.names[0].name])
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.split('.')[0] == 'ultrarefiner':
                    yield node.lineno, alias.name.partition('.')[2]


def wrong_imports(path: Path) -> list[str]:
    own = part_of('.'.join(path.relative_to(PACKAGE).with_suffix('').parts).removesuffix('.__init__'))
    if own == '__init__':
        return []
    allowed = (own, *ALLOWED[own])
    return [
        f'{path.relative_to(PACKAGE)}:{line} imports {name}'
        for line, name in imported(path)
        if name not in ('', '__version__')
        and part_of(name) not in allowed
        and not any(part_of(name).startswith(f'{item}.') for item in allowed)
    ]


@pytest.mark.parametrize('path', sorted(PACKAGE.rglob('*.py')), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_run_one_way(path):
    assert wrong_imports(path) == []


def test_a_wrong_import_is_seen(tmp_path, monkeypatch):
    monkeypatch.setattr('test_layering.PACKAGE', tmp_path)
    path = tmp_path / 'structures' / 'x.py'
    path.parent.mkdir()
    path.write_text(
        'from ..registry import MODELS\nfrom ..models.refiners import SAMRefiner\nimport ultrarefiner.apis\n'
    )
    assert len(wrong_imports(path)) == 3
