"""MkDocs: pictures and tables of ``Resources`` appear on the site below ``Resources/``; nothing is copied by hand."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from medical_super_resolution.models.store import SUFFIX, read_description
from medical_super_resolution_training.config.recipes import read_toml

_FOLDERS = ("Resources/Results", "Resources/Screenshots")
_KINDS = (".png", ".csv", ".svg")
_PAGE = "build/demo"  # the demonstration page, where `make demo-page` has assembled it
_HISTORY = "Resources/Results/benchmark_history.jsonl"
_VOLUMES = "MedicalSuperResolutionTraining/Resources/Cards/volumes.toml"
_MODELS = ("weights", "features")  # folders of MedicalSuperResolution/medical_super_resolution
_COLUMNS = {
    "date": "Date",
    "processor": "Processor",
    "device": "Device",
    "threads": "Threads",
    "engine": "Engine",
    "microseconds_per_measured_voxel": "µs a measured voxel",
    "part_of_the_larger_floor": "Part of the floor",
    "overhead_ratio": "Engine over network",
    "monai_ratio": "MONAI over engine",
    "program_seconds_to_first_line": "s to first line",
    "program_seconds_to_first_voxels": "s to first voxels",
    "program_peak_memory_mb": "Peak MB",
}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pictures and tables that pages link to, and what the demonstration page needs beside its sources."""
    root = Path(config.docs_dir).parent
    for folder in _FOLDERS:
        for path in sorted((root / folder).rglob("*")):
            if path.suffix in _KINDS:
                name = path.relative_to(root).as_posix()
                files.append(File(name, str(root), config.site_dir, use_directory_urls=False))
    if not (root / _PAGE).is_dir():
        return Files([file for file in files if not file.src_uri.startswith("demo/")])
    for path in sorted((root / _PAGE).glob("*")):
        if not (Path(config.docs_dir) / "demo" / path.name).exists():
            files.append(File(f"demo/{path.name}", str(root / "build"), config.site_dir, use_directory_urls=False))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Put the history of benchmarks and the training volumes where a page asks for them.

    Pictures lie above the pages in the repository, and among them on the site. The invitation to the demonstration page
    is left out where that was not assembled.
    """
    root = Path(config.docs_dir).parent
    if not (root / _PAGE).is_dir():
        markdown = re.sub(r"\*\*\[[^\]]*\]\(demo/.*?\n\n", "", markdown, flags=re.DOTALL)
    markdown = markdown.replace("](../Resources/", "](Resources/").replace("](../../Resources/", "](../Resources/")
    if "<!-- benchmark history -->" in markdown:
        lines = (root / _HISTORY).read_text(encoding="utf-8").splitlines()
        markdown = markdown.replace("<!-- benchmark history -->", history_table([json.loads(line) for line in lines]))
    if "<!-- training volumes -->" in markdown:
        markdown = markdown.replace("<!-- training volumes -->", volumes_table(root))
    return markdown


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Make each picture a link to itself: many are wider than the page, and their labels are small there."""
    return re.sub(r'<img [^>]*src="(?!data:)([^"]+)"[^>]*>', r'<a href="\1">\g<0></a>', html)


def history_table(runs: list[dict[str, Any]]) -> str:
    """The runs of ``medsr benchmark --append`` as a table in Markdown, the latest first."""
    rows = [list(_COLUMNS.values()), ["---"] * len(_COLUMNS)]
    rows += [[_written(run.get(name)) for name in _COLUMNS] for run in reversed(runs)]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def volumes_table(root: Path) -> str:
    """The volumes that shipped weights learned from, with the models whose files name them."""
    folders = (root / "MedicalSuperResolution" / "medical_super_resolution" / name for name in _MODELS)
    named = {
        path.stem: {line.split(":")[0] for line in read_description(path)["card"]["training"]["volumes"]}
        for folder in folders
        for path in sorted(folder.glob("*" + SUFFIX))
    }
    rows = [["Volume", "Source", "License", "Stated by", "Models"], ["---"] * 5]
    for volume, entry in read_toml(root / _VOLUMES).items():
        models = ", ".join(model for model, volumes in named.items() if volume in volumes)
        rows.append([f"`{volume}`", entry["source"], entry["license"], entry["stated_by"], models])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _written(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else "not measured" if value is None else str(value)
