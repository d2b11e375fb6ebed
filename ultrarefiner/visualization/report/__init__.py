"""The report of a run as one web page: its charts, its layers and the page itself."""

from .charts import Point, Series, line_chart, scatter_chart
from .layers import mask_path, picture_size, picture_uri
from .page import render_page

__all__ = [
    'Point',
    'Series',
    'line_chart',
    'mask_path',
    'picture_size',
    'picture_uri',
    'render_page',
    'scatter_chart',
]
