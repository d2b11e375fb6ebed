"""From softmax logits to one-vs-rest logits, exactly."""

import torch
from torch import Tensor


def one_vs_rest(logits: Tensor) -> Tensor:
    """Turn the logits of a softmax network into one-vs-rest logits.

    ``z_k - logsumexp(z_others)`` is the logit of ``softmax(z)[k]``: exact, with nothing to train again.

    Args:
        logits (Tensor): (N, C, H, W), background first; or (N, 1, H, W) of a sigmoid network, returned as it is.

    Returns:
        Tensor: (N, max(C - 1, 1), H, W): ``sigmoid`` of channel k is the probability of class k + 1.
    """
    classes = logits.shape[1]
    if classes == 1:
        return logits
    if classes == 2:
        return logits[:, 1:] - logits[:, :1]
    others = [logits[:, [c for c in range(classes) if c != k]].logsumexp(dim=1) for k in range(1, classes)]
    return logits[:, 1:] - torch.stack(others, dim=1)
