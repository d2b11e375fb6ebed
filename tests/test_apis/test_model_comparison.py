"""Models beside each other: the means of the table, the picture, and what a training had to do with the images."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from small_checkpoint import small_checkpoint

from ultrarefiner.apis import UltraRefinerInferencer
from ultrarefiner.apis.model_comparison import ModelComparison, seen_in_training
from ultrarefiner.data_preparation.splits import Splits
from ultrarefiner.evaluation.overlap import overlap


@pytest.fixture(scope='module')
def models(small_parts, tmp_path_factory):
    folder = tmp_path_factory.mktemp('models')
    return {
        seed: UltraRefinerInferencer(small_checkpoint(small_parts, folder / f'{seed}.pth', seed)) for seed in (0, 1)
    }


@pytest.fixture(scope='module')
def comparison(models, tiny_root):
    comparison = ModelComparison(tiny_root, rows=6)
    for seed, model in models.items():
        comparison.add(f'model {seed}', model)
    return comparison


def test_means_are_those_of_the_test_images(comparison, models, tiny_root):
    for seed, model in models.items():
        predictions = model(tiny_root / 'test' / 'images')
        assert len(predictions) == 2
        for stage, field in (('coarse', 'coarse_mask'), ('refined', 'mask')):
            dice = [
                overlap(
                    getattr(prediction, field) == 1,
                    np.asarray(Image.open(tiny_root / 'test' / 'masks' / f'{prediction.name}.png')) > 0,
                )['Dice']
                for prediction in predictions
            ]
            assert comparison.means()[f'model {seed}'][stage]['Dice'] == pytest.approx(np.mean(dice))
    assert comparison.means()['model 0'] != comparison.means()['model 1']


def test_the_picture_has_a_row_an_image_and_a_panel_a_mask(comparison, tmp_path):
    sizes = []
    for count in (1, 2):
        panels = {f'panel {number}': ('model 0', 'refined') for number in range(count)}
        comparison.write_picture(tmp_path / 'picture.png', panels)
        sizes.append(Image.open(tmp_path / 'picture.png').size)
    (width, height), (wider, same) = sizes
    assert wider - width == pytest.approx(width / 3, abs=10) and height == same
    assert comparison.shown == ['t8', 't9']


def test_several_classes_are_refused(small_parts, tiny_root, tmp_path):
    model = UltraRefinerInferencer(small_checkpoint(small_parts, tmp_path / 'two.pth', classes=2))
    with pytest.raises(ValueError, match='two has the classes .*expected background and one more'):
        ModelComparison(tiny_root).add('two', model)


@pytest.mark.parametrize(
    ('splits', 'said'),
    [
        ({}, 'may have seen these images'),
        (dict(BUSI='a'), 'trained on BUSI, not on tiny'),
        (dict(BUSI='a', tiny='b'), 'another split: it has seen some of these images'),
        (dict(tiny=None), 'same split: these test images were held out'),
    ],
)
def test_it_is_said_what_a_model_has_seen(splits, said, tiny_root):
    own = Splits.load(tiny_root / 'splits.json')
    made = {name: digest or own.digest for name, digest in splits.items()}
    assert said in seen_in_training(dict(splits=made), own)
    if said.startswith('same split'):
        assert 'another split' in seen_in_training(dict(splits=made), replace(own, seed=1))
