# make enhance                                       try it on a head template that comes with a package
# make enhance INPUT=in.nii.gz OUTPUT=out.nii.gz     enhance a scan; FACTOR=4 makes it four times finer
# make view     open the head template in a browser, to enhance and compare
# make demo-page   the page that enhances a volume in the browser, in build/demo; needs npm
# make test     the test suite (ARGS="-k grid" chooses)
# make lint     style, types and spelling
# make sentences   the catalog of the sentences that translators are given
# make docs     the documentation, as a site in build/site; warnings are errors
# make clean    remove the environment and everything that was built

# torch is pinned; the version in constraints.txt is tested on Python 3.11, so that one is preferred.
PYTHON ?= $(shell for each in python3.11 python3 python3.12 python3.13 python3.10 python; do \
	$$each -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null && echo $$each && break; done)
VENV := .venv
PIP := $(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: help enhance view demo-page test lint sentences docs clean
.DELETE_ON_ERROR:

unexport PYTHONDONTWRITEBYTECODE # the child processes of the tests start faster from compiled files

help:
	@sed -n '/^#/!q; s/^# //p' Makefile

enhance: $(VENV)/installed-demo
ifneq ($(INPUT)$(OUTPUT),)
	@test -n "$$INPUT" && test -n "$$OUTPUT" || { echo "make enhance needs both INPUT and OUTPUT, or neither" >&2; exit 2; }
	$(VENV)/bin/medsr enhance "$$INPUT" "$$OUTPUT" $${FACTOR:+--factor "$$FACTOR"}
else
	$(VENV)/bin/medsr demo --overwrite
endif

view: $(VENV)/installed-demo,viewer
	$(VENV)/bin/medsr view --demo --open

demo-page: $(VENV)/installed-onnx
	$(VENV)/bin/python docs/assemble_demo.py build/demo

test: $(VENV)/installed-dev
	$(VENV)/bin/python -m pytest --numprocesses=auto --dist=loadfile --no-loadscope-reorder -rs $(ARGS)

lint: $(VENV)/installed-dev
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/codespell

sentences: $(VENV)/installed-dev
	$(VENV)/bin/python Testing/Python/package_sentences.py

docs: $(VENV)/installed-docs
	NO_MKDOCS_2_WARNING=1 $(VENV)/bin/mkdocs build --strict --quiet
	@echo "build/site/index.html"

# This stamp stands for extras installed as pyproject.toml and constraints.txt require. .[dev] includes .[demo].
$(VENV)/installed-%: pyproject.toml constraints.txt $(VENV)/created
	@echo "Installing into $(VENV) (on Linux a download of about 3 GB the first time) ..."
	$(PIP) --editable '.[$*]'
	@touch $@

$(VENV)/created:
	@test -n "$(PYTHON)" || { echo "Python 3.10 or newer is needed; set PYTHON=/path/to/python" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@touch $@

clean:
	rm -rf $(VENV) build dist .pytest_cache .hypothesis .mypy_cache .ruff_cache MedicalSuperResolution*/*.egg-info *.egg-info
	find MedicalSuperResolution* docs Testing -name __pycache__ -type d -prune -exec rm -rf {} +
