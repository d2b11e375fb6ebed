"""The page: template, style and script put into one file that needs nothing else."""

from __future__ import annotations

import base64
import hashlib
import re
from importlib.resources import files
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup, escape

# Of these nothing is ever loaded: the page holds its images, and runs no script but its own, even if one got in.
POLICY = "default-src 'none'; img-src data:; style-src '{style}'; script-src '{script}'; base-uri 'none'"

BREAK = re.compile(r'(?<=_)|(?<=[a-z]{3})(?=[A-Z][a-z])')


def render_page(content: dict[str, Any]) -> str:
    """Fill the page.

    Every text is escaped, also in the data that the script reads, so that no name of a file or class and no config can
    become a part of the page.

    Args:
        content (dict[str, Any]): What ``page.html`` shows, see `ultrarefiner.apis.report.report`.

    Returns:
        str: An HTML document without any reference to another file.
    """
    style, script = _part('style.css'), _part('layers.js') + _part('gallery.js')
    policy = POLICY.format(style=_hash(style), script=_hash(script))
    environment = Environment(
        loader=FunctionLoader(_part), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters['breakable'] = _breakable
    page = environment.get_template('page.html')
    return page.render(content, policy=policy, style=Markup(style), script=Markup(script))


def _breakable(text: str) -> Markup:
    """Let the names of configs and classes go on in the next line after an underscore and before a capital."""
    return Markup('<wbr>').join(escape(part) for part in BREAK.split(text))


def _part(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding='utf-8')


def _hash(text: str) -> str:
    return f'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'
