"""BUS-BRA (Gómez-Flores et al. 2024): 1875 images of 1064 patients, with official folds."""

from __future__ import annotations

from ..archive import Archive, inside, stem_of
from ..images import is_image
from .base import BaseConverter, Collection, Expected, Fault, Sample, pair_one_to_one
from .tables import read_table

IMAGE_PREFIX, MASK_PREFIX = 'bus_', 'mask_'
TABLE, FOLDS = 'bus_data.csv', '5-fold-cv.csv'


class BUSBRAConverter(BaseConverter):
    """Reads `Images/bus_0001-l.png`, `Masks/mask_0001-l.png`, `bus_data.csv` and, where present, `5-fold-cv.csv`."""

    def collect(self, archive: Archive) -> Collection:
        """List the samples; the patient is the column Case."""
        root = archive.locate('Images', 'Masks', TABLE)
        cases = {row['ID']: row for row in read_table(archive, inside(root, TABLE), ('ID', 'Case', 'Pathology'))}
        official = {}
        if inside(root, FOLDS) in archive.names:
            official = {row['ID']: row['kFold'] for row in read_table(archive, inside(root, FOLDS), ('ID', 'kFold'))}
        collection = Collection(
            'BUSBRA',
            Expected(
                {'train': 1500, 'test': 375, 'lesion images': 1875},
                {'images': 1875, 'lesion images': 1875, 'benign': 1268, 'malignant': 607, 'patients': 1064},
            ),
            root,
        )
        images = _by_key(archive, inside(root, 'Images'), IMAGE_PREFIX, collection.faults)
        masks = _by_key(archive, inside(root, 'Masks'), MASK_PREFIX, collection.faults)
        keys, faults = pair_one_to_one(images, masks)
        collection.faults += faults
        for key in keys:
            name, source = f'{IMAGE_PREFIX}{key}', images[key][0]
            if not cases.get(name, {}).get('Case'):
                collection.faults.append(Fault(source, f'no row with its patient (ID {name}) in {TABLE}.'))
            elif official and not official.get(name):
                collection.faults.append(Fault(source, f'no row (ID {name}) in {FOLDS}; complete or remove that file.'))
            else:
                row = cases[name]
                label = row['Pathology'].lower() or 'unknown'
                fold = official.get(name, '')
                collection.samples.append(Sample(name, source, (masks[key][0],), row['Case'], label, (), fold))
        unused = len(set(cases) - {f'{IMAGE_PREFIX}{key}' for key in images})
        if unused:
            collection.notes.append(f'{TABLE} lists {unused} images that are not in Images/.')
        if not official:
            collection.notes.append(f'No {FOLDS} in the archive; folds are drawn here, by patient.')
        return collection


def _by_key(archive: Archive, folder: str, prefix: str, faults: list[Fault]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for source in filter(is_image, archive.within(folder)):
        stem = stem_of(source)
        if stem.startswith(prefix):
            found.setdefault(stem.removeprefix(prefix), []).append(source)
        else:
            faults.append(Fault(source, f'expected a name like {prefix}0001-l.png; remove or rename it.'))
    return found
