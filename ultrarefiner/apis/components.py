"""Every component that a config can name, and what it is for; read from the registries."""

from __future__ import annotations

import inspect
from fnmatch import fnmatchcase
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
from ..utils.command_line import did_you_mean

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


def matching_components(what: str, package: str = 'ultrarefiner') -> list[Component]:
    """The components of a kind, or of a name.

    Args:
        what (str): Part of a kind, such as 'refiner'; where no kind has it, part of a name, such as 'box', or a
            pattern of a name, such as '*Box'; upper and lower case are alike. '' gives all.
        package (str): As for `list_components`.

    Raises:
        ValueError: If nothing matches; the message has the nearest name, and the kinds.
    """
    components = list_components(package)
    wanted = what.lower()
    pattern = wanted if any(sign in wanted for sign in '*?[') else f'*{wanted}*'
    found = [part for part in components if wanted in part.kind]
    found = found or [part for part in components if fnmatchcase(part.name.lower(), pattern)]
    if not found:
        kinds = dict.fromkeys(part.kind for part in components)
        near = did_you_mean(what, [part.name for part in components])
        raise ValueError(f'no component of {package} is called {what!r}{near}; the kinds are {", ".join(kinds)}')
    return found


def find_component(name: str) -> type | None:
    """The class that ``type=name`` in a config stands for, ours or mmseg's, mmcv's, mmengine's; None without one."""
    for registry in (MODELS, *NODES.values()):
        registry.import_from_location()
        found = registry.get(name)
        if isinstance(found, type):
            return found
    return None


def config_text(cls: type) -> str:
    """How a config names a component, with every argument and its default; those without one are to be given."""
    lines = [f"    type='{cls.__name__}',"]
    for name, parameter in inspect.signature(cls).parameters.items():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        required = parameter.default is parameter.empty
        lines.append(
            f'    {name}={"..." if required else repr(parameter.default)},{"  # required" if required else ""}'
        )
    return '\n'.join(['dict(', *lines, ')'])


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
