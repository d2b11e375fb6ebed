"""EmbeddingCache: encodes once, never hits for another image, encoder or profile, never trusts a damaged file."""

import copy
import multiprocessing
import os
import random

import numpy as np
import pytest
import torch
from mmengine.registry import init_default_scope
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample

from ultrarefiner.registry import MODELS, REFINERS
from ultrarefiner.structures import ImageEmbedding
from ultrarefiner.utils import embedding_cache
from ultrarefiner.utils.embedding_cache import EmbeddingCache, NotKept
from ultrarefiner.utils.embedding_file import checksum, read_parts


@pytest.fixture(autouse=True)
def scope():
    init_default_scope('ultrarefiner')


def images(count=2, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randint(0, 256, (3, 40 + i, 48), generator=generator, dtype=torch.uint8) for i in range(count)]


def build(small_parts, **changes):
    torch.manual_seed(0)
    return REFINERS.build({**small_parts['refiner'], 'encoder': 'frozen', **changes})


def counted(cache, refiner, batch):
    """(embedding, images encoded)"""
    before = cache.misses
    return cache.get_or_encode(refiner, batch), cache.misses - before


def files(folder):
    return sorted(folder.glob('*/*'))


def test_the_second_epoch_never_calls_the_encoder(small_parts, tmp_path, monkeypatch):
    refiner, cache = build(small_parts), EmbeddingCache(tmp_path)
    first, made = counted(cache, refiner, images())
    assert made == 2
    monkeypatch.setattr(refiner.image_encoder, 'forward', lambda *_: pytest.fail('the encoder ran'))
    again = EmbeddingCache(tmp_path).get_or_encode(refiner, images())
    assert torch.equal(first.features, again.features) and torch.equal(first.content, again.content)
    assert again.features.dtype == torch.float32


def test_values_are_the_encoders(small_parts, tmp_path):
    refiner = build(small_parts)
    true = refiner.encode_image(images())
    for storage, tolerance in (('float32', 0), ('float16', 2**-11)):
        cache = EmbeddingCache(tmp_path, storage=storage)
        for _ in range(2):
            found = cache.get_or_encode(refiner, images())
            torch.testing.assert_close(found.features, true.features, rtol=tolerance, atol=tolerance * 1e-3)
            assert torch.equal(found.content, true.content)


def test_another_image_weight_or_profile_is_another_entry(small_parts, tmp_path):
    refiner, cache = build(small_parts), EmbeddingCache(tmp_path)
    batch = images()
    cache.get_or_encode(refiner, batch)
    changed = [batch[0].clone(), batch[1].flip(-1)]
    changed[0][0, 0, 0] ^= 1
    assert counted(cache, refiner, changed)[1] == 2
    assert counted(cache, build(small_parts, input_profile='medsam'), batch)[1] == 2
    with torch.no_grad():
        refiner.image_encoder.pos_embed[0, 0, 0, 0] += 1e-3
    assert counted(cache, refiner, batch)[1] == 2
    refiner.image_encoder.blocks[0].norm1.eps *= 2
    assert counted(EmbeddingCache(tmp_path), refiner, batch)[1] == 2


@pytest.mark.filterwarnings('ignore:EmbeddingCache')
def test_a_damaged_file_is_never_used(small_parts, tmp_path):
    refiner, cache, batch = build(small_parts), EmbeddingCache(tmp_path), images()
    true, rng = cache.get_or_encode(refiner, batch), random.Random(0)
    path, other = files(tmp_path)
    whole, foreign = path.read_bytes(), other.read_bytes()
    key = f'{path.parent.name}/{path.stem}'
    for data in (b'x', whole[:-8], foreign):
        path.write_bytes(data)
        found, made = counted(cache, refiner, batch)
        assert made == 1 and torch.equal(found.features, true.features)
        assert path.read_bytes() == whole
    damaged = [b'', whole + b'\0' * 8, bytes(len(whole))]
    for _ in range(300):
        position, bit = rng.randrange(len(whole)), 1 << rng.randrange(8)
        damaged.append(whole[:position] + bytes([whole[position] ^ bit]) + whole[position + 1 :])
        damaged.append(whole[: 8 * rng.randrange(len(whole) // 8)])
    for data in damaged:
        with pytest.raises(ValueError):
            read_parts(np.frombuffer(data, dtype=np.uint64), key)


def test_a_file_is_checked_once_and_again_when_it_is_another(small_parts, tmp_path, monkeypatch):
    refiner, batch, checked = build(small_parts), images(), []
    true = EmbeddingCache(tmp_path).get_or_encode(refiner, batch)
    monkeypatch.setattr(embedding_cache, 'read_parts', lambda *args: checked.append(args) or read_parts(*args))
    cache = EmbeddingCache(tmp_path)
    for _ in range(3):
        found, made = counted(cache, refiner, batch)
        assert made == 0 and len(checked) == 2
        assert torch.equal(found.features, true.features) and torch.equal(found.content, true.content)
    EmbeddingCache(tmp_path).get_or_encode(refiner, batch)
    assert len(checked) == 4
    # The same size in the same place, and yet another file: a copy of the neighbour's.
    path, other = files(tmp_path)
    path.with_suffix('.new').write_bytes(other.read_bytes())
    os.replace(path.with_suffix('.new'), path)
    with pytest.warns(UserWarning, match='it belongs to'):
        found, made = counted(cache, refiner, batch)
    assert made == 1 and len(checked) == 5 and torch.equal(found.features, true.features)


def test_what_was_read_is_no_window_on_the_file(small_parts, tmp_path):
    refiner, cache = build(small_parts), EmbeddingCache(tmp_path)
    true = cache.get_or_encode(refiner, images()).features.clone()
    before = [path.read_bytes() for path in files(tmp_path)]
    for _ in range(3):
        cache.get_or_encode(refiner, images()).features.zero_()
    assert torch.equal(cache.get_or_encode(refiner, images()).features, true)
    assert [path.read_bytes() for path in files(tmp_path)] == before


@pytest.mark.filterwarnings('ignore:EmbeddingCache')
def test_a_folder_in_the_place_of_a_file_is_passed_over(small_parts, tmp_path):
    refiner, cache = build(small_parts), EmbeddingCache(tmp_path)
    true = cache.get_or_encode(refiner, images())
    path, _ = files(tmp_path)
    path.unlink()
    path.mkdir()
    found, made = counted(cache, refiner, images())
    assert made == 1 and torch.equal(found.features, true.features)


def test_one_that_does_not_fit_is_not_rounded_with_the_others(small_parts, tmp_path, monkeypatch):
    refiner, cache = build(small_parts), EmbeddingCache(tmp_path)
    encode = refiner.encode_image

    def brighter(batch):
        made = encode(batch)
        scale = torch.tensor([1e7 if image.float().mean() > 200 else 1.0 for image in batch]).view(-1, 1, 1, 1)
        return ImageEmbedding(made.features * scale, made.content)

    monkeypatch.setattr(refiner, 'encode_image', brighter)
    batch = [images(1)[0], torch.full((3, 40, 48), 255, dtype=torch.uint8)]
    batch[1][:, 0, 0] = 0
    with pytest.warns(NotKept, match='does not fit into float16'):
        first = cache.get_or_encode(refiner, batch)
    again, made = counted(cache, refiner, batch)
    assert made == 1 and torch.equal(first.features, again.features)
    assert torch.equal(again.features[1], brighter(batch).features[1]) and again.features[1].abs().max() > 65504


@pytest.mark.parametrize('length', [0, 1, 511, 512, 513, 5000])
def test_the_checksum_is_the_sum_of_weighted_words(length):
    words = np.random.default_rng(length).integers(0, 2**64, length, dtype=np.uint64, endpoint=False)
    assert int(checksum(words)) == sum((2 * i + 1) * int(word) for i, word in enumerate(words)) % 2**64
    if length > 1:
        words[[0, -1]], before = words[[-1, 0]], checksum(words)
        assert checksum(words) != before


def test_it_stays_below_its_size(small_parts, tmp_path):
    refiner = build(small_parts)
    EmbeddingCache(tmp_path).get_or_encode(refiner, images(1))
    limit = 2.5 * files(tmp_path)[0].stat().st_size
    cache = EmbeddingCache(tmp_path, max_size_gib=limit / 2**30)
    with pytest.warns(UserWarning, match='max_size_gib'):
        cache.get_or_encode(refiner, images(4))
    assert len(files(tmp_path)) == 2
    assert counted(cache, refiner, images(4))[1] == 2


def test_it_goes_on_where_it_cannot_write(small_parts, tmp_path):
    blocked = tmp_path / 'file'
    blocked.write_text('')
    with pytest.warns(UserWarning, match='cannot'):
        found = EmbeddingCache(blocked).get_or_encode(build(small_parts), images())
    assert torch.isfinite(found.features).all()


@pytest.mark.parametrize('encoder', ['trained', dict(type='LoRAAdapter', r=2)])
def test_a_trainable_encoder_is_refused(small_parts, tmp_path, encoder):
    with pytest.raises(ValueError, match='trainable'):
        EmbeddingCache(tmp_path).get_or_encode(build(small_parts, encoder=encoder), images())


def test_one_thawed_later_is_refused(small_parts, tmp_path):
    refiner, cache = build(small_parts), EmbeddingCache(tmp_path)
    cache.get_or_encode(refiner, images())
    refiner.image_encoder.neck.requires_grad_(True)
    with pytest.raises(ValueError, match='thawed'):
        cache.get_or_encode(refiner, images())


def test_moving_crops_are_refused(small_parts, tmp_path):
    held = {**small_parts['refiner'], 'encoder': 'frozen'}
    roi = dict(type='ROIRefiner', refiner=held)
    for cfg in (roi, dict(type='IterativeRefiner', refiner=roi), dict(type='ConvRefiner')):
        with pytest.raises(ValueError, match='cannot be kept'):
            EmbeddingCache(tmp_path).get_or_encode(REFINERS.build(cfg), images())


def write_all(folder, cfg):
    init_default_scope('ultrarefiner')
    torch.set_num_threads(1)
    torch.manual_seed(0)
    cache, refiner = EmbeddingCache(folder), REFINERS.build(cfg)
    for image in images(6):
        cache.get_or_encode(refiner, [image])


def test_two_processes_write_one_folder(small_parts, tmp_path):
    cfg = {**small_parts['refiner'], 'encoder': 'frozen'}
    context = multiprocessing.get_context('spawn')
    workers = [context.Process(target=write_all, args=(tmp_path, cfg)) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0, 0]
    assert len(files(tmp_path)) == 6
    assert counted(EmbeddingCache(tmp_path), build(small_parts), images(6))[1] == 0


def test_loss_gradients_and_prediction_are_those_without(small_parts, tmp_path):
    cfg = copy.deepcopy(small_parts)
    cfg.update(prompt_generator=dict(type='MaskPrompt'), losses=[dict(type='StageBCE', stage='refined')])
    cfg['refiner']['encoder'] = 'frozen'
    results = []
    for cache in (None, dict(folder=str(tmp_path), storage='float32'), dict(folder=str(tmp_path))):
        torch.manual_seed(0)
        model = MODELS.build({**cfg, 'embedding_cache': cache}).eval()
        samples = []
        for image in images():
            label = (image[:1] > 128).long()
            samples.append(SegDataSample(gt_sem_seg=PixelData(data=label)))
        (loss,) = model.loss(images(), samples).values()
        loss.backward()
        gradient = torch.cat([p.grad.flatten() for p in model.refiner.parameters() if p.grad is not None])
        with torch.no_grad():
            logits = torch.cat([x.seg_logits.data.flatten() for x in model.predict(images(), samples)])
        results.append((loss.detach(), gradient, logits.detach()))
        assert not any('cache' in name for name in model.state_dict())
    plain, exact, half = results
    assert all(torch.equal(one, other) for one, other in zip(plain, exact))
    for one, other, tolerance in zip(plain, half, (1e-3, 1e-2, 1e-3)):
        error = float((one - other).norm() / one.norm())
        print(f'relative error {error:.1e}')
        assert error < tolerance


def test_a_model_whose_embeddings_cannot_be_kept_is_not_built(small_parts):
    prompts = dict(prompt_generator=dict(type='MaskPrompt'), embedding_cache=dict(folder='unused'))
    with pytest.raises(ValueError, match='trainable'):
        MODELS.build({**small_parts, **prompts})
    held = {**small_parts['refiner'], 'encoder': 'frozen'}
    with pytest.raises(ValueError, match='cannot be kept'):
        MODELS.build({**small_parts, **prompts, 'refiner': dict(type='ROIRefiner', refiner=held)})
    with pytest.raises(ValueError, match='embedding_cache serves the refiner, but there is none'):
        MODELS.build({**small_parts, 'refiner': None, 'embedding_cache': dict(folder='unused')})
