# One entry for everything. `make help` lists the targets.
PYTHON ?= python3
PORT ?= 8000
VENV := .venv
BIN := $(VENV)/bin
DEMO := build/todo-postgres-api
NAME ?= shop
EXAMPLES ?= 2000
ROUNDS ?= 5

.DEFAULT_GOAL := test
.PHONY: help install demo example test lint types tests fuzz stores bench growth \
	format requirements clean

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 14

install: $(VENV)/installed ## make .venv, with .venv/bin/howdah in it

demo: install ## scaffold the items API and serve it on PORT (8000)
	@test -f $(DEMO)/alembic.ini || $(BIN)/howdah startdemo fastapi-psql-orm \
		--name todo-postgres-api --author "Howdah" --email howdah@example.org \
		--description "Todo management API using PostgreSQL" \
		--package-manager uv --output $(DEMO) --no-install --yes
	@cd $(DEMO) && exec ../../$(BIN)/howdah dev --port $(PORT) --run src.utils.init_data

example: install ## serve examples/NAME (shop) on PORT (8000) until Ctrl-C
	@cd examples/$(NAME) && exec ../../$(BIN)/howdah dev --port $(PORT)

test: lint types tests ## lint, types and all tests: what `make` alone does

lint: install ## ruff, on style and format
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: install ## mypy, strict
	$(BIN)/mypy

# Tests start Python some hundred times. Where the environment forbids to keep bytecode,
# each of them would compile everything again.
tests: export PYTHONDONTWRITEBYTECODE =
tests: install ## all tests, on a PostgreSQL that comes along
	$(BIN)/pytest -n auto --dist worksteal

fuzz: install ## ask all stores EXAMPLES (2000) random questions, new ones each time
	FUZZ_EXAMPLES=$(EXAMPLES) $(BIN)/pytest tests/contract/test_same_answers.py

stores: install ## ask all stores what they can do: the table of docs/explanation/stores.md
	$(BIN)/pytest -n auto --dist worksteal --junitxml build/stores.xml tests/contract
	$(BIN)/python tests/stores_table.py build/stores.xml

bench: $(VENV)/benched ## all contenders side by side: build/bench/table.md, speed.svg
	$(BIN)/python -m benchmarks --rounds $(ROUNDS)

growth: $(VENV)/benched ## what costs become as all of it grows
	$(BIN)/python -m benchmarks.growth --rounds $(ROUNDS)

format: install ## put the code into form
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

requirements: install ## pin anew what requirements/*.txt pin, with hashes
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes \
		--no-header --no-annotate --upgrade pyproject.toml --all-extras --group dev \
		-o requirements/dev.txt
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes \
		--no-header --no-annotate --upgrade pyproject.toml --all-extras --group dev \
		--group bench --constraint requirements/dev.txt -o requirements/bench.txt
	echo "uv" | $(BIN)/uv pip compile -q --universal --python-version 3.11 \
		--generate-hashes --no-header --no-annotate --upgrade - -o requirements/uv.txt

clean: ## remove what was made here, .venv included
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis

$(VENV)/benched: $(VENV)/installed requirements/bench.txt
	@command -v wrk >/dev/null || { echo "no wrk: apt-get install wrk"; exit 1; }
	@$(BIN)/uv pip install --quiet --python $(BIN)/python \
		--require-hashes -r requirements/bench.txt
	@touch $@

# Debian ships Python without pip unless python3-venv is there too: where a venv comes
# without one, the pip of the system fills it.
$(VENV)/installed: requirements/dev.txt requirements/uv.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Howdah needs Python 3.11 or later: make PYTHON=python3.11"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) 2>/dev/null || \
		$(PYTHON) -m venv --without-pip $(VENV)
	@$(BIN)/python -m pip --version >/dev/null 2>&1 && pip="$(BIN)/python -m pip" || \
		pip="$(PYTHON) -m pip --python $(BIN)/python"; \
		$$pip install --quiet --disable-pip-version-check \
			--require-hashes -r requirements/uv.txt || \
		{ echo "no pip to begin with: apt-get install python3-venv"; exit 1; }
	@$(BIN)/uv pip install --quiet --python $(BIN)/python \
		--require-hashes -r requirements/dev.txt
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps \
		--no-build-isolation --editable .
	@touch $@
