"""Every refiner on embeddings that a cache kept: the same masks and gradients as on those just made."""

import copy

import pytest
import torch
from mmengine.registry import init_default_scope
from sam_makers import TINY as TINY_SAM
from sam_makers import coarse, random_image, random_prompts, randomise, tiny_refiner
from transformers_makers import TINY, tiny

from ultrarefiner.registry import REFINERS
from ultrarefiner.structures import ImageEmbedding
from ultrarefiner.utils.embedding_cache import EmbeddingCache

IMAGES = [random_image(40, 60), random_image(60, 40, seed=1)]
FAMILIES = ['segment_anything', *TINY]
SAM = dict(type='SAMRefiner', arch=TINY_SAM, encoder='frozen')
WRAPPERS = dict(
    iterative=dict(type='IterativeRefiner', refiner=SAM, num_iterations=2),
    gated=dict(type='GatedRefiner', refiner=SAM, gate=dict(type='UncertaintyGate')),
)


@pytest.fixture(autouse=True)
def scope():
    init_default_scope('ultrarefiner')


def frozen(family):
    made = tiny_refiner(encoder='frozen') if family == 'segment_anything' else tiny(family, encoder='frozen')
    return made.train()


def masks_and_gradients(refiner, embedding):
    """(logits, gradient of every weight that has one)"""
    refiner.zero_grad()
    count = len(IMAGES)
    logits = refiner.decode(embedding, coarse(count, 2), random_prompts(count, 2), (40, 60)).logits
    logits.square().mean().backward()
    return logits.detach(), {name: p.grad.clone() for name, p in refiner.named_parameters() if p.grad is not None}


def assert_same(refiner, cache):
    """Made, written and read back: bit for bit what the encoder makes."""
    made = refiner.encode_image(IMAGES)
    logits, gradients = masks_and_gradients(refiner, made)
    assert gradients
    # Some encoders leave their channels last in memory, for which convolutions add up in another order.
    plain = ImageEmbedding(made.features.contiguous(), made.content, tuple(x.contiguous() for x in made.levels))
    as_made, (logits, gradients) = logits, masks_and_gradients(refiner, plain)
    assert float((as_made - logits).norm() / logits.norm()) < 1e-5
    for misses in (2, 2):
        found = cache.get_or_encode(refiner, IMAGES)
        assert cache.misses == misses
        kept_logits, kept_gradients = masks_and_gradients(refiner, found)
        assert torch.equal(kept_logits, logits) and kept_gradients.keys() == gradients.keys()
        assert all(torch.equal(kept_gradients[name], value) for name, value in gradients.items())
    return found


@pytest.mark.parametrize('family', FAMILIES)
def test_masks_and_gradients_are_those_without_a_cache(family, tmp_path):
    refiner = frozen(family)
    true = refiner.encode_image(IMAGES)
    found = assert_same(refiner, EmbeddingCache(tmp_path, storage='float32'))
    for one, other in zip((found.features, found.content, *found.levels), (true.features, true.content, *true.levels)):
        assert torch.equal(one, other) and one.dtype == other.dtype
    assert len(found.levels) == len(true.levels) == dict(sam_hq=1, segment_anything=0, sam=0).get(family, 2)


@pytest.mark.parametrize('family', FAMILIES)
def test_half_precision_is_near(family, tmp_path):
    refiner, cache = frozen(family), EmbeddingCache(tmp_path)
    logits, gradients = masks_and_gradients(refiner, refiner.encode_image(IMAGES))
    kept_logits, kept_gradients = masks_and_gradients(refiner, cache.get_or_encode(refiner, IMAGES))
    assert float((kept_logits - logits).norm() / logits.norm()) < 5e-3
    error = sum(float((kept_gradients[name] - value).square().sum()) for name, value in gradients.items())
    assert error < 5e-2**2 * sum(float(value.square().sum()) for value in gradients.values())


@pytest.mark.parametrize('family', FAMILIES)
def test_the_encoders_weights_are_in_the_key_and_the_decoders_are_not(family, tmp_path):
    refiner, cache = frozen(family), EmbeddingCache(tmp_path)
    cache.get_or_encode(refiner, IMAGES)
    encoder = set(refiner.cached_encoder.parameters())
    with torch.no_grad():
        for parameter in set(refiner.parameters()) - encoder:
            parameter += 1
    cache.get_or_encode(refiner, IMAGES)
    assert cache.misses == 2
    with torch.no_grad():
        next(p for name, p in refiner.cached_encoder.named_parameters() if 'neck' in name).add_(1)
    cache.get_or_encode(refiner, IMAGES)
    assert cache.misses == 4


def test_another_setting_of_the_architecture_is_another_entry(tmp_path):
    cache = EmbeddingCache(tmp_path)
    for epsilon in (1e-6, 1e-2):
        arch = copy.deepcopy(TINY['sam'])
        arch['vision_config']['layer_norm_eps'] = epsilon
        cache.get_or_encode(tiny('sam', arch=arch, encoder='frozen'), IMAGES)
    assert cache.misses == 4


def test_dropout_of_a_frozen_encoder_is_off(tmp_path):
    arch = copy.deepcopy(TINY['sam'])
    arch['vision_config']['attention_dropout'] = 0.5
    assert_same(tiny('sam', arch=arch, encoder='frozen').train(), EmbeddingCache(tmp_path, storage='float32'))


def test_one_in_training_mode_is_refused(tmp_path):
    refiner = frozen('sam')
    refiner.cached_encoder.train()
    with pytest.raises(ValueError, match='training mode'):
        EmbeddingCache(tmp_path).get_or_encode(refiner, IMAGES)


@pytest.mark.parametrize('name', WRAPPERS)
def test_a_wrapper_finds_what_the_plain_refiner_kept(name, tmp_path):
    torch.manual_seed(0)
    wrapped = randomise(REFINERS.build(WRAPPERS[name])).eval()
    cache = EmbeddingCache(tmp_path, storage='float32')
    cache.get_or_encode(wrapped.refiner, IMAGES)
    assert_same(wrapped, cache)


def test_half_precision_of_the_encoder_is_kept_as_it_is(tmp_path):
    refiner = frozen('sam')
    for storage in ('float16', 'float32'):
        cache = EmbeddingCache(tmp_path / storage, storage=storage)
        with torch.autocast('cpu', dtype=torch.bfloat16):
            made = refiner.encode_image(IMAGES)
            found = [cache.get_or_encode(refiner, IMAGES) for _ in range(2)]
        assert made.features.dtype == torch.bfloat16
        assert all(torch.equal(x.features, made.features) and x.features.dtype == torch.bfloat16 for x in found)
        (size,) = {path.stat().st_size for path in (tmp_path / storage).glob('*/*')}
        assert size < 2 * made.features[0].numel() + 1024
        cache.get_or_encode(refiner, IMAGES)  # In float32 it is another embedding.
        assert cache.misses == 4
