"""Options that several commands share."""

from __future__ import annotations

import argparse

from medical_super_resolution.cli.parsing import whole_number
from medical_super_resolution.settings import DEVICES


def add_device(parser: argparse.ArgumentParser) -> None:
    """Add ``--device``."""
    parser.add_argument("--device", default="auto", choices=DEVICES, help="where to compute; default: %(default)s")


def add_workers(parser: argparse.ArgumentParser) -> None:
    """Add ``--workers``."""
    parser.add_argument("--workers", type=_count, default=0, help="processes that prepare batches (default: 0, none)")


def add_overrides(parser: argparse.ArgumentParser, which: str) -> None:
    """Add ``--set``, of the recipes that ``which`` names."""
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", dest="overrides",
        help=f"change a setting of {which}, such as steps=300 or loss.gradient=0.1; repeat for several",
    )  # fmt: skip


def _count(text: str) -> int:
    if (count := whole_number(text)) < 0:
        raise argparse.ArgumentTypeError(f"the number must be at least 0, got {count}")
    return count
