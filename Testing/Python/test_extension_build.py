"""CMake configures the extension, and every file that it needs at run time would be installed.

Slicer's own macros are recorded here: what they are given is written down, and checked as they check it.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
MODULES = ("MedicalSuperResolution", "MedicalSuperResolutionTraining")
RECORDING_MACROS = r"""
set(Slicer_EXTENSION_GENERATE_CONFIG "${CMAKE_CURRENT_LIST_DIR}/Empty.cmake")
set(Slicer_EXTENSION_CPACK "${CMAKE_CURRENT_LIST_DIR}/Empty.cmake")
file(WRITE "${CMAKE_BINARY_DIR}/records.txt" "")
macro(slicerMacroBuildScriptedModule)
  cmake_parse_arguments(MY "WITH_GENERIC_TESTS;WITH_SUBDIR;VERBOSE" "NAME" "SCRIPTS;RESOURCES" ${ARGN})
  if(MY_UNPARSED_ARGUMENTS OR NOT DEFINED MY_NAME)
    message(FATAL_ERROR "slicerMacroBuildScriptedModule: ${ARGN}")
  endif()
  foreach(file ${MY_SCRIPTS} ${MY_RESOURCES})
    if(NOT EXISTS "${CMAKE_CURRENT_SOURCE_DIR}/${file}")
      message(FATAL_ERROR "slicerMacroBuildScriptedModule given nonexistent file '${file}'")
    endif()
    file(APPEND "${CMAKE_BINARY_DIR}/records.txt" "${MY_NAME}|${file}\n")
  endforeach()
endmacro()
function(slicer_add_python_unittest)
  cmake_parse_arguments(MY "" "SCRIPT" "" ${ARGN})
  if(NOT EXISTS "${CMAKE_CURRENT_SOURCE_DIR}/${MY_SCRIPT}")
    message(FATAL_ERROR "slicer_add_python_unittest given nonexistent file '${MY_SCRIPT}'")
  endif()
  file(APPEND "${CMAKE_BINARY_DIR}/records.txt" "test|${MY_SCRIPT}\n")
endfunction()
"""


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> dict[str, set[str]]:
    """Files given to Slicer's macros, by module; those of tests under "test"."""
    cmake = shutil.which("cmake")
    if cmake is None:
        try:
            from cmake import CMAKE_BIN_DIR
        except ImportError:
            pytest.skip("cmake is not installed; pip install cmake")
        cmake = str(Path(CMAKE_BIN_DIR) / "cmake")
    slicer, build = tmp_path_factory.mktemp("slicer"), tmp_path_factory.mktemp("build")
    (slicer / "SlicerConfig.cmake").write_text('set(Slicer_USE_FILE "${CMAKE_CURRENT_LIST_DIR}/UseSlicer.cmake")\n')
    (slicer / "UseSlicer.cmake").write_text(RECORDING_MACROS)
    (slicer / "Empty.cmake").write_text("")
    configure = [cmake, "-S", str(REPOSITORY), "-B", str(build), f"-DSlicer_DIR={slicer}", "-DBUILD_TESTING=ON"]
    done = subprocess.run(configure, capture_output=True, text=True, check=False)
    if "CMAKE_CXX_COMPILER not set" in done.stderr or "CMAKE_MAKE_PROGRAM is not set" in done.stderr:
        pytest.skip("there is no compiler, which CMake asks for in every project")
    assert done.returncode == 0, done.stderr
    found: dict[str, set[str]] = {}
    for line in (build / "records.txt").read_text().splitlines():
        name, _, file = line.partition("|")
        found.setdefault(name, set()).add(file)
    return found


@pytest.mark.parametrize("module", MODULES)
def test_every_source_file_of_a_module_is_installed(records: dict[str, set[str]], module: str):
    listed = subprocess.run(["git", "ls-files", module], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    tracked = {name.removeprefix(f"{module}/") for name in listed.stdout.splitlines()}
    if not tracked:
        pytest.skip("this is no clone of the repository")
    needed = {name for name in tracked if name.endswith((".py", ".ui", ".svg", ".safetensors", "requirements.txt"))}
    assert {name for name in needed if (REPOSITORY / module / name).exists()} - records[module] == set()


def test_no_two_modules_install_a_file_under_one_name(records: dict[str, set[str]]):
    """Slicer puts all modules into one folder: one file would replace the other, and Ninja refuses to build."""
    first, second = (records[module] for module in MODULES)
    assert first & second == set()


def test_every_module_has_the_panel_and_the_icon_that_slicers_generic_tests_ask_for(records: dict[str, set[str]]):
    for module in MODULES:
        assert f"Resources/UI/{module}.ui" in records[module]
        assert f"Resources/Icons/{module}.svg" in records[module]


def test_the_tests_inside_slicer_are_registered(records: dict[str, set[str]]):
    scripts = {path.name for path in (REPOSITORY / "Testing" / "Slicer").glob("*Test.py")}
    assert scripts | {f"{module}.py" for module in MODULES} == records["test"]


def test_the_icon_of_the_catalog_is_128_pixels_square():
    header = (REPOSITORY / "Resources" / "MedicalSuperResolution.png").read_bytes()[:24]
    assert header[:8] == b"\x89PNG\r\n\x1a\n"
    assert [int.from_bytes(header[start : start + 4], "big") for start in (16, 20)] == [128, 128]
