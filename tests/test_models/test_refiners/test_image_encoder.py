"""ImageEncoder: results and gradients of segment_anything's, whichever way attention goes, and what it keeps."""

import copy

import pytest
import torch
from sam_makers import LORA, TINY, randomise
from segment_anything.modeling import ImageEncoderViT

from ultrarefiner.models.refiners import attention_choice, image_encoder, tiled_attention
from ultrarefiner.models.refiners.attention_choice import ATTENTIONS, choose_attention
from ultrarefiner.models.refiners.image_encoder import ImageEncoder
from ultrarefiner.models.refiners.sam_architecture import SAMArchitecture
from ultrarefiner.registry import ADAPTERS

IMAGES = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))
# The grid has 8 x 8 tokens: windows of 3 have to be filled up, windows of 4 fit.
WINDOWS = (3, 4)


def pair(window_size=3, **options):
    """segment_anything's encoder and ours, with the same weights."""
    sizes = SAMArchitecture.from_config(dict(TINY, window_size=window_size)).encoder_sizes()
    theirs = randomise(ImageEncoderViT(**sizes))
    ours = ImageEncoder(**options, **sizes)
    ours.load_state_dict(theirs.state_dict())
    assert list(ours.state_dict()) == list(theirs.state_dict())
    return theirs, ours


def results(encoder, images=IMAGES, dtype=None):
    """The embedding, and the gradients of the pixels and of every weight that has one."""
    images = images.clone().requires_grad_()
    encoder.zero_grad()
    with torch.autocast('cpu', torch.bfloat16, enabled=dtype is torch.bfloat16):
        embedding = encoder(images)
    weights = torch.linspace(-1, 1, embedding.numel()).view_as(embedding).sin()
    (embedding.double() * weights).sum().backward()
    gradients = {name: p.grad.clone() for name, p in encoder.named_parameters() if p.grad is not None}
    return dict(embedding=embedding.detach(), images=images.grad, **gradients)


def relative_errors(ours, theirs):
    assert ours.keys() == theirs.keys()
    return {name: float((ours[name] - x).norm() / x.norm()) for name, x in theirs.items()}


@pytest.fixture
def small_tiles(monkeypatch):
    """So small that even these grids take several tiles, in queries and in windows."""
    monkeypatch.setattr(tiled_attention, 'TILE_BYTES', 4096)


@pytest.mark.parametrize('activations', image_encoder.ACTIVATIONS)
@pytest.mark.parametrize('window_size', WINDOWS)
@pytest.mark.parametrize('attention', ATTENTIONS)
def test_values_and_gradients_are_those_of_segment_anything(attention, window_size, activations, small_tiles):
    theirs, ours = pair(window_size, attention=attention, activations=activations)
    errors = relative_errors(results(ours.double(), IMAGES.double()), results(theirs.double(), IMAGES.double()))
    assert max(errors.values()) < 1e-12, errors


@pytest.mark.parametrize('attention', ATTENTIONS)
def test_float32_is_as_exact_as_theirs(attention):
    theirs, ours = pair(attention=attention)
    errors = relative_errors(results(ours), results(theirs))
    assert max(errors.values()) < 1e-5, errors


@pytest.mark.parametrize('attention', ATTENTIONS)
def test_bfloat16_loses_no_more_than_theirs(attention):
    theirs, ours = pair(attention=attention)
    exact = results(copy.deepcopy(theirs))
    lost = relative_errors(results(theirs, dtype=torch.bfloat16), exact)
    errors = relative_errors(results(ours, dtype=torch.bfloat16), exact)
    assert 1e-4 < errors['embedding'] < 1.5 * lost['embedding']
    assert all(errors[name] < 2 * lost[name] + 1e-6 for name in errors), errors


@pytest.mark.parametrize('window_size', WINDOWS)
def test_lora_gets_the_gradients_it_gets_in_theirs(window_size):
    both = []
    for encoder in pair(window_size):
        torch.manual_seed(3)
        ADAPTERS.build(LORA).inject(encoder)
        for name, weight in encoder.named_parameters():
            if 'lora_B' in name:
                torch.nn.init.normal_(weight)
        both.append(results(encoder))
    theirs, ours = both
    assert sum('lora' in name for name in ours) == 2 * TINY['depth']
    assert max(relative_errors(ours, theirs).values()) < 1e-5


def test_an_mlp_in_parts_is_the_whole(monkeypatch):
    theirs, ours = pair()
    # Of 4 x 32 hidden channels 8 tokens at a time.
    monkeypatch.setattr(image_encoder, 'HIDDEN_BYTES', 8 * 4 * TINY['embed_dim'] * 4)
    with torch.no_grad():
        torch.testing.assert_close(ours(IMAGES), theirs(IMAGES), atol=1e-5, rtol=1e-5)


def kept_bytes(encoder):
    """What an autograd graph holds, but for the weights."""
    weights = {weight.untyped_storage().data_ptr() for weight in encoder.parameters()}
    kept = {}

    def keep(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = (tensor, storage.nbytes())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        encoder(IMAGES)
    return sum(size for _, size in kept.values())


def test_a_graph_holds_no_scores_and_less_where_activations_are_recomputed():
    theirs, kept = pair()
    _, recomputed = pair(activations='recomputed')
    # Scores and probabilities: 2 heads, 64 x 64 in the whole grid, 9 windows of 9 x 9, for two images in float32.
    scores = 2 * 2 * (64**2 + 9 * 9**2) * 4
    assert kept_bytes(kept) < kept_bytes(theirs) - scores
    assert kept_bytes(recomputed) < 0.5 * kept_bytes(kept)


def arguments(device, window_size=0, requires_grad=False):
    qkv = torch.zeros(1, 4, 4, 3 * 8, device=device, requires_grad=requires_grad)
    side = window_size or 4
    return (
        qkv,
        None,
        torch.zeros(side, side, 4, device=device),
        torch.zeros(side, side, 4, device=device),
        2,
        window_size,
    )


def test_a_cpu_takes_tiles():
    assert choose_attention(*arguments('cpu')) == 'tiled'


def test_elsewhere_the_fastest_is_found_once_for_each_kind_of_arguments(monkeypatch):
    tried = []
    times = dict(biased=2.0, folded=1.0)

    def seconds_of(name, *arguments):
        tried.append((name, arguments[-1], arguments[0].requires_grad))
        return times[name]

    monkeypatch.setattr(attention_choice, 'seconds_of', seconds_of)
    monkeypatch.setattr(attention_choice, '_fastest', {})
    assert [choose_attention(*arguments('meta')) for _ in range(3)] == ['folded'] * 3
    times['folded'] = 3.0
    assert choose_attention(*arguments('meta', window_size=2)) == 'biased'
    assert choose_attention(*arguments('meta', requires_grad=True)) == 'biased'
    assert choose_attention(*arguments('meta')) == 'folded'
    whole, window, trained = (0, False), (2, False), (0, True)
    assert tried == [(name, *kind) for kind in (whole, window, trained) for name in ('biased', 'folded')]


def test_nothing_is_measured_where_runs_have_to_repeat(monkeypatch):
    monkeypatch.setattr(attention_choice, 'seconds_of', lambda *_: pytest.fail('measured'))
    monkeypatch.setattr(torch, 'are_deterministic_algorithms_enabled', lambda: True)
    assert choose_attention(*arguments('meta')) == 'folded'
    assert choose_attention(*arguments('meta', window_size=2)) == 'biased'


@pytest.mark.parametrize('requires_grad', [False, True])
def test_time_is_taken_of_every_attention(requires_grad):
    for name in ATTENTIONS:
        assert 0 < attention_choice.seconds_of(name, *arguments('cpu', requires_grad=requires_grad)) < 10


def test_what_does_not_fit_into_memory_is_not_chosen(monkeypatch):
    def full(*_):
        raise torch.OutOfMemoryError

    monkeypatch.setitem(ATTENTIONS, 'biased', full)
    assert attention_choice.seconds_of('biased', *arguments('cpu')) == float('inf')


@pytest.mark.parametrize('options', [dict(attention='flash'), dict(activations='none')])
def test_an_unknown_option_is_refused(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        pair(**options)


@pytest.mark.parametrize('attention', ['biased', 'folded'])
def test_what_a_gpu_computes_is_one_graph_to_a_compiler(attention):
    _, ours = pair(attention=attention)
    compiled = torch.compile(ours, backend='eager', fullgraph=True)
    torch.testing.assert_close(compiled(IMAGES), ours(IMAGES), atol=1e-5, rtol=1e-5)
