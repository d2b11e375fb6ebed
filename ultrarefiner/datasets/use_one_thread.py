"""use_one_thread: workers that share the cores instead of fighting over them."""

from functools import cache

import cv2
from threadpoolctl import threadpool_limits


@cache
def use_one_thread() -> None:
    """Let this process compute with one thread in OpenCV and in numpy's linear algebra, from the first call on.

    torch does so in its workers by itself. Without it each of them starts a thread a core for every matrix product, and
    four workers on two cores take twice the time for a corrupted mask.
    """
    cv2.setNumThreads(0)
    threadpool_limits(1)
