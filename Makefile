PYTHON ?= python3
VENV := .venv
LOWEST := .venv-lowest
WRITING := .venv-docs
BIN := $(VENV)/bin
INSTALL = $(BIN)/python -m pip install --quiet --disable-pip-version-check

# Tests run side by side, one process more than there are cores, since tests wait for the disk and the browser too; each
# computes on one thread, and may hold 5 GiB, so that there are four at most.
SIDE_BY_SIDE = --numprocesses $$($(PYTHON) -c 'import os; print(min(4, 1 + (os.cpu_count() or 1)))') --dist worksteal

BROWSERS = chromium chromium-browser google-chrome google-chrome-stable
FIND_BROWSER = { for name in $(BROWSERS); do command -v $$name && exit 0; done; false; } >/dev/null
GET_BROWSER = { [ "$$(id -u)" = 0 ] && apt-get update -qq && apt-get install -qq --yes chromium >/dev/null; }

.PHONY: demo test test-lowest check docs clean

demo: $(VENV)/.ready-to-run   ## The main job, offline, on handwritten digits: prints the table, writes the report
	$(BIN)/python cli.py demo

test: $(VENV)/.ready-to-test  ## All tests
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest $(SIDE_BY_SIDE)

test-lowest: $(LOWEST)/.ready ## All tests, with the lowest declared version of every dependency
	OMP_NUM_THREADS=1 $(LOWEST)/bin/python -m pytest $(SIDE_BY_SIDE)

check: $(VENV)/.ready-to-test .types/stackbone ## Lint, format, types, import directions
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q tests/test_imports.py

# Documents are laid out as in the repository, so that their links hold; of the code, the rooms alone are read.
docs: $(WRITING)/.ready       ## The site of the documents, in site/: open site/index.html
	rm -rf build/pages build/code site
	mkdir -p build/pages/cache build/code/stackbone
	cp -r README.md CONTRIBUTING.md CHANGELOG.md LICENSE CITATION.cff docs build/pages
	cp cache/FORMAT.md build/pages/cache
	cp -r __init__.py cache extract pipelines stack build/code/stackbone
	$(WRITING)/bin/jupyter nbconvert --log-level WARN --to markdown --output-dir build/pages/docs docs/*.ipynb
	$(WRITING)/bin/python -c 'from pathlib import Path; [page.write_text(page.read_text().replace("notebook.ipynb)", "notebook.md)")) for page in Path("build/pages").rglob("*.md")]'
	$(WRITING)/bin/zensical build --strict --clean
	@! grep -rnoE '<(script|img|iframe|link)[^>]* (src|href)="?https?:[^ >]*' site --include=*.html \
		|| { echo "the site takes these from elsewhere, and would not work offline"; exit 1; }

$(VENV)/.ready-to-run: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(INSTALL) --editable '.[offline]'
	touch $@

$(VENV)/.ready-to-test: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(INSTALL) --editable '.[dev]'
	@($(FIND_BROWSER)) || $(GET_BROWSER) || echo "no Chromium or Chrome here: the tests of the report's page are skipped"
	touch $@

$(LOWEST)/.ready: pyproject.toml .ci/lowest.py
	$(PYTHON) -m venv --clear $(LOWEST)
	$(PYTHON) .ci/lowest.py > $(LOWEST)/constraints.txt
	$(LOWEST)/bin/python -m pip install --quiet --disable-pip-version-check \
		--constraint $(LOWEST)/constraints.txt --editable '.[dev]'
	touch $@

# The extra `docs` alone, without Stackbone and its torch: the documents are made from text.
$(WRITING)/.ready: pyproject.toml
	$(PYTHON) -m venv --clear $(WRITING)
	$(PYTHON) -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"]["docs"], sep="\n")' \
		> $(WRITING)/requirements.txt
	$(WRITING)/bin/python -m pip install --quiet --disable-pip-version-check --requirement $(WRITING)/requirements.txt
	touch $@

.types/stackbone:             # where the type checker and editors find `stackbone`: in this folder
	mkdir -p .types
	ln -s .. $@

clean:
	rm -rf .types $(VENV) $(LOWEST) $(WRITING) .cache build site *.egg-info
