import numpy as np
import pytest
from archive_makers import all_bytes
from PIL import Image

from ultrarefiner.data_preparation import DatasetError
from ultrarefiner.data_preparation.archive import open_archive
from ultrarefiner.data_preparation.converters import BUSIConverter
from ultrarefiner.data_preparation.grouping import SAME_PLACE, dhash, near_duplicates
from ultrarefiner.data_preparation.images import count_components
from ultrarefiner.data_preparation.phantom import make_phantom, seen_again, write_archive


def test_archive_is_one_that_the_busi_converter_reads_and_its_seed_decides_it(tmp_path):
    counts = write_archive(tmp_path / 'a', 16, 3)
    assert counts == {'benign': 10, 'malignant': 5, 'normal': 1}
    with open_archive(tmp_path / 'a') as archive:
        collection = BUSIConverter().collect(archive)
    assert len(collection.samples) == 16 and not collection.faults
    mask = np.asarray(Image.open(tmp_path / 'a' / 'normal' / 'normal (1)_mask.png'))
    assert not mask.any()
    write_archive(tmp_path / 'b', 16, 3)
    assert all_bytes(tmp_path / 'a') == all_bytes(tmp_path / 'b')
    first = make_phantom('benign', np.random.default_rng((4, 0)))
    assert not np.array_equal(first.image, np.asarray(Image.open(tmp_path / 'a' / 'benign' / 'benign (1).png')))


def test_lesions_are_whole_darker_than_around_and_speckled():
    contrasts, fractions = [], []
    for seed in range(8):
        phantom = make_phantom('malignant' if seed % 2 else 'benign', np.random.default_rng(seed))
        assert 180 <= phantom.image.shape[0] <= 250 and 200 <= phantom.image.shape[1] <= 280
        for lesion in phantom.lesions:
            assert count_components(lesion) == 1
            rows = np.flatnonzero(lesion.any(axis=1))
            beside = ~lesion[rows[0] : rows[-1] + 1]
            band = phantom.image[rows[0] : rows[-1] + 1].astype(float)
            contrasts.append(band[beside].mean() - band[~beside].mean())
            fractions.append(lesion.mean())
    assert np.mean(contrasts) > 15
    assert np.mean(np.array(contrasts) > 0) >= 0.8
    assert 0.005 < min(fractions) and max(fractions) < 0.25


def test_normal_phantoms_have_no_lesion():
    assert make_phantom('normal', np.random.default_rng(0)).lesions == []


def test_a_frame_seen_again_is_a_near_duplicate_and_other_frames_are_not():
    rng = np.random.default_rng(0)
    frames = [make_phantom('benign', rng) for _ in range(6)]
    images = [frame.image for frame in (*frames, seen_again(frames[2], rng))]
    assert near_duplicates([dhash(Image.fromarray(image)) for image in images], SAME_PLACE) == [(2, 6)]


def test_nothing_is_overwritten(tmp_path):
    (tmp_path / 'note.txt').write_text('mine')
    with pytest.raises(DatasetError, match='not an empty folder'):
        write_archive(tmp_path, 16, 0)
    with pytest.raises(DatasetError, match='expected 16 or more'):
        write_archive(tmp_path / 'new', 3, 0)
