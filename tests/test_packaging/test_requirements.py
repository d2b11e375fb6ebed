"""The files of requirements/ agree with each other, and those of .github/ are what GitHub reads."""

import re
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[2]


def read(name: str) -> dict[str, str]:
    """The version of every package, by its name: the lower bound, the exact one, or '' where there is none."""
    lines = (ROOT / 'requirements' / f'{name}.txt').read_text().splitlines()
    requirements = [Requirement(line) for line in lines if line and not line.startswith('#')]
    return {
        requirement.name.lower().replace('_', '-'): next((bound.version for bound in requirement.specifier), '')
        for requirement in requirements
    }


def test_the_oldest_versions_are_the_lower_bounds():
    bounds = {**read('runtime'), **read('tests')}
    oldest = read('minimum')
    assert oldest.keys() == bounds.keys()
    for name, bound in bounds.items():
        assert re.fullmatch(rf'{re.escape(bound)}(\.0|\.0\.0)?', oldest[name]), (name, bound, oldest[name])


@pytest.mark.parametrize('name', ['runtime', 'tests', 'dev', 'export', 'optional', 'web'])
def test_every_package_has_an_exact_version(name):
    assert read(name).keys() - read('constraints').keys() == set()


@pytest.mark.parametrize(
    'path', sorted((ROOT / '.github' / 'ISSUE_TEMPLATE').glob('*.yml')), ids=lambda path: path.name
)
def test_issue_forms_have_what_github_asks(path):
    form = yaml.safe_load(path.read_text())
    if path.name == 'config.yml':
        assert form == {'blank_issues_enabled': False}
        return
    assert form['name'] and form['description']
    fields = [part for part in form['body'] if part['type'] != 'markdown']
    assert len({part['id'] for part in fields}) == len(fields) and all(part['attributes']['label'] for part in fields)


def test_hooks_run_what_is_installed_by_make():
    (repository,) = yaml.safe_load((ROOT / '.pre-commit-config.yaml').read_text())['repos']
    assert repository['repo'] == 'local'
    assert all(hook['entry'].startswith('.venv/bin/') for hook in repository['hooks'])


def test_workflow_names_files_that_exist():
    text = (ROOT / '.github' / 'workflows' / 'ci.yml').read_text()
    assert yaml.safe_load(text)['jobs'].keys() == {'lint', 'pinned', 'oldest', 'newest', 'wheel'}
    named = re.findall(r'\b(?:requirements|tests)/[\w/]+\.(?:txt|py)', text)
    assert named and all((ROOT / name).is_file() for name in named)
