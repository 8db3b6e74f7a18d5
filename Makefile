# `make demo` and `make test` are all a newcomer needs: Python 3.11 to 3.13 with venv, and make.
.DEFAULT_GOAL := help
PYTHON ?= $(shell for p in python3.12 python3.13 python3.11 python3; do \
	$$p -c 'import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null && echo $$p && break; done)
BIN := .venv/bin
PROTOS := $(wildcard protos/*.proto)
PACKAGES := edgeward placement coordinator node protos

.PHONY: help setup demo test check protos bench clean

help: ## what can be made
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

.venv/.set-up: pyproject.toml uv.lock
	@test -n "$(PYTHON)" || { echo "Edgeward needs Python 3.11 to 3.13 with venv. On Debian or Ubuntu: sudo apt-get install python3 python3-venv" >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@test -x $(BIN)/uv || $(BIN)/python -m pip install --quiet --disable-pip-version-check "uv>=0.9,<1"
	@VIRTUAL_ENV=$(CURDIR)/.venv UV_PROJECT_ENVIRONMENT=.venv $(BIN)/uv sync --locked --inexact --quiet --python $(BIN)/python
	@touch $@

setup: .venv/.set-up ## set up .venv, nothing else

demo: setup ## a coordinator and nodes at several sites on this machine, real work, the comparison
	@$(BIN)/edgeward demo

test: setup ## the test suite
	@$(BIN)/python -m pytest

check: setup ## lint, types, floors, protos
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache
	@$(BIN)/buf lint
	@$(BIN)/buf format --diff --exit-code
	@$(BIN)/python -m tests.protos_current

protos: setup ## generate the Python beside the .proto files
	@$(BIN)/python -m grpc_tools.protoc -I . --python_out=. --grpc_python_out=. --mypy_out=quiet:. \
		--mypy_grpc_out=quiet:. --plugin=protoc-gen-mypy=$(BIN)/protoc-gen-mypy \
		--plugin=protoc-gen-mypy_grpc=$(BIN)/protoc-gen-mypy_grpc $(PROTOS)

bench: setup ## every comparison with peers, as a table and as JSON
	@$(BIN)/python -m benchmarks

clean: ## remove what was made here
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis dist build
