"""NonFiniteLossHook: stop at the first loss that is no number."""

from __future__ import annotations

import math

from mmengine.hooks import Hook

from ...registry import HOOKS


@HOOKS.register_module()
class NonFiniteLossHook(Hook):
    """Stops training when a loss is NaN or infinite, and names the images of the batch.

    Args:
        interval (int): Look at every n-th iteration. Looking waits for the GPU. Defaults to 1.

    Raises:
        ValueError: If ``interval`` is below 1.
    """

    def __init__(self, interval: int = 1):
        if interval < 1:
            raise ValueError(f'NonFiniteLossHook.interval is {interval}, expected 1 or more')
        self.interval = interval

    def after_train_iter(self, runner, batch_idx: int, data_batch: dict | None = None, outputs=None) -> None:
        """Check the losses of a step.

        Raises:
            FloatingPointError: If one is not finite.
        """
        if not self.every_n_train_iters(runner, self.interval):
            return
        losses = {name: float(value.detach()) for name, value in (outputs or {}).items() if 'loss' in name}
        broken = {name: value for name, value in losses.items() if not math.isfinite(value)}
        if not broken:
            return
        images = [str(sample.metainfo.get('img_path')) for sample in data_batch['data_samples']]
        raise FloatingPointError(
            f'after iteration {runner.iter + 1} of epoch {runner.epoch + 1}: {broken} (all losses: {losses}); the '
            f'images of the batch: {", ".join(images)}. Lower the learning rate, clip the gradient '
            '(optim_wrapper.clip_grad=dict(max_norm=1.0)), or train without --amp'
        )
