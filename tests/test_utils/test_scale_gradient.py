import pytest
import torch

from ultrarefiner.utils.scale_gradient import scale_gradient


@pytest.mark.parametrize('scale', [0, 0.25, 1])
def test_the_value_stays_and_the_gradient_is_scaled(scale):
    tensor = torch.tensor([0.1, -3.0, 1e4], requires_grad=True)
    scaled = scale_gradient(tensor, scale)
    assert torch.equal(scaled, tensor)
    weights = torch.tensor([2.0, -1.0, 0.5])
    (scaled * weights + 0 * tensor).sum().backward()
    assert torch.equal(tensor.grad, scale * weights)
