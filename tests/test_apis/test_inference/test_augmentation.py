"""Test-time augmentation: every view is undone exactly."""

import pytest
import torch

from ultrarefiner.apis.inference.augmentation import Augmentation, View

SIZES = [(7, 10), (8, 5), (1, 1), (1, 40), (33, 64)]
ALL = Augmentation(flips=('horizontal', 'vertical'), scales=(0.25, 0.6, 0.8, 1.25, 1.7, 4)).views()


@pytest.mark.parametrize('size', SIZES)
@pytest.mark.parametrize('view', ALL, ids=str)
def test_every_view_is_undone_where_it_saw_the_image(view, size):
    maps = torch.arange(1.0, 2 * size[0] * size[1] + 1).view(2, *size)
    seen = view.seen(size, maps.device)
    assert torch.equal(view.undo(view.apply(maps), size), maps * seen)
    assert seen.shape == (1, *size) and seen.any() and (view.scale > 1 or seen.all())


def test_the_views_are_the_image_and_each_set_of_flips_at_each_scale():
    views = Augmentation(flips=('horizontal', 'vertical'), scales=(0.8,)).views()
    assert len(views) == 8 and views[0] == View() and len(set(views)) == 8
    assert Augmentation().views() == [View()]
    assert Augmentation(flips='vertical').views() == [View(), View(('vertical',))]
    assert Augmentation(flips=('vertical', 'vertical'), scales=(1, 1.0)).views() == [View(), View(('vertical',))]


def test_a_flip_by_hand():
    image = torch.tensor([[[1, 2, 3], [4, 5, 6]]], dtype=torch.uint8)
    assert View(('horizontal',)).apply(image).tolist() == [[[3, 2, 1], [6, 5, 4]]]
    assert View(('horizontal', 'vertical')).apply(image).tolist() == [[[6, 5, 4], [3, 2, 1]]]


def test_a_scale_by_hand():
    image = torch.ones(1, 4, 8, dtype=torch.uint8)
    small, large = View(scale=0.5).apply(image), View(scale=2.0).apply(image)
    assert small.shape == (1, 8, 16) and small.sum() == 32 and small[0, 2:6, 4:12].all()
    assert large.shape == (1, 2, 4)
    assert View(scale=2.0).seen((4, 8), image.device)[0].nonzero().tolist() == [
        [y, x] for y in (1, 2) for x in (2, 3, 4, 5)
    ]


@pytest.mark.parametrize('wrong', [dict(flips=('diagonal',)), dict(scales=(0,)), dict(scales=(10,))])
def test_others_are_refused(wrong):
    with pytest.raises(ValueError, match='Augmentation.(flips|scales) is .*expected'):
        Augmentation(**wrong)
