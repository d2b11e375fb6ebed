"""The model inside of a distributed wrapper."""

from torch import nn

from ultrarefiner.utils.unwrap import unwrap


def test_a_model_comes_out_of_its_wrapper_and_stays_as_it_is_without_one():
    model = nn.Linear(2, 2)
    assert unwrap(nn.DataParallel(model)) is model
    assert unwrap(model) is model
