"""medsr models."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from ...errors import SettingsError

HELP = "list the installed models, show the card of one, or import one"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the model to show, or the file to import."""
    parser.add_argument("--card", metavar="NAME", help="show all that a model states about itself")
    parser.add_argument("--markdown", action="store_true", help="with --card: as Markdown, for a model hub")
    parser.add_argument(
        "--import", dest="file", type=Path, metavar="FILE.safetensors", help="check a model file and keep a copy of it"
    )
    parser.add_argument(
        "--sha256", metavar="HEX", help="its expected checksum; default: that in FILE.safetensors.sha256, if there"
    )


def run(chosen: argparse.Namespace) -> int:
    """List the models, show one, or import one."""
    if chosen.sha256 and not chosen.file:
        raise SettingsError(
            "--sha256 is compared with a file that is imported: medsr models --import FILE --sha256 HEX"
        )
    if chosen.file and (chosen.card or chosen.markdown):
        raise SettingsError("--import shows the card of what it imports; leave --card and --markdown out")
    if chosen.file:
        _import(chosen.file, chosen.sha256)
        return 0

    from ...models import store
    from ...models.card import described, summarized

    if chosen.markdown:
        _print_markdown(chosen.card)
        return 0
    if chosen.card:
        print("\n".join(described(store.find(chosen.card))))
        return 0
    for path in store.installed():
        print(summarized(path))
    return 0


def _print_markdown(name: str | None) -> None:
    if name is None:
        raise SettingsError("--markdown needs a model: medsr models --card NAME --markdown")

    from ...models.export.files import card_of
    from ...models.weight_interpolation import load_model

    print(card_of(load_model(name)), end="")


def _import(file: Path, sha256: str | None) -> None:
    from ...models.importing import import_model

    imported = import_model(file, sha256)

    from ...models.card import described

    print("\n".join(described(imported.path)))
    if not imported.was_compared:
        print(
            "warning: there was no checksum to compare with; compare the sha256 above with the published one",
            file=sys.stderr,
        )
