"""The list of components is whole and honest."""

from pathlib import Path

import pytest

from ultrarefiner.apis.components import config_text, find_component, list_components, matching_components
from ultrarefiner.registry import REFINERS

ROOT = Path(__file__).resolve().parents[2]


def test_every_component_is_listed_once_and_has_a_purpose():
    components = list_components()
    names = [component.name for component in components]
    assert len(names) == len(set(names))
    assert {'SAMRefiner', 'CoarseToFine', 'TransUNetBackbone', 'RefinementMetric', 'LoadMask'} <= set(names)
    assert not [component.name for component in components if len(component.purpose) < 10]


def test_a_component_lies_where_its_name_says():
    """A reader finds a component by its config name: the file is the class in snake case."""
    misplaced = [
        component.name
        for component in list_components()
        if component.module.rpartition('.')[2].replace('_', '') != component.name.lower()
    ]
    assert misplaced == ['ImagePreprocessor']  # mmengine's own kind, data_preprocessor.py


def test_refiners_are_a_kind_of_their_own():
    refiners = [component.name for component in list_components() if component.kind == 'refiner']
    assert refiners == [name for name in REFINERS.names() if REFINERS.registry.get(name).__module__[:5] == 'ultra']


def test_the_files_are_there():
    for component in list_components():
        assert (ROOT / f'{component.module.replace(".", "/")}.py').is_file()


def test_a_kind_is_preferred_to_a_name_and_a_name_may_be_a_pattern():
    assert {part.kind for part in matching_components('Refiner')} == {'refiner'}
    boxes = {part.name for part in matching_components('*box')}
    assert 'MomentBox' in boxes and all(name.endswith('Box') for name in boxes)
    assert boxes <= {part.name for part in matching_components('box')}
    with pytest.raises(ValueError, match="is called 'SamRefinr'.*SAMRefiner.*the kinds are prompt generator"):
        matching_components('SamRefinr')


def test_a_component_is_shown_as_a_config_names_it():
    text = config_text(find_component('SAMRefiner'))
    assert text.startswith("dict(\n    type='SAMRefiner',\n    arch='vit_b',\n") and text.endswith('\n)')
    assert '    refiner=...,  # required\n' in config_text(find_component('ROIRefiner'))
    assert find_component('FCNHead').__module__.startswith('mmseg.') and find_component('NoSuchHead') is None
