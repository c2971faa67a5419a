"""A setting that nothing reads is a defect."""

from __future__ import annotations

import ast
import dataclasses
from functools import cache

from source_tree import modules, tree

from flight_etl.settings import NormaliseSettings, Settings

SECTIONS = {
    field.name: type(getattr(Settings(), field.name))
    for field in dataclasses.fields(Settings)
    if dataclasses.is_dataclass(getattr(Settings(), field.name))
}


def fields_of(section: str) -> list[str]:
    return [field.name for field in dataclasses.fields(SECTIONS[section])]


@cache
def read_fields() -> frozenset[tuple[str, str]]:
    """Section and field of each read: `section.field` anywhere, or `x.field` where the section's class is named."""
    found: set[tuple[str, str]] = set()
    for name, path in modules().items():
        if name in ("flight_etl.settings", "flight_etl.settings_rules") or not name.startswith("flight_etl"):
            continue
        nodes = list(ast.walk(tree(path)))
        named = {node.id for node in nodes if isinstance(node, ast.Name)}
        named |= {alias.name for node in nodes if isinstance(node, ast.ImportFrom) for alias in node.names}
        own = [section for section, type_ in SECTIONS.items() if type_.__name__ in named]
        for node in nodes:
            if not (isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load)):
                continue
            if isinstance(node.value, (ast.Attribute, ast.Name)):
                owner = node.value.attr if isinstance(node.value, ast.Attribute) else node.value.id
                found.add((owner, node.attr))
            found |= {(section, node.attr) for section in own}
            if node.attr in ("units", "layout"):
                found.add(("", node.attr))
    return frozenset(found)


def test_every_setting_is_read_somewhere() -> None:
    wanted = {(section, name) for section in SECTIONS for name in fields_of(section)}
    assert not wanted - read_fields()


def test_the_fields_outside_sections_are_read() -> None:
    top = {("", field.name) for field in dataclasses.fields(Settings) if field.name not in SECTIONS}
    top |= {("", field.name) for field in dataclasses.fields(NormaliseSettings)}
    assert not top - read_fields()


def test_a_section_is_for_someone() -> None:
    for section in SECTIONS:
        assert any(of == section for of, _ in read_fields())
