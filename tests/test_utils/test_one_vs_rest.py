"""One-vs-rest logits carry exactly the softmax probabilities."""

import pytest
import torch

from ultrarefiner.utils.one_vs_rest import one_vs_rest


@pytest.mark.parametrize('classes', [2, 3, 6])
def test_sigmoid_of_the_result_is_the_softmax(classes):
    logits = 5 * torch.randn(2, classes, 4, 4, dtype=torch.float64)
    torch.testing.assert_close(one_vs_rest(logits).sigmoid(), logits.softmax(dim=1)[:, 1:])


def test_a_sigmoid_network_is_left_alone():
    logits = torch.randn(2, 1, 4, 4)
    assert one_vs_rest(logits) is logits
