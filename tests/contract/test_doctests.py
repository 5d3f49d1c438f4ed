"""The examples in docstrings of public names run, each by itself, and end as they say."""

import doctest
import inspect

import pytest

import egan_theory as eg

from .test_public import NAMESPACES


def examples():
    """Docstrings with examples, by the public name they belong to."""
    seen = set()
    spaces = {"": eg, **{f"{space}.": getattr(eg, space) for space in NAMESPACES}}
    for space, module in spaces.items():
        for name in dir(module):
            thing = getattr(module, name)
            own = inspect.isroutine(thing) or inspect.isclass(thing)
            if own and thing not in seen and thing.__module__.startswith("egan_theory."):
                seen.add(thing)
                text = inspect.getdoc(thing) or ""
                if ">>>" in text:
                    yield f"{space}{thing.__name__}", text


@pytest.mark.slow
def test_examples_in_docstrings(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # what an example writes
    said, names = [], set()
    for name, text in examples():
        test = doctest.DocTestParser().get_doctest(text, {}, name, None, None)
        doctest.DocTestRunner(verbose=False).run(test, out=said.append)
        names.add(name)
    assert said == [], "".join(said)
    assert len(names) >= 20
    assert {"Experiment", "spectrum", "best_regularizer", "thresholds", "simulate", "compare"} <= names
