"""Object splitters: one slot an object instead of one slot a class, and back; one idea a file."""

from .connected_components import ConnectedComponents

__all__ = ['ConnectedComponents']
