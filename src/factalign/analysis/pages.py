"""The HTML pages: templates that escape all text, one stylesheet, and nothing to load."""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from typing import TYPE_CHECKING, Any

from factalign.base.records import is_null
from factalign.base.text import well_formed

if TYPE_CHECKING:
    import plotly.graph_objects as go
    from jinja2 import Environment
    from markupsafe import Markup


def render(template: str, **data: Any) -> str:
    """The page of a file in `templates/`; text in `data` may hold anything, lone surrogates become U+FFFD.

    Raises:
        jinja2.UndefinedError: The template asks for something that `data` does not have.
    """
    return well_formed(_environment().get_template(template).render(data))


def figure_html(figure: go.Figure, *, with_plotly: bool) -> Markup:
    """A figure as a part of a page.

    Args:
        figure: To be shown.
        with_plotly: Bring plotly.js along (about 4 MB), which the first figure of a page has to.
    """
    from markupsafe import Markup

    return Markup(figure.to_html(full_html=False, include_plotlyjs=with_plotly, config={"displaylogo": False}))


@cache
def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    loader = PackageLoader("factalign.analysis", "templates")
    environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined)
    environment.filters["number"] = lambda value: "–" if is_null(value) else f"{value:.2f}"
    environment.filters["sha256"] = lambda text: base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return environment
