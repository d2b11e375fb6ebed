"""TrainableCheckpointHook: save only what trains."""

from __future__ import annotations

from mmengine.hooks import Hook

from ...registry import HOOKS
from ...utils.partial_checkpoint import PARTIAL_KEY, check_base, fingerprints, frozen_names
from ...utils.unwrap import unwrap
from ..averaged_copies import averaged_copies


@HOOKS.register_module()
class TrainableCheckpointHook(Hook):
    """Leaves the frozen weights out of every checkpoint, and puts them back when one is loaded.

    With a frozen or LoRA-adapted image encoder this makes a checkpoint of a few megabytes instead of hundreds. What is
    left out comes from the config, by ``init_weights()``; its fingerprints are stored under
    ``meta['ultrarefiner_partial']``, and loading over another base is refused. What a hook freezes later is saved.
    """

    priority = 'LOW'  # after EMAHook, which exchanges trained and averaged weights name by name

    def __init__(self):
        self._frozen: list[str] = []

    def before_run(self, runner) -> None:
        """Note what the config froze, before any hook freezes more."""
        self._frozen = frozen_names(unwrap(runner.model))

    def before_save_checkpoint(self, runner, checkpoint: dict) -> None:
        """Drop what is frozen, and note its fingerprints."""
        state = checkpoint['state_dict']
        frozen = [name for name in self._frozen if name in state]
        if not frozen:
            return
        checkpoint['meta'][PARTIAL_KEY] = dict(frozen=fingerprints(state, frozen), count=len(frozen))
        averaged = checkpoint.get('ema_state_dict', {})
        for name in frozen:
            del state[name]
            averaged.pop(f'module.{name}', None)

    def after_load_checkpoint(self, runner, checkpoint: dict) -> None:
        """Put the frozen weights of this run back in, for training and for testing.

        Raises:
            ValueError: If the frozen weights of this run are not those that the checkpoint was trained on.
        """
        partial = checkpoint.get('meta', {}).get(PARTIAL_KEY)
        if partial is None:
            return
        model = unwrap(runner.model)
        # In training the Runner has done so already; in testing it leaves it to the checkpoint, which lacks the base.
        if not getattr(model, 'is_init', True):
            model.init_weights()
        state = model.state_dict()
        check_base(state, partial['frozen'], 'the checkpoint')
        frozen = {name: state[name] for name in partial['frozen']}
        checkpoint['state_dict'].update(frozen)
        for average in averaged_copies(runner):
            average.load_state_dict(frozen, strict=False)
