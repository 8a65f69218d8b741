# Sinyal. `make` lists what can be done; every target sets up what it needs by itself.

PYTHON ?= python3
BIN := .venv/bin
SHELL := /bin/sh

.DEFAULT_GOAL := help
.PHONY: help run test test-platform dist check bench soak browser lock translations docs format clean

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: .venv/.demo ## a simulated gateway end to end: modem, agent, broker, live view (Ctrl-C ends it)
	@$(BIN)/sinyal demo $(ARGS)

test: .venv/.dev ## all tests, with everything they need (real mosquitto included)
	@sh .ci/system-packages test
	@sh .ci/tests $(BIN)/python $(ARGS)

dist: .venv/.dev ## wheel, sdist, .deb, .ipk, OpenWrt feed, offline bundle, bill of materials: into dist/
	$(BIN)/python -m provisioning.packaging dist

check: .venv/.dev ## format, lint, types, import layers, shell, dead code, translations, generated documents
	@sh .ci/check $(BIN)

bench: .venv/.dev ## the numbers: bytes, microseconds, memory, rows a second, each beside a peer or a floor
	@sh .ci/system-packages bench
	$(BIN)/python -m tests.bench $(ARGS)

soak: .venv/.dev ## the long fault campaigns
	@sh .ci/system-packages test
	$(BIN)/python -m pytest -m soak --timeout=3600 $(ARGS)

browser: .venv/.dev ## the village page in a real browser: small phones, a sheet of A4
	@sh .ci/system-packages browser
	$(BIN)/python -m pytest -m browser $(ARGS)

test-platform: .venv/.dev ## whole systems: systemd as PID 1, a fresh Debian, armhf, an emulated Pi; says loudly what it cannot do
	@sh .ci/system-packages platform
	$(BIN)/python -m pytest -m platform -rs --timeout=900 $(ARGS)

format: .venv/.dev ## put the code in its format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix-only --quiet .

docs: .venv/.dev ## write fields.md, asyncapi.yaml and schemas from the catalogue, man page and completions from the parser
	$(BIN)/python -m docs.generate

translations: .venv/.dev ## collect new texts into the Indonesian catalogue and compile it
	@sh .ci/translations $(BIN)

lock: .venv/.dev ## pin and hash what gateway, demo, provisioners and developers install
	@for set in gateway demo provisioning dev; do \
	  $(BIN)/uv pip compile --quiet --universal --generate-hashes --no-config --upgrade --python-version 3.11 \
	    --no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" \
	    provisioning/locks/$$set.in -o provisioning/locks/$$set.txt || exit 1; \
	done

clean: ## remove everything that make made
	rm -rf .venv build dist .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/.demo: provisioning/locks/demo.txt pyproject.toml
	@sh .ci/venv "$(PYTHON)" demo
	@touch $@

.venv/.dev: provisioning/locks/dev.txt pyproject.toml
	@sh .ci/venv "$(PYTHON)" dev
	@touch .venv/.demo $@
