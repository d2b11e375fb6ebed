"""Visualization: pictures of what each stage made."""

from .stage_panels import draw_stage_panels

__all__ = ['draw_stage_panels']
