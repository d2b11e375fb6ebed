"""BUS_UC (Mendeley 3ksd7w7jkx): 811 images, no patient identifiers, some masks of another size or empty."""

from __future__ import annotations

import cv2
import numpy as np

from ..archive import Archive, inside
from .base import BaseConverter, Collection, Expected, Sample, by_stem, pair_one_to_one, safe_name

CLASSES = ('Benign', 'Malignant')


class BUSUCConverter(BaseConverter):
    """Reads `{Benign,Malignant}/{images,masks}/001.png`; never `All/`, which repeats them."""

    def collect(self, archive: Archive) -> Collection:
        """List the samples; numbers may repeat between the classes, so names start with the class."""
        root = archive.locate(*CLASSES)
        collection = Collection(
            'BUS_UC',
            Expected(
                {'train': 765, 'test': 191, 'lesion images': 956},
                {'images': 811, 'benign': 358, 'malignant': 453},
            ),
            root,
        )
        for title in CLASSES:
            images = by_stem(archive, inside(root, f'{title}/images'))
            masks = by_stem(archive, inside(root, f'{title}/masks'))
            keys, faults = pair_one_to_one(images, masks)
            collection.faults += faults
            label = title.lower()
            collection.samples += [
                Sample(f'{label}_{safe_name(key)}', images[key][0], (masks[key][0],), label=label) for key in keys
            ]
        repeated = [name for name in archive.names if name.startswith(inside(root, 'All/'))]
        if repeated:
            collection.notes.append(f'All/ ({len(repeated)} files) repeats Benign/ and Malignant/ and was not read.')
        return collection

    def fit_mask(self, lesion: np.ndarray, size: tuple[int, int], source: str) -> tuple[np.ndarray, str]:
        """Some masks of this archive have another size than their image: stretched to it, nearest neighbour."""
        stretched = cv2.resize(lesion.astype(np.uint8), size[::-1], interpolation=cv2.INTER_NEAREST_EXACT)
        return stretched.astype(bool), 'mask_resized'
