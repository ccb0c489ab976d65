"""The command that runs a station: its options, its trial, and the files that call it."""

from __future__ import annotations

import logging
import re
import threading
import warnings
from pathlib import Path
from types import SimpleNamespace

import pytest

import documentation
from medical_super_resolution.cli.commands import station as station_command
from medical_super_resolution.cli.main import parser
from medical_super_resolution.errors import ModelError, SettingsError
from medical_super_resolution.station.queue import Queue
from medical_super_resolution.station.sender import destination_of
from medical_super_resolution.station.service import Station
from medical_super_resolution.system.temp_dirs import folder_lock
from station_doubles import rules_file

pytest.importorskip("pynetdicom")


def test_a_series_that_a_trial_has_seen_is_enhanced_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def seen(self: Station, stop: threading.Event) -> None:
        folders.append(self.queue.folder)
        self.queue.add("1", "1.1", b"a")

    folders: list[Path] = []
    monkeypatch.setattr(Station, "run", seen)
    monkeypatch.setattr("signal.signal", lambda *_: None)
    monkeypatch.setattr(
        "medical_super_resolution.station.receiver.listen", lambda *_, **__: SimpleNamespace(shutdown=list)
    )
    words = (
        "--rules",
        rules_file(tmp_path, "[[rule]]"),
        "--send-to",
        "A@b:1",
        "--queue",
        tmp_path / "queue",
        "--dry-run",
        "--max-storage",
        1e-7,  # 100 bytes
    )
    assert station_command.run(parser(None).parse_args(["station", *map(str, words)])) == 0
    assert not (tmp_path / "queue").exists()
    assert not folders[0].exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--ae", "LONGER_THAN_SIXTEEN"), "'LONGER_THAN_SIXTEEN' cannot be an AE title; give 1 to 16 characters"),
        (("--allow", "CT01", "LONGER_THAN_SIXTEEN"), "'LONGER_THAN_SIXTEEN' cannot be an AE title"),
        (("--port", "99999"), "cannot listen on 127.0.0.1:99999: ports are 0 to 65535"),
        (("--fetch-from", "localhost:80"), "cannot read the address 'localhost:80'; write http"),
        (("--quiet", "-1"), "--quiet must be at least 0 seconds, got -1"),
        (("--max-storage", "0"), "--max-storage must be above 0 GB, got 0"),
    ],
)
def test_options_without_sense_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple, said: str):
    monkeypatch.setattr("signal.signal", lambda *_: None)
    monkeypatch.setattr(Station, "run", lambda *_: None)
    always = ("--rules", rules_file(tmp_path, "[[rule]]"), "--send-to", "A@b:1", "--queue", tmp_path / "queue")
    with pytest.raises(SettingsError, match=said):
        station_command.run(parser(None).parse_args(["station", *map(str, always), *words]))


def test_a_second_station_leaves_the_queue_of_the_first_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    pytest.importorskip("fcntl")
    monkeypatch.setattr("signal.signal", lambda *_: None)
    folder = tmp_path / "queue"
    in_work = Queue(folder, largest_bytes=10).workspace("series")
    in_work.mkdir()
    words = ("--rules", rules_file(tmp_path, "[[rule]]"), "--send-to", "A@b:1", "--port", "99999", "--queue", folder)
    with folder_lock(folder), pytest.raises(SettingsError, match="another station uses the folder .*queue; end it"):
        station_command.run(parser(None).parse_args(["station", *map(str, words)]))
    assert in_work.exists()


def test_a_model_that_a_rule_names_must_be_there_at_the_start(tmp_path: Path):
    always = ("--rules", rules_file(tmp_path, "[[rule]]\nmodel = 'absent'"), "--send-to", "A@b:1", "--dry-run")
    with pytest.raises(ModelError, match="there is no model 'absent'"):
        station_command.run(parser(None).parse_args(["station", *map(str, always)]))


@pytest.mark.parametrize("name", ["dicomweb_client.web", "pydicom", "pynetdicom.acse", "urllib3.connectionpool"])
def test_logs_and_warnings_of_libraries_that_quote_identifiers_are_silent(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, recwarn: pytest.WarningsRecorder, name: str
):
    caplog.set_level(logging.DEBUG, logger=name.partition(".")[0])
    chosen = parser(None).parse_args(["station", "--rules", str(rules_file(tmp_path, "")), "--send-to", "A@b:1"])
    with pytest.raises(SettingsError, match="at least one"):
        station_command.run(chosen)
    assert not logging.getLogger(name).isEnabledFor(logging.ERROR)
    warnings.warn("Unknown encoding 'DOE^JOHN'", stacklevel=1)
    assert not recwarn.list


@pytest.mark.parametrize("name", ["compose.yaml", "medsr-station.service"])
def test_the_files_to_run_a_station_call_it_rightly(name: str):
    text = (documentation.REPOSITORY / "Resources" / "Station" / name).read_text()
    line = re.search(r"--rules.*?(?=\n\S|\n {4}\w|\Z)", text, re.DOTALL).group()
    chosen = parser(None).parse_args(["station", *line.split()])
    assert chosen.rules == Path("/etc/medsr/rules.toml")
    assert chosen.queue == Path("/var/lib/medsr")
    destination_of(chosen.send_to, title=chosen.ae)
