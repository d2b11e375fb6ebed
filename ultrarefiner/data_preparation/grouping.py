"""Groups: what must stay on one side of a split. Patients where known, else clusters of near-duplicates.

The distances were chosen on BUSI (780 images, no patient identifiers). Its 303,810 pairs fall into two heaps: 218 pairs
up to 56 of 256 bits, a thin tail of some 60 up to 80, then the thousands of unrelated ones. By eye every pair up to 56
shows one place of one patient (calipers, text, gain, another crop, the probe moved a little); the first two different
places are at 63. Clusters stay small: the largest holds 7 images, a sweep over one lesion. BUS-BRA (1414 images) has
one pair up to 64 between two patients, and by eye it is none.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import imagehash
import numpy as np
from PIL import Image
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

HASH_SIZE = 16
SAME_PLACE = 56
# Between patients that the archive tells apart, only a copy under another name may unite two: similar is not enough.
SAME_IMAGE = 24
BLOCK = 2048  # Rows of the distance matrix held at a time.


def dhash(image: Image.Image) -> str:
    """Difference hash of 256 bits (`imagehash.dhash`), as 64 hexadecimal digits."""
    return str(imagehash.dhash(image, hash_size=HASH_SIZE))


def near_duplicates(hashes: Sequence[str], max_distance: int = SAME_PLACE) -> list[tuple[int, int]]:
    """Pairs of images whose hashes differ in at most ``max_distance`` bits.

    Args:
        hashes (Sequence[str]): From `dhash`.
        max_distance (int): Bits of 256. Defaults to `SAME_PLACE`.

    Returns:
        list[tuple[int, int]]: Positions (i, j), i < j, in order.
    """
    if not hashes:
        return []
    bits = np.stack([imagehash.hex_to_hash(text).hash.ravel() for text in hashes]).astype(np.float32)
    ones = bits.sum(axis=1)
    pairs = []
    for start in range(0, len(bits), BLOCK):
        block = slice(start, start + BLOCK)
        distances = ones[block, None] + ones[None] - 2 * bits[block] @ bits.T
        rows, columns = np.nonzero(distances <= max_distance)
        pairs += [(i, j) for i, j in zip((rows + start).tolist(), columns.tolist()) if i < j]
    return pairs


def duplicate_pairs(patients: Sequence[str], hashes: Sequence[str]) -> list[tuple[int, int]]:
    """Pairs of images that must not be parted: near-duplicates, and between two known patients copies alone.

    Args:
        patients (Sequence[str]): Patient of every image, '' where unknown.
        hashes (Sequence[str]): From `dhash`.

    Returns:
        list[tuple[int, int]]: Positions (i, j), i < j, in order.
    """
    copies = set(near_duplicates(hashes, SAME_IMAGE))
    return [
        (i, j)
        for i, j in near_duplicates(hashes)
        if (i, j) in copies or not (patients[i] and patients[j]) or patients[i] == patients[j]
    ]


def assign_groups(names: Sequence[str], patients: Sequence[str], pairs: Sequence[tuple[int, int]]) -> list[str]:
    """The group of every image: what is linked by a patient or by a pair of duplicates, directly or in a chain.

    Args:
        names (Sequence[str]): Of the images.
        patients (Sequence[str]): Their patients, '' where unknown.
        pairs (Sequence[tuple[int, int]]): From `duplicate_pairs`.

    Returns:
        list[str]: `patient_X` or `cluster_NAME`, after the first member in order of the images.
    """
    edges = list(pairs)
    first: dict[str, int] = {}
    for index, patient in enumerate(patients):
        if patient:
            edges.append((first.setdefault(patient, index), index))
    rows, columns = zip(*edges) if edges else ((), ())
    graph = coo_array((np.ones(len(edges)), (rows, columns)), shape=(len(names), len(names)))
    _, labels = connected_components(graph, directed=False)
    titles: dict[int, str] = {}
    for label, name, patient in zip(labels.tolist(), names, patients):
        titles.setdefault(label, f'patient_{patient}' if patient else f'cluster_{name}')
    return [titles[label] for label in labels.tolist()]


def cluster_sizes(groups: Sequence[str]) -> dict[int, int]:
    """How many groups have 1, 2, 3, ... images."""
    return dict(sorted(Counter(Counter(groups).values()).items()))
