"""What flows between the stages. Imports nothing of ours."""

from .image_embedding import ImageEmbedding
from .input_profile import MEDSAM_PROFILE, SAM_PROFILE, InputProfile
from .prompts import Prompts, crop_maps
from .stages import SegOutput, Stages, StageTarget

__all__ = [
    'MEDSAM_PROFILE',
    'SAM_PROFILE',
    'ImageEmbedding',
    'InputProfile',
    'Prompts',
    'SegOutput',
    'StageTarget',
    'Stages',
    'crop_maps',
]
