"""UltraRefinerInferencer: the masks of the test, means by hand, every kind of checkpoint and image."""

import weakref
from dataclasses import fields

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.runner import Runner
from PIL import Image
from small_checkpoint import small_checkpoint, small_config

from ultrarefiner.apis import UltraRefinerInferencer, init_model
from ultrarefiner.apis.inference.image_sources import ImageSource
from ultrarefiner.apis.inference.inferencer import warn_of_transforms
from ultrarefiner.apis.inference.prediction import binary_entropy
from ultrarefiner.data_preparation.errors import DatasetError
from ultrarefiner.structures import Prompts

RNG = np.random.default_rng(3)
IMAGES = [RNG.integers(0, 256, size, dtype=np.uint8) for size in ((40, 48), (33, 20, 3), (64, 50), (40, 48, 3))]


@pytest.fixture(scope='module')
def paths(small_parts, tmp_path_factory):
    """Checkpoints of two folds of phase 3, of phases 1 and 2, and one with two classes."""
    folder = tmp_path_factory.mktemp('checkpoints')
    kinds = dict(
        first={}, second=dict(seed=1), coarse=dict(phase=1, seed=2), refine=dict(phase=2), two=dict(classes=2, seed=4)
    )
    return {name: small_checkpoint(small_parts, folder / f'{name}.pth', **kind) for name, kind in kinds.items()}


def predict(*arguments, images=IMAGES, **options):
    return UltraRefinerInferencer(*arguments, **options)(images)


def assert_equal(ours, theirs, tolerance=1e-5):
    for a, b in zip(ours, theirs, strict=True):
        for stage in ('probabilities', 'coarse_probabilities', 'uncertainty'):
            np.testing.assert_allclose(getattr(a, stage), getattr(b, stage), atol=10 * tolerance)


def test_masks_are_those_of_the_test(paths, small_parts, tiny_root, tmp_path, clean_runner):
    pipeline = [dict(type='LoadImage', grey_channels=1), dict(type='LoadMask'), dict(type='PackRefinerInputs')]
    cfg = dict(
        default_scope='ultrarefiner',
        work_dir=str(tmp_path / 'work'),
        model=small_config(small_parts).model,
        test_dataloader=dict(
            dataset=dict(type='ConvertedDataset', data_root=str(tiny_root), subset='all_train', pipeline=pipeline),
            sampler=dict(type='DefaultSampler', shuffle=False),
            batch_size=3,
        ),
        test_evaluator=dict(type='RefinementMetric', stage_dir=str(tmp_path / 'tested')),
        test_cfg=dict(),
        load_from=paths['first'],
    )
    Runner.from_cfg(Config(cfg, format_python_code=False)).test()
    UltraRefinerInferencer(paths['first'])(
        tiny_root / 'train' / 'images', tmp_path / 'predicted', save=('coarse', 'prompts')
    )
    for kind in ('masks', 'coarse'):
        tested = sorted((tmp_path / 'tested' / kind / 'tiny').iterdir())
        assert len(tested) == 8
        for path in tested:
            mask = np.asarray(Image.open(path))
            assert 0 < mask.mean() < 255
            np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / 'predicted' / kind / path.name)), mask)


def test_weights_alone_a_config_with_weights_and_a_built_model_are_the_same(paths, small_parts):
    expected = predict(paths['first'])
    model = init_model(paths['first'])
    for given in (
        dict(weights=paths['first']),
        dict(model=small_config(small_parts), weights=paths['first']),
        dict(model=model),
    ):
        assert_equal(predict(**given), expected, 0)


def test_a_batch_is_one_by_one(paths):
    assert_equal(predict(paths['first'], batch_size=3), predict(paths['first'], batch_size=1))


def test_results_are_at_the_size_of_each_image_and_belong_together(paths):
    for image, prediction in zip(IMAGES, predict(paths['two'])):
        height, width = image.shape[:2]
        assert prediction.mask.shape == prediction.uncertainty.shape == (height, width)
        probabilities = prediction.probabilities
        assert probabilities.shape == prediction.coarse_probabilities.shape == (2, height, width)
        labels = np.where(probabilities.max(0) > 0.5, probabilities.argmax(0) + 1, 0)
        np.testing.assert_array_equal(prediction.mask, labels)
        np.testing.assert_array_equal(
            prediction.image, np.broadcast_to(image.reshape(height, width, -1), (height, width, 3))
        )
        assert prediction.predicted_iou.shape == (2,) and prediction.prompts.boxes.shape == (1, 2, 4)
        p = probabilities.astype(np.float64).clip(1e-12, 1 - 1e-12)
        entropy = -(p * np.log2(p) + (1 - p) * np.log2(1 - p))
        np.testing.assert_allclose(prediction.uncertainty, entropy.max(0), atol=1e-5)
        assert prediction.disagreement is None


def test_entropy_by_hand():
    entropy = binary_entropy(torch.tensor([0.0, 0.11, 0.5, 0.89, 1.0]))
    torch.testing.assert_close(entropy, torch.tensor([0.0, 0.4999, 1.0, 0.4999, 0.0]), atol=1e-4, rtol=0)


def test_an_ensemble_is_the_mean_of_its_members(paths):
    members = [predict(paths[name]) for name in ('first', 'second', 'coarse')]
    for given in (dict(model=[paths[name] for name in ('first', 'second', 'coarse')]),):
        for mixed, *parts in zip(predict(**given), *members):
            for stage in ('probabilities', 'coarse_probabilities'):
                mean = np.mean([getattr(part, stage) for part in parts], axis=0)
                np.testing.assert_allclose(getattr(mixed, stage), mean, atol=1e-6)
            np.testing.assert_array_equal(mixed.mask, mixed.probabilities[0] > 0.5)
            np.testing.assert_array_equal(mixed.coarse_mask, mixed.coarse_probabilities[0] > 0.5)
            assert torch.equal(mixed.prompts.boxes, parts[0].prompts.boxes)
            # The member of phase 1 predicts none.
            expected = (parts[0].predicted_iou + parts[1].predicted_iou) / 2
            np.testing.assert_allclose(mixed.predicted_iou, expected, rtol=1e-6)
            disagreement = mixed.uncertainty - np.mean([part.uncertainty for part in parts], axis=0)
            np.testing.assert_allclose(mixed.disagreement, disagreement.clip(0), atol=1e-5)


def test_a_model_does_not_disagree_with_itself(paths):
    for prediction in predict([paths['first']] * 2):
        assert np.abs(prediction.disagreement).max() < 1e-6


def test_one_config_with_the_weights_of_several_folds_is_an_ensemble(paths, small_parts):
    weights = [paths['first'], paths['second']]
    assert_equal(predict(small_config(small_parts), weights), predict(weights))


def test_views_are_averaged_where_they_saw_the_image(paths):
    image = IMAGES[0]
    plain, flipped, middle = (
        predict(paths['first'], images=part)[0] for part in (image, image[:, ::-1].copy(), image[10:30, 12:36])
    )
    (both,) = predict(paths['first'], images=image, augmentation=dict(flips='horizontal'))
    mean = (plain.probabilities + flipped.probabilities[..., ::-1]) / 2
    np.testing.assert_allclose(both.probabilities, mean, atol=1e-6)
    (zoomed,) = predict(paths['first'], images=image, augmentation=dict(scales=(2.0,)))
    mean = plain.probabilities.copy()
    mean[:, 10:30, 12:36] = (mean[:, 10:30, 12:36] + middle.probabilities) / 2
    np.testing.assert_allclose(zoomed.probabilities, mean, atol=1e-6)
    for prediction in (both, zoomed):
        assert torch.equal(prediction.prompts.boxes, plain.prompts.boxes)
        np.testing.assert_array_equal(prediction.predicted_iou, plain.predicted_iou)


def test_with_both_flips_a_flip_of_the_image_flips_the_result(paths):
    inferencer = UltraRefinerInferencer(paths['first'], augmentation=dict(flips=('horizontal', 'vertical')))
    image = IMAGES[1]
    (expected,), (upside_down,) = inferencer(image), inferencer(image[::-1].copy())
    np.testing.assert_allclose(upside_down.probabilities[:, ::-1], expected.probabilities, atol=1e-6)
    assert np.abs(expected.probabilities[:, ::-1] - expected.probabilities).max() > 1e-3


def test_views_of_a_model_that_treats_every_pixel_alike_change_nothing(small_parts, tmp_path):
    """Given masks move with the image, and a refiner that passes them on loses nothing."""
    path = small_checkpoint(
        small_parts,
        tmp_path / 'identity.pth',
        phase=2,
        refiner=dict(type='IdentityRefiner'),
        coarse_input=dict(size=(40, 48)),
    )
    given = RNG.uniform(0.01, 0.99, (40, 48)).astype(np.float32)
    np.save(tmp_path / 'image_0.npy', given)
    options = dict(coarse_masks=tmp_path, images=IMAGES[0])
    (plain,) = predict(path, **options)
    (flipped,) = predict(path, augmentation=dict(flips=('horizontal', 'vertical')), **options)
    np.testing.assert_allclose(plain.probabilities[0], given, atol=1e-6)
    np.testing.assert_allclose(flipped.probabilities[0], given, atol=1e-6)
    np.testing.assert_array_equal(flipped.mask, plain.mask)
    assert flipped.disagreement.max() < 1e-5


def test_phase_1_has_its_coarse_mask_as_the_result(paths):
    for prediction in predict(paths['coarse']):
        np.testing.assert_array_equal(prediction.mask, prediction.coarse_mask)
        assert prediction.prompts is None and prediction.predicted_iou is None


def test_phase_2_takes_the_coarse_network_of_phase_1(paths):
    expected = predict(paths['coarse'])
    for prediction, coarse in zip(predict(paths['refine'], coarse=paths['coarse']), expected):
        np.testing.assert_allclose(prediction.coarse_probabilities, coarse.probabilities, atol=1e-6)
        assert isinstance(prediction.prompts, Prompts)


def test_phase_2_takes_masks_made_elsewhere(paths, tmp_path):
    rough = np.zeros((20, 24), np.uint8)
    rough[5:15, 4:14] = 255
    Image.fromarray(rough).save(tmp_path / 'image_0.png')
    np.save(tmp_path / 'image_1.npy', np.full((33, 20), 0.25))
    inferencer = UltraRefinerInferencer(paths['refine'], coarse_masks=tmp_path)
    first, second = inferencer(IMAGES[:2])
    assert first.coarse_mask.shape == (40, 48) and first.coarse_mask[14, 16] == 1 and first.coarse_mask[2, 2] == 0
    np.testing.assert_allclose(second.coarse_probabilities, 0.25, atol=1e-5)
    with pytest.raises(DatasetError, match=r'no mask \(2\): image_2, image_3'):
        inferencer(IMAGES)
    Image.fromarray(rough // 255).save(tmp_path / 'image_0.png')
    with pytest.raises(ValueError, match=r'image_0.png has no grey value above 1.*0 and 255'):
        inferencer(IMAGES[:2])
    np.save(tmp_path / 'image_0.npy', rough / 255)
    with pytest.raises(DatasetError, match=r'more than one mask \(1\): image_0'):
        inferencer(IMAGES[:2])


def test_given_masks_are_not_overwritten(paths, tmp_path):
    UltraRefinerInferencer(paths['first'])(IMAGES[0], tmp_path, ['npy'])
    given = (tmp_path / 'npy' / 'image_0.npy').read_bytes()
    inferencer = UltraRefinerInferencer(paths['refine'], coarse_masks=tmp_path / 'npy')
    with pytest.raises(ValueError, match='would remove .*npy, which is read; choose another folder'):
        inferencer(IMAGES[0], tmp_path, overwrite=True)
    assert (tmp_path / 'npy' / 'image_0.npy').read_bytes() == given
    assert len(inferencer(IMAGES[0], tmp_path / 'again', overwrite=True)) == 1


def test_images_are_not_removed_to_make_room_for_their_results(paths, tmp_path):
    inferencer = UltraRefinerInferencer(paths['first'])
    inferencer(IMAGES[0], tmp_path, ['overlay'])
    with pytest.raises(ValueError, match=r'would remove .*image_0\.png, which is read; choose another folder'):
        inferencer(tmp_path / 'overlay', tmp_path, overwrite=True)
    assert (tmp_path / 'overlay' / 'image_0.png').is_file() and (tmp_path / 'masks').is_dir()


def test_with_several_classes_given_png_masks_are_labels(paths, tmp_path):
    labels = RNG.integers(0, 3, (40, 48), dtype=np.uint8)
    Image.fromarray(labels).save(tmp_path / 'image_0.png')
    (prediction,) = predict(paths['two'], coarse_masks=tmp_path, images=IMAGES[0])
    assert prediction.coarse_probabilities.shape == (2, 40, 48)
    Image.fromarray(labels * 100).save(tmp_path / 'image_0.png')
    with pytest.raises(ValueError, match='100'):
        predict(paths['two'], coarse_masks=tmp_path, images=IMAGES[0])


@pytest.mark.parametrize(
    ('given', 'message'),
    [
        (dict(model='refine'), r'--coarse.*--coarse-masks'),
        (dict(model=['first', 'two']), r"member 2 of .* has the classes .*'cyst'.*need the same"),
        (dict(model=['first', 'second'], coarse=['coarse'] * 3), r"lists of another length: {'model': 2}"),
        (dict(model=[]), 'give a model|another length'),
        (dict(), r'give a model: a checkpoint, a package'),
        (dict(model='first', batch_size=0), 'batch_size is 0'),
        (dict(model='first', augmentation=dict(scales=(9,))), 'Augmentation.scales'),
        (dict(model='coarse', coarse_masks='.'), 'nothing left for it to do'),
        (dict(model='coarse', embedding_cache='cache'), 'a model of phase 1 has none'),
        (dict(model='first', amp='float8'), 'float8'),
    ],
)
def test_what_does_not_fit_is_refused_before_any_image(paths, given, message):
    def named(value):
        return [paths[name] for name in value] if isinstance(value, list) else paths[value]

    given = {key: named(value) if key in ('model', 'coarse') else value for key, value in given.items()}
    with pytest.raises(ValueError, match=message):
        UltraRefinerInferencer(**given)


def test_a_folder_of_given_masks_that_is_not_there(paths):
    with pytest.raises(FileNotFoundError, match='no folder absent of coarse masks'):
        UltraRefinerInferencer(paths['refine'], coarse_masks='absent')


def test_the_same_images_again_are_not_encoded_again(paths, tmp_path):
    expected = predict(paths['first'])
    for hits in (0, len(IMAGES)):
        inferencer = UltraRefinerInferencer(
            paths['first'], embedding_cache=dict(folder=str(tmp_path), storage='float32')
        )
        assert_equal(inferencer(IMAGES), expected)
        assert inferencer.members[0].embedding_cache.hits == hits


def test_half_precision_is_close(paths):
    for half, full in zip(predict(paths['first'], amp='bfloat16'), predict(paths['first'])):
        assert half.probabilities.dtype == np.float32
        difference = np.abs(half.probabilities - full.probabilities)
        assert 0 < difference.max() < 0.2


@pytest.mark.parametrize('kind', ['first', 'coarse'])
def test_images_of_strange_shapes_have_results(paths, kind):
    sizes = [(1, 1), (1, 300), (2, 900), (700, 3)]
    images = [np.full(size, value, np.uint8) for value in (0, 128) for size in sizes]
    for image, prediction in zip(images, predict(paths[kind], images=images, augmentation=dict(scales=(0.5, 2)))):
        assert prediction.mask.shape == image.shape
        assert all(
            np.isfinite(getattr(prediction, field.name)).all()
            for field in fields(prediction)
            if isinstance(getattr(prediction, field.name), np.ndarray)
        )


def test_an_image_that_fails_to_decode_is_told_and_left_out(paths, tmp_path):
    for index in range(5):
        Image.fromarray(IMAGES[3]).save(tmp_path / f'{index}.png')
    data = bytearray((tmp_path / '2.png').read_bytes())
    data[60:-60] = b'x' * len(data[60:-60])
    (tmp_path / '2.png').write_bytes(data)
    inferencer = UltraRefinerInferencer(paths['first'], batch_size=2)
    told = []
    stream = inferencer.stream(tmp_path, on_fault=lambda source, error: told.append((source.name, str(error))))
    assert [prediction.name for prediction in stream] == ['0', '1', '3', '4']
    assert len(told) == 1 and told[0][0] == '2' and 'cannot be decoded' in told[0][1]
    with pytest.raises(ValueError, match='2.png is damaged'):
        inferencer(tmp_path)


def test_a_stream_holds_one_batch(paths, monkeypatch):
    read = []
    monkeypatch.setattr(ImageSource, 'read', lambda self, read_it=ImageSource.read: read.append(1) or read_it(self))
    inferencer = UltraRefinerInferencer(paths['first'], batch_size=2)
    alive = []
    for number, prediction in enumerate(inferencer.stream([IMAGES[0]] * 10), start=1):
        alive.append(weakref.ref(prediction))
        assert sum(ref() is not None for ref in alive) <= 2
        assert len(read) <= number + 1
    assert len(read) == 10


def test_a_missing_file_is_told_when_the_stream_is_asked_for(paths, tmp_path):
    with pytest.raises(DatasetError, match=r'no such file \(1\)'):
        UltraRefinerInferencer(paths['first']).stream([IMAGES[0], tmp_path / 'gone.png'])


def test_a_transform_of_the_test_that_is_not_run_is_told():
    transforms = [dict(type='LoadImage'), dict(type='CLAHE'), dict(type='PackRefinerInputs')]
    with pytest.warns(UserWarning, match='tested on images after CLAHE, and the inferencer only loads'):
        warn_of_transforms(Config(dict(test_dataloader=dict(dataset=dict(pipeline=transforms)))))
