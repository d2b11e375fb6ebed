"""The pages of docs/ are up to date, their links lead somewhere, and what they name exists."""

import re
from pathlib import Path

import pytest
from mmengine.registry import init_default_scope
from run_tool import load_tool

from ultrarefiner.registry import DATASETS, HOOKS, METRICS, MODELS, OPTIM_WRAPPERS, TRANSFORMS

ROOT = Path(__file__).resolve().parents[1]
PAGES = [
    *sorted(ROOT.glob('*.md')),
    *sorted((ROOT / '.github').glob('*.md')),
    *sorted((ROOT / 'docs').glob('*.md')),
    *sorted((ROOT / 'configs').rglob('*.md')),
    *sorted((ROOT / 'projects').rglob('*.md')),
]


def test_generated_parts_are_up_to_date():
    stale = [page.name for page, text in load_tool('misc/update_docs.py').pages().items() if page.read_text() != text]
    assert stale == [], 'run: python tools/misc/update_docs.py'


@pytest.mark.parametrize('page', PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    prose = re.sub(r'```.*?```', '', page.read_text(), flags=re.DOTALL)
    links = [link for link in re.findall(r'\]\(([^)#]+?)(?:#[^)]*)?\)', prose) if '://' not in link]
    assert [link for link in links if not (page.parent / link).exists()] == []


@pytest.mark.parametrize('page', PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_tools_and_configs_that_are_named_exist(page):
    named = re.findall(
        r'\b((?:tools|configs|projects|docs|tests|ultrarefiner)/[\w./-]+\.(?:py|sh|md|svg))\b', page.read_text()
    )
    assert [path for path in named if not ((ROOT / path).exists() or (page.parent / path).exists())] == []


@pytest.mark.parametrize('page', PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_types_that_are_named_exist(page):
    """Every ``type='X'`` outside of shown files is registered, but for those that the example project adds."""
    init_default_scope('ultrarefiner')
    text = re.sub(r'<!-- from \S+ -->.*?<!-- end -->', '', page.read_text(), flags=re.DOTALL)
    ours = {'SoftmaxPoint', 'GuidedFilterRefiner', 'StageTversky', 'DilatedBackbone', 'Mine'}
    names = set(re.findall(r"\btype='([\w.]+)'", text)) - ours
    registries = (MODELS, DATASETS, TRANSFORMS, METRICS, HOOKS, OPTIM_WRAPPERS)
    assert [name for name in sorted(names) if not any(registry.get(name) for registry in registries)] == []
