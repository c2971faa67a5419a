"""What is public is listed, is there, and is explained."""

from __future__ import annotations

import ast
import importlib

import pytest
from source_tree import FRONT_DOOR, modules, tree

NAMES = sorted(modules())


def declared(name: str) -> list[str] | None:
    """Value of `__all__`; None where a module has none."""
    for node in tree(modules()[name]).body:
        if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == "__all__" for t in node.targets):
            listed: list[str] = ast.literal_eval(node.value)
            return listed
    return None


@pytest.mark.parametrize("name", NAMES)
def test_a_module_lists_what_it_offers_in_order(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    listed = declared(name)
    if listed is None:
        defined = [n.name for n in tree(modules()[name]).body if isinstance(n, (ast.FunctionDef, ast.ClassDef))]
        assert not [one for one in defined if not one.startswith("_")], f"{name} has public names and no __all__"
        return
    assert listed == sorted(set(listed), key=lambda word: (not word.isupper(), not word[:1].isupper(), word))
    monkeypatch.syspath_prepend(FRONT_DOOR)
    module = importlib.import_module(name)
    assert not [one for one in listed if not hasattr(module, one)]


@pytest.mark.parametrize("name", NAMES)
def test_a_module_and_what_it_offers_are_explained(name: str) -> None:
    body = tree(modules()[name]).body
    assert ast.get_docstring(tree(modules()[name])), f"{name} has no docstring"
    public = [n for n in body if isinstance(n, (ast.FunctionDef, ast.ClassDef)) and n.name in (declared(name) or ())]
    assert not [n.name for n in public if not ast.get_docstring(n)]
    for owner in public:
        if isinstance(owner, ast.ClassDef):
            methods = [n for n in owner.body if isinstance(n, ast.FunctionDef) and not n.name.startswith("_")]
            assert not [f"{owner.name}.{n.name}" for n in methods if not ast.get_docstring(n)]
