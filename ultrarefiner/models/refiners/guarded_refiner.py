"""GuardedRefiner: the coarse mask where the refined one is not to be believed."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from ...registry import REFINERS
from ...structures import ImageEmbedding, Prompts, SegOutput
from ...utils.guard_rules import GuardRules
from ...utils.resize_logits import resize_logits
from .guard_measures import GUARD_MEASURES
from .refiner_wrapper import RefinerWrapper

DEFAULT_RULES = dict(agreement=(0.5, None), area_ratio=(0.3, 3.0), components=(None, 5))


@REFINERS.register_module()
class GuardedRefiner(RefinerWrapper):
    """A refiner whose mask is replaced by the coarse one in evaluation, slot by slot, where a rule says so.

    In training it is not there. A rule is a range that a measure of the mask must lie in: 'agreement' (IoU of the
    coarse and the refined mask), 'area_ratio' (refined over coarse), 'components' (number of connected components of
    the refined mask, counted on the CPU), 'predicted_iou' (``quality`` of the inner refiner). Masks are the pixels with
    a logit above 0 at the size asked for, which in prediction is that of the image; a slot is a class, or one object
    with an object splitter.

    Only ``logits`` is replaced: ``quality`` and candidates stay those of the refined mask.

    It has no weights, and its state dict is that of the inner refiner: a guard goes around a refiner that is trained,
    and off it again, with the same checkpoint. Calibrate it on results without guard, with
    ``tools/analysis_tools/calibrate_guard.py``.

    In a config of its own, around the refiner of the config that was trained::

        _base_ = ['./the_config_of_phase_3.py']
        model = dict(
            refiner=dict(_delete_=True, type='GuardedRefiner', rules='guard.json', refiner=_base_.model.refiner)
        )

    Args:
        refiner (dict): Config of the refiner to hold.
        rules (dict | str, optional): The lowest and the highest accepted value by measure, None for an open side, or a
            JSON file with such ``rules``. Defaults to ``dict(agreement=(0.5, None), area_ratio=(0.3, 3.0),
            components=(None, 5))``.
        init_cfg (dict, optional): mmengine's.

    Raises:
        FileNotFoundError: If the file does not exist.
        ValueError: If a measure is unknown, or a range is none.
    """

    def __init__(self, refiner: dict, rules: Mapping | str | None = None, init_cfg: dict | None = None):
        super().__init__(refiner, init_cfg)
        if isinstance(rules, str):
            self.rules = GuardRules.load(rules)
        else:
            self.rules = GuardRules(DEFAULT_RULES if rules is None else rules)
        self.register_state_dict_post_hook(_cut_prefix)
        self.register_load_state_dict_pre_hook(_add_prefix)

    def decode(
        self, embedding: ImageEmbedding, coarse: SegOutput, prompts: Prompts, size: tuple[int, int]
    ) -> SegOutput:
        """Refine, and in evaluation keep the coarse mask where a rule is broken.

        Args:
            embedding (ImageEmbedding): Of the N images.
            coarse (SegOutput): Logits (N, K, H', W').
            prompts (Prompts): Normalised coordinates.
            size (tuple[int, int]): (H, W) in pixels of the logits wanted, covering the whole image.

        Returns:
            SegOutput: That of the inner refiner, with other ``logits`` (N, K, H, W).

        Raises:
            ValueError: If there is a rule on the predicted IoU, and the refiner predicts none.
        """
        refined = self.refiner.decode(embedding, coarse, prompts, size)
        if self.training or not self.rules.ranges:
            return refined
        kept = resize_logits(coarse.logits, size)
        measures = {name: GUARD_MEASURES[name](kept > 0, refined) for name in self.rules.ranges}
        accepted = self.rules.accept(measures)
        return refined._replace(logits=torch.where(accepted[..., None, None], refined.logits, kept))


def _cut_prefix(module: nn.Module, state_dict: dict, prefix: str, local_metadata: dict) -> None:
    """After saving: the names that the inner refiner has on its own."""
    inner = f'{prefix}refiner.'
    weights = {name: state_dict.pop(name) for name in list(state_dict) if name.startswith(inner)}
    state_dict.update({prefix + name.removeprefix(inner): value for name, value in weights.items()})


def _add_prefix(module: nn.Module, state_dict: dict, prefix: str, *_) -> None:
    """Before loading: the names that the inner refiner has here."""
    weights = {name: state_dict.pop(name) for name in list(state_dict) if name.startswith(prefix)}
    state_dict.update({f'{prefix}refiner.{name.removeprefix(prefix)}': value for name, value in weights.items()})
