"""MkDocs: pictures and tables of ``Resources`` appear on the site below ``Resources/``; nothing is copied by hand."""

from __future__ import annotations

from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

_FOLDERS = ("Resources/Results", "Resources/Screenshots")
_KINDS = (".png", ".csv", ".svg")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pictures and tables that pages link to."""
    root = Path(config.docs_dir).parent
    for folder in _FOLDERS:
        for path in sorted((root / folder).rglob("*")):
            if path.suffix in _KINDS:
                name = path.relative_to(root).as_posix()
                files.append(File(name, str(root), config.site_dir, use_directory_urls=False))
    return files
