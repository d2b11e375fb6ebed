"""The allocator keeps freed memory, gives it back, and leaves alone what the user has set."""

import os
import platform
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(platform.libc_ver()[0] != 'glibc', reason='mallopt is of glibc')


def run(code, **environment):
    """In a process of its own: what mallopt sets cannot be taken back."""
    code = 'from ultrarefiner.utils.cpu_allocator import *\n' + code
    clean = {name: value for name, value in os.environ.items() if not name.startswith('MALLOC_')}
    result = subprocess.run(
        [sys.executable, '-c', code], env={**clean, **environment}, capture_output=True, text=True, check=True
    )
    return result.stdout.splitlines()


def test_a_block_of_kept_memory_faults_in_no_page_until_it_is_given_back():
    before, message, kept, after = run(
        'print(page_faults()); print(keep_freed_memory()); print(page_faults())\n'
        'give_back_memory(); print(page_faults())'
    )
    assert 'keeps freed memory' in message
    # 64 MiB are 16,384 pages of 4 KiB, or 32 of 2 MiB.
    assert int(before) >= 32
    assert int(kept) == 0
    assert int(after) >= 32


def test_what_the_environment_sets_is_left_alone():
    message, faults = run('print(keep_freed_memory()); print(page_faults())', MALLOC_MMAP_THRESHOLD_='1000000')
    assert 'left as the environment has it (MALLOC_MMAP_THRESHOLD_)' in message
    assert int(faults) >= 32


def test_what_gains_nothing_is_undone():
    lines = run(
        'import ultrarefiner.utils.cpu_allocator as module\n'
        'set_to = []\n'
        'module._set = set_to.append\n'
        'module.page_faults = lambda: 7\n'
        'print(keep_freed_memory()); print(set_to == [KEEP, GIVE_BACK])'
    )
    assert lines == ['CPU allocator: left as it is (7 page faults for 64 MiB, 7 where memory is kept)', 'True']
