"""The model types of `transformers` that `TransformersRefiner` takes, and why others do not fit."""

from __future__ import annotations

from .sam2_family import SAM2Family
from .sam3_family import SAM3Family
from .sam_family import SAMFamily
from .sam_hq_family import SAMHQFamily


def _on(backbone: str, **sizes) -> dict:
    return dict(vision_config=dict(backbone_config=dict(model_type=backbone, **sizes)))


# EdgeTAM's image encoder comes from timm. Its number of classes and their names say nothing: given, they only keep
# transformers from looking up ImageNet's.
_REPVIT = _on(
    'timm_wrapper',
    architecture='repvit_m1',
    model_args=dict(in_chans=3, features_only=True, out_indices=[0, 1, 2, 3]),
    num_classes=1,
    label_names=['none'],
)
# The default of 1e-10 leaves a random image encoder blind.
_VISIBLE = dict(vision_config=dict(initializer_range=0.02))
FAMILIES = dict(
    sam=SAMFamily('Sam', 'sam', defaults=_VISIBLE),
    sam_hq=SAMHQFamily('SamHQ', 'sam', defaults=_VISIBLE),
    sam2=SAM2Family('Sam2', 'sam2', ('sam2_video',), _on('sam2_hiera_det_model')),
    edgetam=SAM2Family('EdgeTam', 'sam2', ('edgetam_video',), _REPVIT),
    sam3_tracker=SAM3Family('Sam3Tracker', 'sam3', defaults=_on('sam3_vit_model')),
)
# Why other models that `transformers` has do not fit.
_CONCEPTS = 'it finds all that a text or example boxes name, and takes no points and no mask'
UNFIT = dict(
    sam3=f'{_CONCEPTS}; sam3_tracker is the part of SAM 3 that does',
    sam3_lite_text=_CONCEPTS,
    sam3_video='it is a detector and a tracker; save the tracker alone with '
    'transformers.Sam3TrackerModel.from_pretrained(...).save_pretrained(folder), and give that folder',
)
