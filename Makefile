# make book, make test: all that is needed beforehand is make and Python 3.11 or later.
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules

# The first Python that is new enough; another one: make test PYTHON=/path/to/python
PYTHON ?= $(shell for python in python3 python python3.14 python3.13 python3.12 python3.11; do \
	$$python -c "import sys; sys.exit(sys.version_info < (3, 11))" 2>/dev/null && echo $$python && break; done)
VENV := .venv
BIN := $(VENV)/$(if $(filter Windows_NT,$(OS)),Scripts,bin)
STAMP := $(VENV)/installed
PORT ?= 8000

.PHONY: help env book live test test-quick test-oldest nbgrader-test book-test live-test notebook-test check serve pdf lint format bench clean distclean

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

env: $(STAMP)  ## make the environment .venv and install everything in it

book: $(STAMP)  ## execute and build the whole book; any warning is an error
	$(BIN)/jupyter-book build . -W -n --keep-going
	@echo "The book is built. Open $(CURDIR)/_build/html/index.html"

live: $(STAMP)  ## collect Python for "Run this page" (FROM=folder with Pyodide's files, else fetched); then make book
	$(BIN)/python book/make_live.py $(if $(FROM),--from "$(FROM)")

test: $(STAMP)  ## test the package and the repository
	$(BIN)/python -m pytest -n auto -m "not chapters and not pages"

test-quick: $(STAMP)  ## the same without the slow statistical tests
	$(BIN)/python -m pytest -m "not slow and not chapters and not pages"

test-oldest:  ## the same with every dependency at its lower bound
	"$(PYTHON)" -m venv .venv-oldest
	.venv-oldest/bin/python -m pip install --quiet --disable-pip-version-check -c requirements-oldest.txt -e ".[book,test]"
	.venv-oldest/bin/python -m pytest -m "not slow and not chapters and not pages"

nbgrader-test:  ## take a class of five through nbgrader, in an environment of its own
	"$(PYTHON)" -m venv .venv-nbgrader
	.venv-nbgrader/bin/python -m pip install --quiet --disable-pip-version-check -e ".[course]" pytest
	REQUIRE_NBGRADER=1 .venv-nbgrader/bin/python -m pytest tests/course/test_nbgrader.py

book-test: book  ## build the book and read its pages, in a browser if there is one
	$(BIN)/python -m pytest -n auto -m "pages and not slow" tests/book

live-test: book  ## run every cell of every page in a browser, as a reader does (after make live)
	$(BIN)/python -m pytest -s -m live tests/book/test_live.py

notebook-test: book  ## run every notebook that the site offers in an empty folder, and again with numbers changed
	$(BIN)/python -m pytest -n auto -m notebooks tests/book/test_notebooks.py

check: lint test book-test  ## everything that continuous integration runs

serve: book  ## build the book and serve it on this machine (another port: PORT=8123)
	@echo "http://localhost:$(PORT)/    (stop with Ctrl-C)"
	$(BIN)/python -m http.server --bind 127.0.0.1 --directory _build/html $(PORT)

pdf: book  ## the whole book as one PDF: _build/lmmsim-book.pdf (needs a Chromium)
	$(BIN)/python book/make_pdf.py

lint: $(STAMP)  ## style, formatting, types
	$(BIN)/python -m ruff check .
	$(BIN)/python -m ruff format --check .
	$(BIN)/python -m mypy

format: $(STAMP)  ## let ruff format the code
	$(BIN)/python -m ruff check --fix .
	$(BIN)/python -m ruff format .

bench: $(STAMP)  ## measure the claims about speed
	@$(BIN)/python benchmarks/bench.py

clean:  ## remove what was built
	rm -rf _build build dist .pytest_cache .ruff_cache .mypy_cache
	find book lmmsim tests -name __pycache__ -prune -exec rm -rf {} +

distclean: clean  ## remove the environments too, and what make live collected
	rm -rf $(VENV) .venv-oldest .venv-nbgrader lmmsim.egg-info book/_static/py

# Installed once, and again when what is to be installed changes.
$(STAMP): pyproject.toml requirements-lock.txt
	@test -n "$(PYTHON)" || { echo "Python 3.11 or later is needed and was not found. Say where it is: make PYTHON=/path/to/python"; exit 1; }
	@test -x $(BIN)/python || "$(PYTHON)" -m venv $(VENV) || { rm -rf $(VENV); \
		echo "$(PYTHON) can't make a virtual environment (the lines above say why)."; \
		echo "On Debian and Ubuntu: sudo apt-get install python3-venv"; exit 1; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c requirements-lock.txt -e ".[book,test]"
	@touch $@
