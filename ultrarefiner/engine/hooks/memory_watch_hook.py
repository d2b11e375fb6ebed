"""MemoryWatchHook: freed memory goes back to the system before the system runs out."""

import logging

from mmengine.hooks import Hook

from ...registry import HOOKS
from ...utils.available_memory import available_memory
from ...utils.cpu_allocator import give_back_memory


@HOOKS.register_module()
class MemoryWatchHook(Hook):
    """Ends the keeping of freed memory (``env_cfg.cpu_allocator='keep'``) when little is left.

    Args:
        min_available (float): Share of the machine's memory, or the container's. Defaults to 0.15.
        interval (int): Iterations from one look to the next. Defaults to 20.
    """

    def __init__(self, min_available: float = 0.15, interval: int = 20):
        if not 0 <= min_available < 1 or interval < 1:
            raise ValueError(
                f'MemoryWatchHook: min_available is {min_available} (0 up to 1), interval {interval} (at least 1)'
            )
        self.min_available = min_available
        self.interval = interval
        self._kept = True

    def before_run(self, runner) -> None:
        """Watch only where memory is kept."""
        self._kept = (runner.cfg.get('env_cfg') or {}).get('cpu_allocator') == 'keep'

    def _after_iter(self, runner, batch_idx: int, data_batch=None, outputs=None, mode: str = 'train') -> None:
        """Look, every `interval` iterations."""
        if not self._kept or batch_idx % self.interval:
            return
        available = available_memory()
        if available < self.min_available:
            give_back_memory()
            self._kept = False
            runner.logger.log(
                logging.WARNING,
                f'{available:.0%} of the memory is left: freed memory now goes back to the system, which is slower '
                '(a smaller batch needs less, and so does activations=recomputed where the image encoder trains)',
            )
