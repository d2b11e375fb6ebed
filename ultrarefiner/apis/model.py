"""Building the model of a config outside of a Runner."""

from mmengine.config import Config
from mmengine.registry import init_default_scope
from torch import nn

from ..registry import MODELS


def build_model(cfg: Config) -> nn.Module:
    """Build the model of a config, with the config's scope for the names that its parts look up.

    Args:
        cfg (Config): From `load_config`.
    """
    init_default_scope(cfg.get('default_scope', 'ultrarefiner'))
    return MODELS.build(cfg.model)
