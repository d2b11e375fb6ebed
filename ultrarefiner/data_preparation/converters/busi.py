"""BUSI (Al-Dhabyani et al. 2020): 780 images, no patient identifiers, near-duplicates, several masks an image."""

from __future__ import annotations

import re

from ..archive import Archive, inside, stem_of
from ..images import is_image
from .base import BaseConverter, Collection, Expected, Fault, Sample, pair_up

LABELS = ('benign', 'malignant', 'normal')
FILE = re.compile(r'(?P<label>benign|malignant|normal) ?\((?P<number>\d+)\)(?P<mask>_mask(?:_\d+)?)?')


class BUSIConverter(BaseConverter):
    """Reads `{benign,malignant,normal}/benign (1).png` with `benign (1)_mask.png` and further `_mask_1.png`."""

    def collect(self, archive: Archive) -> Collection:
        """List the samples; the masks of one image are united, and blank ones (normal) left out later."""
        root = archive.locate('benign', 'malignant')
        collection = Collection(
            'BUSI',
            Expected(
                {'train': 518, 'test': 129, 'lesion images': 647},
                {'images': 780, 'lesion images': 647, 'benign': 437, 'malignant': 210, 'normal': 133},
            ),
            root,
        )
        for label in LABELS:
            folder = inside(root, label)
            images: dict[str, list[str]] = {}
            masks: dict[str, list[str]] = {}
            for source in filter(is_image, archive.within(folder)):
                match = FILE.fullmatch(stem_of(source))
                if match is None or match['label'] != label:
                    collection.faults.append(
                        Fault(source, f'expected a name like "{label} (1).png"; remove or rename it.')
                    )
                    continue
                (masks if match['mask'] else images).setdefault(match['number'], []).append(source)
            keys, faults = pair_up(images, masks)
            collection.faults += faults
            collection.samples += [
                Sample(f'{label}_{int(key):04d}', images[key][0], tuple(masks[key]), label=label) for key in keys
            ]
        return collection
