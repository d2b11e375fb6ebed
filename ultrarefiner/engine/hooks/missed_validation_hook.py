"""MissedValidationHook: a validation that an interruption prevented is made up for."""

from mmengine.hooks import Hook

from ...registry import HOOKS

INFO = 'validated_epoch'


@HOOKS.register_module()
class MissedValidationHook(Hook):
    """Validates a resumed checkpoint before training goes on, if the run was interrupted before it had done so.

    mmengine saves a checkpoint before it validates, and a resumed run goes on with the next epoch: killed in between,
    the last epoch would never be measured, and the best checkpoint could be lost.
    """

    priority = 'LOWEST'  # after CheckpointHook has set itself up

    def before_train(self, runner) -> None:
        """Validate what was resumed, if it has not been."""
        loop = runner.val_loop
        due = runner.epoch > 0 and loop is not None and runner.epoch % runner.train_loop.val_interval == 0
        if due and runner.message_hub.get_info(INFO, 0) < runner.epoch:
            loop.run()

    def after_val_epoch(self, runner, metrics: dict[str, float] | None = None) -> None:
        """Remember that the epoch is validated; the next checkpoint carries it."""
        runner.message_hub.update_info(INFO, runner.epoch)
