"""Every component that a config can name, and what it is for; read from the registries."""

from __future__ import annotations

import inspect
from typing import NamedTuple

from ..registry import (
    ADAPTERS,
    CANDIDATE_SELECTIONS,
    DATASETS,
    GATES,
    HOOKS,
    METRICS,
    MODELS,
    OBJECT_SPLITTERS,
    PROMPT_GENERATORS,
    REFINERS,
    REGULARIZERS,
    STAGE_LOSSES,
    TRANSFORMS,
)

FAMILIES = (
    PROMPT_GENERATORS,
    OBJECT_SPLITTERS,
    REFINERS,
    CANDIDATE_SELECTIONS,
    GATES,
    ADAPTERS,
    STAGE_LOSSES,
    REGULARIZERS,
)
NODES = {'dataset': DATASETS, 'transform': TRANSFORMS, 'metric': METRICS, 'hook': HOOKS}


class Component(NamedTuple):
    """A class that a config can name.

    Attributes:
        kind: Of component, such as 'prompt generator'.
        name: What ``type=`` in a config says.
        purpose: The first line of its docstring.
        module: Where it is defined, such as 'ultrarefiner.models.refiners.sam_refiner'.
    """

    kind: str
    name: str
    purpose: str
    module: str


def list_components(package: str = 'ultrarefiner') -> list[Component]:
    """The registered components of a package, family by family, sorted by name within each.

    Args:
        package (str): The first part of the modules' names; that of a plug-in lists what it adds. Defaults to ours.
    """
    found = [_component(family.noun, family.registry.get(name)) for family in FAMILIES for name in family.names()]
    in_a_family = {component.name for component in found}
    for kind, registry in {'segmentor, backbone, head': MODELS, **NODES}.items():
        registry.import_from_location()
        found += [
            _component(kind, cls) for _, cls in sorted(registry.module_dict.items()) if cls.__name__ not in in_a_family
        ]
    return [component for component in found if component.module.split('.')[0] == package]


def markdown_table(components: list[Component]) -> str:
    """One Markdown table a kind; names link to their files, relative to a page in docs/."""
    lines = []
    for kind in dict.fromkeys(component.kind for component in components):
        lines += [f'## {kind.capitalize()}', '', '| type | purpose |', '|---|---|']
        for component in components:
            if component.kind == kind:
                link = f'../{component.module.replace(".", "/")}.py'
                lines.append(f'| [`{component.name}`]({link}) | {component.purpose} |')
        lines.append('')
    return '\n'.join(lines)


def _component(kind: str, cls: type) -> Component:
    doc = inspect.getdoc(cls) if cls.__doc__ else ''
    purpose = (doc or '').split('\n\n')[0].replace('\n', ' ').replace('|', r'\|')
    return Component(kind, cls.__name__, purpose, cls.__module__)
