"""Adding a model: only what is whole, proven and of a new name is kept."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import pytest

from command_line import Medsr
from medical_super_resolution.errors import ModelError
from medical_super_resolution.models import file as models
from medical_super_resolution.models import store
from medical_super_resolution.models.importing import import_model
from medical_super_resolution.system import checksum

WRONG = "0" * 64


@pytest.fixture
def a_user_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where imported models go; not there yet."""
    monkeypatch.setenv(store.FOLDER_VARIABLE, str(tmp_path / "of the user" / "models"))
    return tmp_path / "of the user" / "models"


@pytest.fixture
def a_file(a_model_file: Path) -> Path:
    return a_model_file.rename(a_model_file.with_name("mine.safetensors"))


def refused(file: Path, folder: Path, match: str, sha256: str | None = None) -> None:
    before = sorted(folder.glob("**/*"))
    with pytest.raises(ModelError, match=match) as caught:
        import_model(file, sha256)
    assert "\n" not in str(caught.value)
    assert sorted(folder.glob("**/*")) == before


def test_an_imported_model_is_found_by_its_name(a_file: Path, a_user_folder: Path):
    imported = import_model(a_file)
    assert (imported.path, imported.was_compared) == (a_user_folder / "mine.safetensors", False)
    assert store.find("mine") == imported.path
    assert imported.path in store.installed()
    assert models.load(store.find("mine")).sha256 == imported.sha256 == checksum.digest_of(a_file)
    assert {path.name for path in a_user_folder.iterdir()} == {"mine.safetensors", "mine.safetensors.sha256"}


@pytest.mark.parametrize("write", [str.lower, str.upper, " {} \n".format])
def test_a_checksum_that_is_given_is_compared(a_file: Path, a_user_folder: Path, write: object):
    assert import_model(a_file, write(checksum.digest_of(a_file))).was_compared


@pytest.mark.parametrize("written", ["{}", "{}  mine.safetensors\n", "\n{} *mine.safetensors", "\ufeff{}"])
def test_a_checksum_beside_the_file_is_compared(a_file: Path, a_user_folder: Path, written: str):
    note = a_file.with_name("mine.safetensors.sha256")
    note.write_text(written.format(checksum.digest_of(a_file)), encoding="utf-8")
    assert import_model(a_file).was_compared
    note.write_text(written.format(WRONG), encoding="utf-8")
    refused(a_file, a_user_folder, "it is damaged or another file")


def test_a_bit_that_flips_after_the_import_is_noticed_where_the_model_is_used(a_file: Path, a_user_folder: Path):
    imported = import_model(a_file).path
    content = bytearray(imported.read_bytes())
    content[-2] ^= 1  # of a weight, which stays finite
    imported.write_bytes(content)
    with pytest.raises(ModelError, match="is damaged or another file; get it again"):
        models.load(imported)


def test_a_wrong_checksum_is_refused_with_both(a_file: Path, a_user_folder: Path):
    digest = checksum.digest_of(a_file)
    refused(a_file, a_user_folder, f"^mine.safetensors has the SHA-256 {digest}, not {WRONG}: it is damaged", WRONG)


@pytest.mark.parametrize("given", ["abc", "z" * 64, "0" * 63, "0" * 65])
def test_what_is_no_checksum_is_refused(a_file: Path, a_user_folder: Path, given: str):
    refused(a_file, a_user_folder, "the SHA-256 that was given is no SHA-256, which has 64 digits", given)


def test_a_note_that_holds_no_checksum_is_refused(a_file: Path, a_user_folder: Path):
    a_file.with_name("mine.safetensors.sha256").write_bytes(b"\xff\xfe<html>")
    refused(a_file, a_user_folder, "the content of mine.safetensors.sha256 is no SHA-256")


def test_a_file_that_cannot_be_loaded_is_refused(a_file: Path, a_user_folder: Path):
    a_file.write_bytes(a_file.read_bytes()[:-100])
    refused(a_file, a_user_folder, "damaged")


def test_a_damaged_file_is_named_where_it_lies(a_file: Path, a_user_folder: Path):
    a_file.write_bytes(a_file.read_bytes()[:1000])
    refused(a_file, a_user_folder, f"^{re.escape(str(a_file))} is damaged")


def test_other_files_are_refused(tmp_path: Path, a_user_folder: Path):
    for name, match in (("model.pt", "is no model file; their names end in"), ("a.safetensors", "there is no model")):
        refused(tmp_path / name, a_user_folder, match)


def test_a_shipped_model_is_not_hidden(a_file: Path, a_user_folder: Path):
    refused(a_file.rename(a_file.with_name("general.safetensors")), a_user_folder, "a model named general is installed")
    a_user_folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(store.SHIPPED_FOLDER / "general.safetensors", a_user_folder / "general.safetensors")
    assert store.find("general") == store.SHIPPED_FOLDER / "general.safetensors"


def test_another_model_of_the_same_name_is_not_replaced(a_file: Path, a_user_folder: Path, a_tiny_generator: object):
    import_model(a_file)
    assert import_model(a_file).path.is_file()  # the same one may come again
    models.save(a_file, "through-plane", a_tiny_generator, {"summary": "Another one"})
    refused(a_file, a_user_folder, "a model named mine is installed already; rename the file mine.safetensors first")


def test_a_folder_that_cannot_be_written_ends_in_a_sentence(
    a_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "a file").touch()
    monkeypatch.setenv(store.FOLDER_VARIABLE, str(tmp_path / "a file" / "models"))
    refused(a_file, tmp_path, "models cannot be written: .*variable MEDSR_MODEL_FOLDER name another folder")


def test_shipped_models_are_found_where_the_home_is_that_of_another_account(
    medsr: Medsr, a_user_folder: Path, monkeypatch: pytest.MonkeyPatch
):
    look = os.stat

    def may_not(path: os.PathLike[str] | str, **options: object) -> os.stat_result:
        if os.fspath(path).startswith(str(a_user_folder)):
            raise PermissionError(13, os.strerror(13), path)
        return look(path, **options)

    monkeypatch.setattr(os, "stat", may_not)
    assert "general-large  " in medsr("models")[1]
    with pytest.raises(ModelError, match="there is no model 'mine'; installed: general, general-large; or"):
        store.find("mine")


def test_shipped_models_are_found_where_no_home_is_known(medsr: Medsr, monkeypatch: pytest.MonkeyPatch):
    def unknown() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", unknown)
    for variable in (store.FOLDER_VARIABLE, "LOCALAPPDATA", "XDG_DATA_HOME"):
        monkeypatch.delenv(variable, raising=False)
    assert "general-large  " in medsr("models")[1]
    with pytest.raises(ModelError, match="there is no model 'mine'; installed: general, general-large; or"):
        store.find("mine")


def test_a_full_disk_ends_in_a_sentence_and_leaves_nothing(
    a_file: Path, a_user_folder: Path, monkeypatch: pytest.MonkeyPatch
):
    a_user_folder.mkdir(parents=True)

    def fill(source: Path, target: Path) -> None:
        target.write_bytes(b"half")
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(shutil, "copyfile", fill)
    refused(a_file, a_user_folder, "cannot be written: No space left on device; free some space")


def test_every_system_has_a_folder_for_what_is_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv(store.FOLDER_VARIABLE)
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    for variable in ("LOCALAPPDATA", "XDG_DATA_HOME"):
        monkeypatch.delenv(variable, raising=False)
    for system, place in (
        ("win32", "AppData/Local"),
        ("darwin", "Library/Application Support"),
        ("linux", ".local/share"),
    ):
        monkeypatch.setattr(store.sys, "platform", system)
        assert store.user_folder() == tmp_path / place / "MedicalSuperResolution" / "models"


def test_the_command_line_imports_and_lists(medsr: Medsr, a_file: Path, a_user_folder: Path):
    digest = checksum.digest_of(a_file)
    status, out, err = medsr("models", "--import", a_file)
    assert (status, digest in out) == (0, True)
    assert "there was no checksum to compare with" in err
    assert "\nmine  " in medsr("models")[1]
    assert medsr("models", "--import", a_file, "--sha256", digest)[2] == ""
    status, _, err = medsr("models", "--import", a_file, "--sha256", WRONG)
    assert (status, err) == (
        1,
        f"error: mine.safetensors has the SHA-256 {digest}, not {WRONG}: it is damaged or another file; get it again\n",
    )
