# The one command for each thing one does here; CONTRIBUTING.md says when. The tools are those of the active environment.
PYTHON ?= python
NAME ?= loading
.DEFAULT_GOAL := help
.PHONY: help setup test slow format lint types ui demo bench prefect docs lock

help:  ## List these commands
	@grep -E '^[a-z]+:.*  ## ' Makefile | sed -E 's/^([a-z]+):.*  ## /make \1\t/' | expand -t 16

setup:  ## Install the project and what its tests need, in the locked versions, into the active environment
	$(PYTHON) -m pip install -c requirements.lock -e '.[test]'

test:  ## Run the tests: some minutes on two cores
	$(PYTHON) -m pytest

slow:  ## Run the slow tests, one at a time: real daemons, a browser, killed processes; a quarter of an hour
	$(PYTHON) -m pytest -m slow -n 4

format:  ## Write all code in the one style, and mend what can be mended
	ruff format .
	ruff check --fix .

lint:  ## Check style, mistakes and who imports whom
	ruff check .
	ruff format --check .
	lint-imports

types:  ## Check types
	mypy

ui:  ## Serve the Dagster UI and MLflow's on the home folder
	spam-assets ui

demo:  ## From the SpamAssassin corpus to a champion: about two minutes
	spam-assets demo

bench:  ## Run a benchmark: make bench NAME=quality (features, gate, label_noise, ...)
	$(PYTHON) -m benchmarks.$(NAME)

prefect:  ## Make build/prefect, the environment that benchmarks.orchestrators and its tests run Prefect in
	rm -rf build/prefect
	$(PYTHON) -m venv build/prefect
	build/prefect/bin/python -m pip install -r benchmarks/prefect_flow/requirements.txt
	build/prefect/bin/python -m pip install --no-deps -e .

# Linked as they lie in the project, so that the links between them hold. The warning that is silenced is of Material's
# end in 2027, see pyproject.toml. No --quiet: --strict would count no warnings.
SITE_FILES = README.md CHANGELOG.md CONTRIBUTING.md SECURITY.md LICENSE .env.example docs spam_assets/__init__.py

docs:  ## Build the documents as a site with search, build/docs/site/index.html; needs pip install '.[docs]'
	rm -rf build/docs
	for file in $(SITE_FILES); do \
		mkdir -p build/docs/source/$$(dirname $$file) && ln -s $(CURDIR)/$$file build/docs/source/$$file || exit 1; done
	NO_MKDOCS_2_WARNING=1 $(PYTHON) -m mkdocs build --strict

lock:  ## Renew requirements.lock from an environment made for it, with today's newest releases that fit
	PYTHON=$(PYTHON) bash .ci/lock
