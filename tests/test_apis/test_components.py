"""The list of components is whole and honest."""

from pathlib import Path

from ultrarefiner.apis.components import list_components
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
