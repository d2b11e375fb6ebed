"""SonarConverter: an archive of one's own, read as it is distributed.

Example:
  python projects/example_project/sonar_converter.py path/to/sonar data/sonar
"""

import sys

from ultrarefiner.data_preparation.archive import Archive, inside
from ultrarefiner.data_preparation.command_line import main
from ultrarefiner.data_preparation.converters.base import (
    BaseConverter,
    Collection,
    Expected,
    Sample,
    by_stem,
    pair_one_to_one,
    safe_name,
)


class SonarConverter(BaseConverter):
    """Reads `scans/{patient}-{view}.png` and `lesions/{patient}-{view}.png` with the values 0 and 255."""

    def collect(self, archive: Archive) -> Collection:
        """List the samples; all views of a patient fall on one side of a split, because the patient is named."""
        root = archive.locate('scans', 'lesions')
        images, masks = by_stem(archive, inside(root, 'scans')), by_stem(archive, inside(root, 'lesions'))
        keys, faults = pair_one_to_one(images, masks)
        collection = Collection('SONAR', Expected(), root, faults=faults)
        collection.samples = [
            Sample(safe_name(key), images[key][0], (masks[key][0],), patient=key.split('-')[0]) for key in keys
        ]
        return collection


if __name__ == '__main__':
    sys.exit(main(__doc__, SonarConverter))
