"""Any user's data: a folder of images and a folder of masks, or COCO JSON."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

import numpy as np

from ..archive import Archive, inside
from ..errors import DatasetError
from ..images import is_image
from ..mask_rules import MaskRule
from .base import BaseConverter, Collection, Expected, Fault, Sample, natural_key, pair_one_to_one, safe_name
from .coco import CocoImage, draw, read_coco


class FolderConverter(BaseConverter):
    """Images and masks matched by their path in two folders, suffix aside.

    Args:
        dataset (str): Name of the dataset.
        images (str): Folder of the images in the archive. Defaults to 'images'.
        masks (str): Folder of the masks; may be the same. Defaults to 'masks'.
        mask_ending (str): What a mask's name has behind its image's, such as '_mask'. Defaults to none.
        patient_pattern (str, optional): Regular expression that finds the patient in an image's path; its first group,
            or all of it.
        mask_rule (MaskRule, optional): How mask values are read. Defaults to 0 and 255.
    """

    def __init__(
        self,
        dataset: str,
        images: str = 'images',
        masks: str = 'masks',
        mask_ending: str = '',
        patient_pattern: str | None = None,
        mask_rule: MaskRule | None = None,
    ):
        super().__init__(mask_rule)
        self.dataset = dataset
        self.images, self.masks = plain_path(images), plain_path(masks)
        self.mask_ending = mask_ending
        self.patient_pattern = compile_pattern(patient_pattern)
        if self.images == self.masks and not mask_ending:
            raise DatasetError(f'images and masks are both in {images!r}: say how masks end (--mask-ending _mask).')

    def collect(self, archive: Archive) -> Collection:
        """List the samples."""
        root = archive.locate(self.images, self.masks)
        collection = Collection(self.dataset, Expected(), root)
        masks = self._keyed(archive, inside(root, self.masks), self.mask_ending)
        images = self._keyed(archive, inside(root, self.images), '')
        if self.images == self.masks:
            images = {key: files for key, files in images.items() if not key.endswith(self.mask_ending)}
        if not images or not masks:
            raise DatasetError(
                f'{archive.path}: found {len(images)} images in {self.images}/ and {len(masks)} masks in '
                f'{self.masks}/, expected some in both; name the folders with --images and --masks.'
            )
        keys, collection.faults = pair_one_to_one(images, masks)
        for key in keys:
            source = images[key][0]
            patient = find_patient(self.patient_pattern, source, collection.faults)
            if patient is not None:
                collection.samples.append(Sample(safe_name(key), source, (masks[key][0],), patient))
        return collection

    @staticmethod
    def _keyed(archive: Archive, folder: str, ending: str) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        start = f'{folder}/' if folder else ''
        for source in archive.names:
            key = str(PurePosixPath(source.removeprefix(start)).with_suffix(''))
            if source.startswith(start) and is_image(source) and key.endswith(ending):
                found.setdefault(key.removesuffix(ending), []).append(source)
        return found


class CocoConverter(BaseConverter):
    """Images with a COCO file; all annotations of an image are united, and images without any are left out.

    Args:
        dataset (str): Name of the dataset.
        annotations (str): The COCO file in the archive.
        images (str): Folder that file names are relative to. Defaults to 'images'.
        patient_pattern (str, optional): As in `FolderConverter`.
    """

    def __init__(self, dataset: str, annotations: str, images: str = 'images', patient_pattern: str | None = None):
        super().__init__()
        self.dataset = dataset
        self.annotations = annotations
        self.images = plain_path(images)
        self.patient_pattern = compile_pattern(patient_pattern)
        self.drawings: dict[str, CocoImage] = {}

    def collect(self, archive: Archive) -> Collection:
        """List the samples."""
        root = archive.locate(self.annotations)
        folder = inside(root, self.images)
        collection = Collection(self.dataset, Expected(), root)
        known = set(archive.names)
        start = f'{folder}/' if folder else ''
        listed = read_coco(archive.read(inside(root, self.annotations)), self.annotations)
        for image in sorted(listed, key=lambda image: natural_key(image.file_name)):
            candidates = (f'{start}{image.file_name}', inside(root, image.file_name))
            source = next((name for name in candidates if name in known), None)
            if source is None:
                fault = f'listed in {self.annotations}, but neither {candidates[0]} nor {candidates[1]} exists.'
                collection.faults.append(Fault(image.file_name, fault))
                continue
            if source in self.drawings:
                collection.faults.append(Fault(source, f'listed twice in {self.annotations}.'))
                continue
            self.drawings[source] = image
            patient = find_patient(self.patient_pattern, source, collection.faults)
            label = next(iter(image.categories)) if len(image.categories) == 1 else 'unknown'
            if patient is not None:
                name = safe_name(str(PurePosixPath(image.file_name).with_suffix('')))
                collection.samples.append(Sample(name, source, (self.annotations,), patient, label))
        unlisted = [name for name in archive.names if name.startswith(start) and is_image(name)]
        unlisted = [name for name in unlisted if name not in self.drawings]
        if unlisted:
            collection.left_out[f'not listed in {self.annotations}'] = unlisted
        return collection

    def load_mask(self, archive: Archive, sample: Sample, size: tuple[int, int]) -> tuple[np.ndarray, tuple[str, ...]]:
        """The union of the annotations, (H, W) bool."""
        lesion = draw(self.drawings[sample.image_source], self.annotations)
        if lesion.shape != size:
            lesion, _ = self.fit_mask(lesion, size, f'{self.annotations}, {sample.image_source}')
        return lesion, ()


def plain_path(folder: str) -> str:
    """A folder as archives spell it: no './' before it and no '/' behind; '' for the top."""
    text = PurePosixPath(folder).as_posix().strip('/')
    return '' if text == '.' else text


def compile_pattern(pattern: str | None) -> re.Pattern | None:
    """A regular expression, or none.

    Raises:
        DatasetError: If it is not one.
    """
    try:
        return None if pattern is None else re.compile(pattern)
    except re.error as error:
        raise DatasetError(f'--patient-pattern {pattern!r} is not a regular expression ({error}).') from error


def find_patient(pattern: re.Pattern | None, source: str, faults: list[Fault]) -> str | None:
    """The patient in a path: '' without a pattern; None, and a fault, where the pattern finds none."""
    if pattern is None:
        return ''
    match = pattern.search(source)
    patient = match and (match[1] if pattern.groups else match[0])
    if not patient:
        faults.append(Fault(source, f'--patient-pattern {pattern.pattern!r} finds no patient in it.'))
        return None
    return patient
