"""Pages: a template filled in as one HTML file that needs no other, no network and no script."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Sequence
from functools import cache
from importlib.resources import files
from itertools import count
from typing import Any

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

from . import scheme
from .picture import Picture


def rendered(
    template: str,
    package: str = __package__,
    *,
    pictures: Iterable[Picture] = (),
    sections: Sequence[tuple[str, str]] = (),
    **context: Any,
) -> str:
    """The page that ``template`` of ``package``, which extends layout.html.j2, makes of the context.

    Text in the context is escaped. ``pictures``: all that the page shows, for the colours they need on a dark page (the
    template has them as ``pictures``, too); ``sections``: (id, title) of what the navigation lists.
    """
    pictures = tuple(pictures)
    names = [p.name for p in pictures]
    if len(set(names)) < len(names):
        raise ValueError(f"a page has each picture once, not {sorted(names)}")
    packages = dict.fromkeys((package, __package__))
    environment = Environment(
        loader=ChoiceLoader([PackageLoader(name, "") for name in packages]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    js = _asset("page.js")
    environment.globals.update(
        number=count(1).__next__,
        term_number=count(1).__next__,
        css=_asset("page.css"),
        dark=scheme.dark_variables({c for p in pictures for c in p.colours}),
        js=js,
        policy=_policy(js),
        pictures=pictures,
        sections=sections,
    )
    return environment.get_template(template).render(**context)


@cache
def _asset(name: str) -> str:
    return (files(__package__) / name).read_text(encoding="utf-8")


def _policy(js: str) -> str:
    """What a browser may load of the page: what is in it, of scripts the page's own alone."""
    digest = base64.b64encode(hashlib.sha256(js.encode()).digest()).decode("ascii")
    return (
        f"default-src 'none'; script-src 'sha256-{digest}'; style-src 'unsafe-inline'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


__all__ = ["rendered"]
