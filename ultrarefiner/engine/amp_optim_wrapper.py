"""AmpOptimWrapper: mmengine's mixed precision, on CPUs too."""

from __future__ import annotations

import torch
from mmengine.device import get_device
from mmengine.optim import AmpOptimWrapper as MMEngineAmpOptimWrapper
from mmengine.optim import OptimWrapper

from ..registry import OPTIM_WRAPPERS
from ..utils.precision import check_precision


@OPTIM_WRAPPERS.register_module()
class AmpOptimWrapper(MMEngineAmpOptimWrapper):
    """Trains under autocast: ``optim_wrapper=dict(type='AmpOptimWrapper', dtype='bfloat16', optimizer=...)``.

    mmengine's wrapper refuses a machine without a GPU, though its autocast computes in bfloat16 there. Weights,
    gradients and the optimizer's state stay float32. The loss is scaled in float16 alone: bfloat16 has float32's range.

    Args:
        loss_scale (str | float | dict): As mmengine's; read in float16 alone. Defaults to 'dynamic'.
        dtype (str | torch.dtype, optional): 'bfloat16' or 'float16'. None is mmengine's choice: float16 on a GPU,
            bfloat16 on a CPU.
        use_fsdp (bool): As mmengine's, on a GPU. Defaults to False.
        **kwargs: What `OptimWrapper` takes: ``optimizer``, ``clip_grad``, ``accumulative_counts``.

    Raises:
        ValueError: If the device cannot compute in ``dtype``.
    """

    def __init__(
        self,
        loss_scale: str | float | dict = 'dynamic',
        dtype: str | torch.dtype | None = None,
        use_fsdp: bool = False,
        **kwargs,
    ):
        on_cpu = get_device() == 'cpu'
        if dtype is None and on_cpu:
            dtype = 'bfloat16'
        if dtype is not None:
            dtype = check_precision(dtype)
        if dtype == torch.bfloat16:
            loss_scale = dict(enabled=False)
        if not on_cpu:
            super().__init__(loss_scale, dtype, use_fsdp, **kwargs)
            return
        OptimWrapper.__init__(self, **kwargs)
        self.cast_dtype = dtype
        self.loss_scaler = torch.amp.GradScaler('cpu', enabled=False)
        self._scale_update_param = None
