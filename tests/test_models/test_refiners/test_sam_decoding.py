"""The decoder in parts, and the way from low-res logits to the image: both equal SAM's."""

import pytest
import torch
from sam_makers import TINY, original_sam, tiny_refiner

from ultrarefiner.models.refiners import sam_decoding
from ultrarefiner.models.refiners.sam_decoding import predict_candidates, to_image_size

INPUT = (32, 32)


def low_res(images=2, slots=3):
    return torch.randn(images, slots, 16, 16, generator=torch.Generator().manual_seed(0)).requires_grad_()


@pytest.mark.parametrize('size', [(24, 32), (40, 20), (7, 9), (32, 32)])
def test_logits_reach_the_image_as_sam_takes_them_there(size):
    contents = [(24, 32), (32, 32)]
    ours, theirs = low_res(), low_res()
    result = to_image_size(ours, torch.tensor(contents), INPUT, size)
    sam = original_sam(tiny_refiner())
    sam.image_encoder.img_size = INPUT[0]
    expected = torch.cat(
        [sam.postprocess_masks(logits, content, size) for logits, content in zip(theirs.split(1), contents)]
    )
    torch.testing.assert_close(result, expected, atol=1e-5, rtol=1e-5)

    weights = torch.randn(result.shape, generator=torch.Generator().manual_seed(1))
    (result * weights).sum().backward()
    (expected * weights).sum().backward()
    torch.testing.assert_close(ours.grad, theirs.grad, atol=1e-5, rtol=1e-5)


def test_logits_of_less_precision_are_resized_in_float32():
    logits = low_res().detach().to(torch.bfloat16)
    content = torch.tensor([(24, 32), (32, 32)])
    with torch.autocast('cpu', torch.bfloat16):
        result = to_image_size(logits, content, INPUT, (20, 20))
    assert torch.equal(result, to_image_size(logits.float(), content, INPUT, (20, 20)))


@pytest.mark.parametrize('slots_at_a_time', [1, 2, 5])
def test_slots_in_parts_give_what_they_give_together(monkeypatch, slots_at_a_time):
    decoder = tiny_refiner().mask_decoder
    generator = torch.Generator().manual_seed(2)
    features, dense = torch.randn(2, 5, 32, 8, 8, generator=generator)
    sparse, position = torch.randn(5, 3, 32, generator=generator), torch.randn(1, 32, 8, 8, generator=generator)
    together = predict_candidates(decoder, features, position, sparse, dense)

    calls = []
    monkeypatch.setattr(sam_decoding, 'CPU_CHUNK_BYTES', slots_at_a_time * 2 * 4 * TINY['prompt_dim'] * 8 * 8)
    predict = sam_decoding._predict
    monkeypatch.setattr(sam_decoding, '_predict', lambda *args: calls.append(len(args[1])) or predict(*args))
    in_parts = predict_candidates(decoder, features, position, sparse, dense)
    assert calls == {1: [1] * 5, 2: [2, 2, 1], 5: [5]}[slots_at_a_time]
    for ours, expected in zip(in_parts, together):
        torch.testing.assert_close(ours, expected, atol=1e-4, rtol=1e-5)
