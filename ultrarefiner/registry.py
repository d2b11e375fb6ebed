"""Registries of the scope `ultrarefiner`, and typed families on MODELS.

Every node is a child of mmseg's, so that a type resolves in this order: ours, mmseg's, mmcv's and mmengine's.
mmengine allows one child registry per scope and parent, so a family is a typed view on MODELS: it checks the base class
when a class is registered and again when one is built, and it explains an unknown name.
"""

from __future__ import annotations

import difflib
import inspect
from typing import Any, Generic, TypeVar

from mmengine.config.utils import MODULE2PACKAGE
from mmengine.registry import Registry
from mmseg import registry as mmseg

from .interfaces import (
    BaseAdapter,
    BaseCandidateSelection,
    BaseGate,
    BaseObjectSplitter,
    BasePromptGenerator,
    BaseRefiner,
    BaseRegularizer,
    BaseStageLoss,
)

# Lets another project's config say _base_ = 'ultrarefiner::transunet/...': mmengine knows its own packages only.
MODULE2PACKAGE.setdefault('ultrarefiner', 'ultrarefiner')

# A registry imports its own locations before a look-up but not its parent's, hence mmseg's here too.
MODELS = Registry('model', parent=mmseg.MODELS, scope='ultrarefiner', locations=['ultrarefiner.models', 'mmseg.models'])
DATASETS = Registry(
    'dataset', parent=mmseg.DATASETS, scope='ultrarefiner', locations=['ultrarefiner.datasets', 'mmseg.datasets']
)
TRANSFORMS = Registry(
    'transform',
    parent=mmseg.TRANSFORMS,
    scope='ultrarefiner',
    locations=['ultrarefiner.datasets.transforms', 'mmseg.datasets.transforms'],
)
METRICS = Registry(
    'metric', parent=mmseg.METRICS, scope='ultrarefiner', locations=['mmseg.evaluation', 'ultrarefiner.evaluation']
)
HOOKS = Registry(
    'hook', parent=mmseg.HOOKS, scope='ultrarefiner', locations=['mmseg.engine.hooks', 'ultrarefiner.engine.hooks']
)
OPTIM_WRAPPERS = Registry(
    'optim_wrapper', parent=mmseg.OPTIM_WRAPPERS, scope='ultrarefiner', locations=['ultrarefiner.engine']
)
# Nothing of ours is registered in these. They are for plug-ins, and so that the Runner finds the scope everywhere: it
# warns about each registry that it looks for in vain.
# A location that is there already, for mmengine calls register_all_modules where it is told of none.
NOTHING = ['ultrarefiner.registry']
DATA_SAMPLERS = Registry('data sampler', parent=mmseg.DATA_SAMPLERS, scope='ultrarefiner', locations=NOTHING)
LOOPS = Registry('loop', parent=mmseg.LOOPS, scope='ultrarefiner', locations=NOTHING)
OPTIM_WRAPPER_CONSTRUCTORS = Registry(
    'optimizer wrapper constructor',
    parent=mmseg.OPTIM_WRAPPER_CONSTRUCTORS,
    scope='ultrarefiner',
    locations=['mmseg.engine'],
)
OPTIMIZERS = Registry('optimizer', parent=mmseg.OPTIMIZERS, scope='ultrarefiner', locations=NOTHING)
PARAM_SCHEDULERS = Registry(
    'parameter scheduler', parent=mmseg.PARAM_SCHEDULERS, scope='ultrarefiner', locations=NOTHING
)
WEIGHT_INITIALIZERS = Registry(
    'weight initializer', parent=mmseg.WEIGHT_INITIALIZERS, scope='ultrarefiner', locations=NOTHING
)
VISBACKENDS = Registry('vis_backend', parent=mmseg.VISBACKENDS, scope='ultrarefiner', locations=NOTHING)
VISUALIZERS = Registry('visualizer', parent=mmseg.VISUALIZERS, scope='ultrarefiner', locations=NOTHING)

Member = TypeVar('Member')


class Family(Generic[Member]):
    """A typed view on a registry: the classes of one base class.

    Args:
        noun (str): What a member is called in messages, such as 'prompt generator'.
        registry (Registry): Where the members are registered.
        base (type): The base class of every member.
    """

    def __init__(self, noun: str, registry: Registry, base: type[Member]):
        self.noun = noun
        self.registry = registry
        self.base = base

    def register_module(self, cls: type | None = None) -> Any:
        """Register a class, as a decorator with or without parentheses.

        Raises:
            TypeError: If the class is not a subclass of the family's base.
        """
        if cls is None:
            return self.register_module
        if not (inspect.isclass(cls) and issubclass(cls, self.base)):
            raise TypeError(
                f'{cls!r} cannot be registered as a {self.noun}: it is not a subclass of '
                f'{self.base.__module__}.{self.base.__name__}'
            )
        return self.registry.register_module(module=cls, force=False)

    def names(self) -> list[str]:
        """The registered members, sorted."""
        self.registry.import_from_location()
        return sorted(
            name
            for name, cls in self.registry.module_dict.items()
            if inspect.isclass(cls) and issubclass(cls, self.base)
        )

    def build(self, cfg: dict | Member) -> Member:
        """Build a member from its config; an object that is one already is returned as it is.

        Raises:
            KeyError: If there is no such member; the message names the nearest ones and the remedy.
            TypeError: If the config has no type, the class is of another family, or an argument does not fit.
        """
        if isinstance(cfg, self.base):
            return cfg
        if not isinstance(cfg, dict) or 'type' not in cfg:
            raise TypeError(f"{self.noun} is built from a dict with the key 'type', got {cfg!r}")
        kind = cfg['type']
        cls = self.registry.get(kind) if isinstance(kind, str) else kind
        if cls is None or not (inspect.isclass(cls) and issubclass(cls, self.base)):
            raise KeyError(self._explain(kind, cls))
        try:
            return self.registry.build(cfg)
        except TypeError as error:
            raise TypeError(f'while building {self.noun} {kind!r} from {dict(cfg)}: {error}') from error

    def _explain(self, kind: str | type, cls: type | None) -> str:
        names = self.names()
        known = f'Known: {", ".join(names)}. A class of yours outside the package needs custom_imports in the config.'
        if cls is not None:
            return f'{kind!r} is no {self.noun}: {cls.__name__} does not derive from {self.base.__name__}. {known}'
        nearest = difflib.get_close_matches(str(kind), names, n=1)
        hint = f' Did you mean {nearest[0]!r}?' if nearest else ''
        return f'no {self.noun} named {kind!r}.{hint} {known}'


PROMPT_GENERATORS = Family('prompt generator', MODELS, BasePromptGenerator)
REFINERS = Family('refiner', MODELS, BaseRefiner)
STAGE_LOSSES = Family('stage loss', MODELS, BaseStageLoss)
CANDIDATE_SELECTIONS = Family('candidate selection', MODELS, BaseCandidateSelection)
GATES = Family('gate', MODELS, BaseGate)
ADAPTERS = Family('adapter', MODELS, BaseAdapter)
OBJECT_SPLITTERS = Family('object splitter', MODELS, BaseObjectSplitter)
REGULARIZERS = Family('regularizer', MODELS, BaseRegularizer)
