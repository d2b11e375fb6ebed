"""The contract of an adapter: a few trainable weights put into a frozen network."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import nn


class BaseAdapter(ABC):
    """Adapts a frozen network with few trainable weights; it holds a recipe, the weights live in the network."""

    @abstractmethod
    def inject(self, module: nn.Module) -> None:
        """Put the adapter into ``module``, in place. Afterwards only the adapter's weights take gradient.

        Raises:
            ValueError: If there is nothing in ``module`` that the recipe fits.
        """

    @abstractmethod
    def merge(self, module: nn.Module) -> None:
        """Fold the adapter into the weights of ``module``, in place: the plain network again, with the same outputs."""

    @abstractmethod
    def plain_key(self, key: str) -> str | None:
        """The name that an entry of an adapted network's state dict has in the plain network.

        Returns:
            str | None: None for an entry of the adapter's own.
        """

    @abstractmethod
    def restart(self, module: nn.Module) -> None:
        """Start anew after the plain network's weights were loaded into an adapted ``module``, in place.

        The adapted network is then the plain one again; its parameters are the same objects, for an optimizer may have
        them. There is nothing to do for an adapter that is new and whose start does not rest on the plain weights.
        """
