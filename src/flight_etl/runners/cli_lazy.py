"""A group of commands some of which are imported when they are called, so that no command pays for the others."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple

import click

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Elsewhere", "LazyGroup"]


class Elsewhere(NamedTuple):
    """Where a command is, and what the list of commands says of it; a test holds that to its own help."""

    module: str
    name: str  # in the module
    about: str  # first sentence of its help


class LazyGroup(click.Group):
    """As click's group; the commands in `elsewhere` come from their modules."""

    def __init__(self, *arguments: Any, elsewhere: Mapping[str, Elsewhere], **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.elsewhere = elsewhere

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Give the names of all commands, sorted."""
        return sorted({*super().list_commands(ctx), *self.elsewhere})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Give the command of this name, importing it if need be."""
        if cmd_name in self.elsewhere and cmd_name not in self.commands:
            place = self.elsewhere[cmd_name]
            self.add_command(getattr(import_module(place.module), place.name), cmd_name)
        return super().get_command(ctx, cmd_name)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands without importing any."""
        absent = {name: click.Command(name, help=place.about) for name, place in self.elsewhere.items()}
        click.Group(commands={**absent, **self.commands}).format_commands(ctx, formatter)
