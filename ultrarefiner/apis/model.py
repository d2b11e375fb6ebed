"""Building the model of a config outside of a Runner."""

from mmengine.config import Config
from mmengine.registry import init_default_scope

from ..models.segmentors import CoarseToFine
from ..registry import MODELS


def build_model(cfg: Config) -> CoarseToFine:
    """Build the model of a config, with the config's scope for the names that its parts look up.

    Args:
        cfg (Config): From `load_config`.

    Raises:
        ValueError: If the model is something else.
    """
    init_default_scope(cfg.get('default_scope', 'ultrarefiner'))
    return checked_model(MODELS.build(cfg.model))


def checked_model(model: object) -> CoarseToFine:
    """The model itself.

    Raises:
        ValueError: If it is no `CoarseToFine`.
    """
    if not isinstance(model, CoarseToFine):
        raise ValueError(
            f'the model of the config is a {type(model).__name__}, expected a CoarseToFine; a segmentor of '
            "mmsegmentation goes into one: model=dict(type='CoarseToFine', coarse=dict(...), coarse_input=dict(...))"
        )
    return model
