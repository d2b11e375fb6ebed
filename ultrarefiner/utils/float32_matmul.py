"""How float32 matrix products are computed: the fastest way that is float32 in truth."""

from __future__ import annotations

import functools

import torch

from .timed import timed

PRECISIONS = ('highest', 'high', 'medium')
MAX_ERROR = 1e-5  # Relative; float32 has about 1e-6 here, TF32 and bfloat16 1e-3.
WORTH = 1.05
SIDE = 768
REPEATS = 5


def choose_float32_matmul(device: torch.device) -> str:
    """Set `torch.set_float32_matmul_precision` by what is measured on this machine.

    On a CPU 'medium' takes oneDNN in the place of MKL, which is up to twice as fast on AMD's and rounds as float32
    does; on a CPU with AMX, and on a GPU, it computes in bfloat16 or TF32, which is not accepted.

    Args:
        device (torch.device): Where the model will be.

    Returns:
        str: What was measured and chosen, for the log.
    """
    chosen, message = fastest_float32_matmul(device)
    torch.set_float32_matmul_precision(chosen)
    return message


@functools.cache
def fastest_float32_matmul(device: torch.device) -> tuple[str, str]:
    """The fastest precision that is float32 in truth, and what was measured.

    Measured once a process: on a busy machine the times change, and so would the last bits of all results.
    """
    before = torch.get_float32_matmul_precision()
    measured = {precision: measure(precision, device) for precision in PRECISIONS}
    torch.set_float32_matmul_precision(before)
    highest = measured['highest'][0]
    exact = {name: seconds for name, (seconds, error) in measured.items() if error <= MAX_ERROR}
    fastest = min(exact, key=lambda name: exact[name], default='highest')
    chosen = fastest if fastest in exact and exact[fastest] * WORTH < highest else 'highest'
    rates = ', '.join(f'{name} {highest / s:.2f}x at error {error:.0e}' for name, (s, error) in measured.items())
    return chosen, f'float32 matrix products: {chosen} ({rates})'


def measure(precision: str, device: torch.device) -> tuple[float, float]:
    """The time of a product in seconds, the best of a few, and its relative error."""
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.randn(SIDE, SIDE, generator=generator).to(device) for _ in range(2))
    torch.set_float32_matmul_precision(precision)
    exact = a.double() @ b.double()
    runs = [timed(lambda: a @ b, device) for _ in range(REPEATS)]
    product, _ = runs[-1]
    return min(seconds for _, seconds in runs), float((product - exact).norm() / exact.norm())
