"""Checkpoints are read without running code from them, and loaded strictly."""

import pickle

import pytest
import torch
from torch import nn

from ultrarefiner.utils.checkpoint import (
    check_input_profiles,
    load_strictly,
    read_checkpoint,
    stage_state_dict,
    state_dict_of,
)


class Evil:
    def __reduce__(self):
        return (print, ('code from a checkpoint ran',))


def test_code_in_a_checkpoint_is_not_run(tmp_path, capsys):
    torch.save({'state_dict': Evil()}, tmp_path / 'evil.pth')
    with pytest.raises(ValueError, match='evil.pth cannot be read'):
        read_checkpoint(tmp_path / 'evil.pth')
    assert 'ran' not in capsys.readouterr().out


@pytest.mark.parametrize('content', [b'', b'no checkpoint', pickle.dumps([1, 2])])
def test_a_file_of_another_kind_is_named(tmp_path, content):
    path = tmp_path / 'x.pth'
    path.write_bytes(content)
    with pytest.raises(ValueError, match='x.pth'):
        read_checkpoint(path)


def test_a_truncated_checkpoint_is_named(tmp_path):
    path = tmp_path / 'cut.pth'
    torch.save(nn.Linear(40, 40).state_dict(), path)
    path.write_bytes(path.read_bytes()[:-500])
    with pytest.raises(ValueError, match='cut.pth'):
        read_checkpoint(path)


def test_an_absent_checkpoint_says_what_to_do(tmp_path):
    with pytest.raises(FileNotFoundError, match='none.pth does not exist; run phase 1'):
        read_checkpoint(tmp_path / 'none.pth', 'run phase 1')


def test_every_wrapping_gives_the_same_weights():
    state = nn.Linear(2, 2).state_dict()
    wrapped = {f'module.{name}': value for name, value in state.items()}
    for checkpoint in (state, {'model': wrapped}, {'state_dict': wrapped, 'meta': {}}):
        assert state_dict_of(checkpoint).keys() == state.keys()


def test_a_stage_is_cut_out_of_a_whole_model():
    checkpoint = {'state_dict': {'coarse.weight': torch.ones(1), 'refiner.weight': torch.zeros(1)}}
    assert stage_state_dict(checkpoint, 'coarse') == {'weight': torch.ones(1)}
    plain = {'state_dict': {'weight': torch.ones(1), 'data_preprocessor.mean': torch.ones(1)}}
    assert stage_state_dict(plain, 'coarse').keys() == {'weight'}


def test_a_stage_that_the_checkpoint_lacks_is_not_made_of_another():
    refined = {'state_dict': {'refiner.weight': torch.zeros(1), 'data_preprocessor.mean': torch.ones(1)}}
    with pytest.raises(ValueError, match='p2.pth holds weights of the stage refiner, and none of the stage coarse'):
        stage_state_dict(refined, 'coarse', 'p2.pth')
    partial = {**refined, 'meta': {'ultrarefiner_partial': {'frozen': {'coarse.weight': '0' * 64}, 'count': 1}}}
    assert stage_state_dict(partial, 'coarse') == {}
    assert stage_state_dict(partial, 'refiner') == {'weight': torch.zeros(1)}


def test_differences_are_listed():
    state = {'weight': torch.zeros(3, 2), 'extra': torch.zeros(1)}
    with pytest.raises(ValueError) as error:
        load_strictly(nn.Linear(2, 2), state, 'file.pth')
    message = str(error.value)
    for part in ('file.pth', '1 missing: bias', '1 surplus: extra', 'weight (3, 2) instead of (2, 2)'):
        assert part in message


def test_another_input_profile_is_refused():
    checkpoint = {'meta': {'ultrarefiner': {'input_profiles': {'refiner': {'size': [1024, 1024]}}}}}
    check_input_profiles(checkpoint, {'refiner': {'size': [1024, 1024]}, 'coarse': {}}, 'file.pth')
    with pytest.raises(ValueError, match='file.pth: the refiner was trained with'):
        check_input_profiles(checkpoint, {'refiner': {'size': [512, 512]}}, 'file.pth')
