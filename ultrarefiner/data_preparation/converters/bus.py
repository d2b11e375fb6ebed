"""The two archives called BUS: UDIAT Dataset B (Yap et al. 2018, 163 images) and BUSIS (562 images).

Told apart by what is in the folder: UDIAT numbers its files `000001.png` in `original` and `GT`; BUSIS calls them
`case1.png`, zero-padded in one of its two folders. The count decides where names do not, and must not contradict them.
"""

from __future__ import annotations

import re

from ..archive import Archive, inside, parent_of, stem_of
from ..errors import DatasetError
from ..images import is_image
from ..mask_rules import BINARY, MaskRule, MaskThreshold
from .base import BaseConverter, Collection, Expected, Sample, pair_one_to_one
from .tables import read_table

IMAGE_FOLDERS = ('original', 'originals', 'images', 'image', 'imgs', 'img')
MASK_FOLDERS = ('gt', 'masks', 'mask', 'groundtruth', 'ground_truth', 'ground truth', 'labels', 'label')
FILE = re.compile(r'(?P<prefix>case)?[ _-]*0*(?P<number>\d+)(?:_?(?:gt|mask))?', re.IGNORECASE)
UDIAT_TABLE = 'DatasetB.csv'
UDIAT_COUNT, BUSIS_COUNT = 163, 562
# UDIAT's masks have grey borders; 150 is the level that the literature reads them at (UltraSam).
UDIAT_LEVEL = 150

METHOD = {'train': 450, 'test': 112, 'lesion images': BUSIS_COUNT}
EXPECTED = {
    'UDIAT': Expected(METHOD, {'images': UDIAT_COUNT, 'lesion images': UDIAT_COUNT, 'benign': 109, 'malignant': 54}),
    'BUSIS': Expected(METHOD, {'images': BUSIS_COUNT, 'lesion images': BUSIS_COUNT, 'benign': 306, 'malignant': 256}),
}


class BUSConverter(BaseConverter):
    """Reads either archive and says which it is: the dataset's name becomes `UDIAT` or `BUSIS`."""

    def __init__(self, mask_rule: MaskRule | None = None):
        super().__init__(mask_rule)
        self.rules = {'UDIAT': mask_rule or MaskThreshold(UDIAT_LEVEL), 'BUSIS': mask_rule or BINARY}

    def collect(self, archive: Archive) -> Collection:
        """List the samples of whichever of the two archives this is."""
        image_folder, mask_folder = _folders(archive)
        images, masks = _by_number(archive, image_folder), _by_number(archive, mask_folder)
        cased = [bool(FILE.fullmatch(stem_of(file))['prefix']) for files in images.values() for file in files]
        dataset = _which(archive, cased)
        self.mask_rule = self.rules[dataset]
        collection = Collection(dataset, EXPECTED[dataset], parent_of(image_folder))
        collection.notes.append(
            f'This BUS archive is {dataset}: {len(images)} images named like '
            f'{stem_of(next(iter(images.values()))[0])!r} in {image_folder}/ (UDIAT has {UDIAT_COUNT} named like '
            f"'000001', BUSIS {BUSIS_COUNT} named like 'case1'). The method's table gives BUSIS's count."
        )
        keys, collection.faults = pair_one_to_one(images, masks)
        labels = _labels(archive, image_folder) if dataset == 'UDIAT' else {}
        if not labels:
            collection.notes.append('No table of labels read; stratified by lesion size alone.')
        prefix = 'case' if dataset == 'BUSIS' else 'udiat'
        collection.samples = [
            Sample(f'{prefix}_{int(key):06d}', images[key][0], (masks[key][0],), label=labels.get(key, 'unknown'))
            for key in keys
        ]
        return collection


def _folders(archive: Archive) -> tuple[str, str]:
    """The one pair of sibling folders with images and masks."""
    folders = sorted({parent_of(name) for name in archive.names if is_image(name)})
    pairs = [
        (one, other)
        for one in folders
        for other in folders
        if parent_of(one) == parent_of(other)
        and one.rpartition('/')[2].lower() in IMAGE_FOLDERS
        and other.rpartition('/')[2].lower() in MASK_FOLDERS
    ]
    if len(pairs) != 1:
        found = ', '.join(folders[:8]) or 'no folder with images'
        raise DatasetError(
            f'{archive.path}: expected one folder of images and one of masks side by side, such as original/ and GT/ '
            f'(UDIAT) or original/ and GT/ or images/ and masks/ (BUSIS); found {found}.'
        )
    return pairs[0]


def _by_number(archive: Archive, folder: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for source in filter(is_image, archive.within(folder)):
        match = FILE.fullmatch(stem_of(source))
        if match is None:
            raise DatasetError(
                f"{archive.path}: {source} is named neither like UDIAT's files (000001.png) nor like BUSIS's "
                '(case1.png); this is neither archive, or the file does not belong to it. For another dataset use '
                'tools/dataset_converters/generic.py.'
            )
        found.setdefault(match['number'], []).append(source)
    return found


def _which(archive: Archive, cased: list[bool]) -> str:
    if len(set(cased)) > 1:
        raise DatasetError(
            f"{archive.path}: {sum(cased)} images are named like BUSIS's (case1), {len(cased) - sum(cased)} like "
            "UDIAT's (000001): two archives in one folder. Unpack them apart."
        )
    by_name = 'BUSIS' if cased[0] else 'UDIAT'
    by_count = {UDIAT_COUNT: 'UDIAT', BUSIS_COUNT: 'BUSIS'}.get(len(cased), by_name)
    if by_count != by_name:
        raise DatasetError(
            f'{archive.path}: the {len(cased)} images are as many as {by_count} has, but named like those of '
            f'{by_name}; cannot tell which archive this is. Restore the original file names.'
        )
    return by_name


def _labels(archive: Archive, image_folder: str) -> dict[str, str]:
    """Labels from the table (columns image, type) exported as CSV; the archive carries it as .xlsx."""
    table = inside(parent_of(image_folder), UDIAT_TABLE)
    if table not in archive.names:
        return {}
    rows = read_table(archive, table, ('image', 'type'))
    return {stem_of(row['image']).lstrip('0'): row['type'].lower() or 'unknown' for row in rows}
