"""BUS-UCLM (Vallez et al. 2025): 683 images of 38 patients, lesions drawn in green and red."""

from __future__ import annotations

from ..archive import Archive, inside, stem_of
from ..mask_rules import ColourMap
from .base import BaseConverter, Collection, Expected, Fault, Sample, by_stem, pair_one_to_one, safe_name
from .tables import read_table

TABLE = 'INFO.csv'
FLAGS = ('Doppler', 'Marks', 'Combined')
YES = {'1', 'yes', 'true', 'y', 'x'}
# All images of this patient are cropped relative to their masks, so that the masks point at the wrong place.
REFUSED_PATIENT = 'HESN'


class BUSUCLMConverter(BaseConverter):
    """Reads `images/ALWI_000.png`, `masks/ALWI_000.png` and `INFO.csv`; the patient is the part before `_`."""

    default_rule = ColourMap({(0, 0, 0): 0, (0, 255, 0): 1, (255, 0, 0): 1})

    def collect(self, archive: Archive) -> Collection:
        """List the samples; the patient whose masks do not fit is left out, normal ones later (blank masks)."""
        root = archive.locate('images', 'masks', TABLE)
        rows = read_table(archive, inside(root, TABLE), ('Image', 'Label', *FLAGS))
        info = {stem_of(row['Image']): row for row in rows}
        collection = Collection(
            'BUS_UCLM',
            Expected(
                {'train': 130, 'test': 33, 'lesion images': 163},
                {
                    'images': 683,
                    'lesion images': 264,
                    'benign': 174,
                    'malignant': 90,
                    'normal': 419,
                    'patients': 38,
                },
            ),
            root,
        )
        images, masks = by_stem(archive, inside(root, 'images')), by_stem(archive, inside(root, 'masks'))
        keys, faults = pair_one_to_one(images, masks)
        collection.faults += faults
        for key in keys:
            patient, source = key.partition('_')[0], images[key][0]
            if patient == REFUSED_PATIENT:
                reason = f'patient {REFUSED_PATIENT}: images are cropped relative to their masks'
                collection.left_out.setdefault(reason, []).append(source)
            elif key not in info:
                collection.faults.append(Fault(source, f'no row for it in {TABLE}.'))
            else:
                flags = tuple(flag.lower() for flag in FLAGS if info[key][flag].lower() in YES)
                label = info[key]['Label'].lower() or 'unknown'
                collection.samples.append(Sample(safe_name(key), source, (masks[key][0],), patient, label, flags))
        return collection
