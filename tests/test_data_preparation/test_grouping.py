import numpy as np
from archive_makers import noise
from PIL import Image

from ultrarefiner.data_preparation.grouping import assign_groups, cluster_sizes, dhash, duplicate_pairs, near_duplicates


def flip_bits(text, *positions):
    value = int(text, 16)
    for position in positions:
        value ^= 1 << position
    return f'{value:064x}'


def groups_of(patients, hashes):
    names = [f'n{index}' for index in range(len(hashes))]
    return assign_groups(names, patients, duplicate_pairs(patients, hashes))


BASE = dhash(Image.fromarray(noise(1)))
OTHER = dhash(Image.fromarray(noise(2)))


def test_hash_does_not_see_gain_size_or_colour_channels_but_sees_another_image():
    image = Image.fromarray(noise(3, (180, 240)))
    gained = Image.fromarray((noise(3, (180, 240)) * 0.7 + 20).astype(np.uint8))
    hashes = [dhash(image), dhash(gained), dhash(image.resize((120, 90))), dhash(image.convert('RGB'))]
    assert len(near_duplicates(hashes)) == 6
    assert near_duplicates([hashes[0], dhash(Image.fromarray(noise(4, (180, 240))))]) == []


def test_distance_is_counted_in_bits_and_the_limit_is_included():
    assert near_duplicates([BASE, flip_bits(BASE, *range(56))]) == [(0, 1)]
    assert near_duplicates([BASE, flip_bits(BASE, *range(57))]) == []
    assert near_duplicates([]) == []


def test_near_duplicates_are_found_across_blocks(monkeypatch):
    monkeypatch.setattr('ultrarefiner.data_preparation.grouping.BLOCK', 2)
    assert near_duplicates([OTHER, BASE, OTHER, BASE, BASE]) == [(0, 2), (1, 3), (1, 4), (3, 4)]


def test_chain_of_near_duplicates_is_one_group():
    chain = [BASE, flip_bits(BASE, *range(50)), flip_bits(BASE, *range(100)), OTHER]
    assert groups_of([''] * 4, chain) == ['cluster_n0'] * 3 + ['cluster_n3']


def test_patients_are_groups_and_similar_images_of_two_patients_stay_apart():
    hashes = [BASE, OTHER, flip_bits(BASE, *range(40))]
    assert groups_of(['7', '7', '8'], hashes) == ['patient_7', 'patient_7', 'patient_8']


def test_a_copy_under_another_patient_unites_the_two():
    hashes = [BASE, OTHER, flip_bits(BASE, 1, 2)]
    assert len(set(groups_of(['7', '7', '8'], hashes))) == 1


def test_image_without_patient_joins_its_near_duplicate():
    assert groups_of(['7', ''], [BASE, flip_bits(BASE, *range(40))]) == ['patient_7'] * 2


def test_cluster_sizes_count_groups_by_their_size():
    assert cluster_sizes(['a', 'a', 'b', 'c', 'c']) == {1: 1, 2: 2}
