"""The float32 matrix product: the fastest way that is exact, by what is measured."""

import pytest
import torch

from ultrarefiner.utils import float32_matmul
from ultrarefiner.utils.float32_matmul import choose_float32_matmul, fastest_float32_matmul, measure

CPU = torch.device('cpu')


@pytest.fixture(autouse=True)
def precision():
    before = torch.get_float32_matmul_precision()
    fastest_float32_matmul.cache_clear()
    yield
    torch.set_float32_matmul_precision(before)
    fastest_float32_matmul.cache_clear()


@pytest.mark.parametrize(
    'medium, chosen',
    [
        ((0.5, 6e-7), 'medium'),
        ((0.5, 1e-3), 'highest'),  # computes in bfloat16
        ((0.99, 6e-7), 'highest'),  # not worth another rounding
        ((2.0, 6e-7), 'highest'),
    ],
)
def test_faster_and_exact_is_chosen(monkeypatch, medium, chosen):
    measured = dict(highest=(1.0, 1e-7), high=(1.0, 1e-7), medium=medium)
    monkeypatch.setattr(float32_matmul, 'measure', lambda precision, device: measured[precision])
    message = choose_float32_matmul(CPU)
    assert torch.get_float32_matmul_precision() == chosen
    assert message.startswith(f'float32 matrix products: {chosen} (highest 1.00x at error 1e-07')


def test_the_error_is_that_of_the_precision_measured():
    seconds, error = measure('highest', CPU)
    assert 0 < seconds < 10
    assert 1e-9 < error < 1e-6


def test_a_product_in_bfloat16_shows(monkeypatch):
    monkeypatch.setattr(float32_matmul, 'SIDE', 64)
    with torch.autocast('cpu', torch.bfloat16):
        _, error = measure('highest', CPU)
    assert error > float32_matmul.MAX_ERROR


def test_the_same_random_numbers_follow(monkeypatch):
    monkeypatch.setattr(float32_matmul, 'SIDE', 16)
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    choose_float32_matmul(CPU)
    assert torch.equal(torch.rand(3), expected)


def test_a_process_stays_with_its_choice_when_the_times_change(monkeypatch):
    seconds = dict(highest=1.0, high=1.0, medium=0.5)
    monkeypatch.setattr(float32_matmul, 'measure', lambda precision, device: (seconds[precision], 1e-7))
    first = choose_float32_matmul(CPU)
    seconds.update(medium=2.0)
    assert choose_float32_matmul(CPU) == first
    assert torch.get_float32_matmul_precision() == 'medium'
