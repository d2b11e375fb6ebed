"""Where the collected files of a run lie, and what they hold.

Below the folder of collected runs every work directory has the path that it had below the folder of runs,
``{training set}/checkpoints/{kind}/.../fold_{k}``. In it lie

- ``training.json``: the record of the training, see `training_record`;
- ``{name of the config}.py``: the config as it was run;
- ``curve.csv``: a row a validation, see `curve_of`;
- ``tests/{test set}/per_image.csv.gz`` and ``per_image.json``: the results on the test images, and for a model with a
  refiner ``errors.json``, the sums of `error_places` over the images.

Beside them, in ``splits/``, is the split file of every dataset that was tested, for the groups of its images. No file
holds an absolute path, an image, a mask or weights.
"""

CURVE = 'curve.csv'
TESTS = 'tests'
ROWS = 'per_image.csv.gz'
SUMMARY = 'per_image.json'
ERRORS = 'errors.json'
SPLITS = 'splits'
# The list of all collected files; what is not in it is never replaced.
LIST = 'collected.json'
# Of a test by a guarded refiner: the name of the test set and this.
GUARDED = '_guarded'
# Of a training set that was split at random, by single images: the name of the set and this.
RANDOM = '_random'
