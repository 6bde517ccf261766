# The front door. `make help` lists the targets; the images come from images.toml.

PYTHON ?= python3
CONTAINER_CLI ?= docker
REGISTRY ?= infuseai
# An image to build on in place of the Dockerfiles' own default, and more flags for `build`.
BASE_IMAGE ?=
BUILD_FLAGS ?=
# A package index in place of PyPI, and a Debian mirror in place of Debian's own.
PIP_INDEX_URL ?=
DEBIAN_MIRROR ?=

# For bench: --quick, --case NAME.
BENCH_FLAGS ?=

# For run-<image>; without MODEL_URI the image's example is served.
MODEL_URI ?=
HTTP_PORT ?= 9000
GRPC_PORT ?= 5000
METRICS_PORT ?= 6000

export CONTAINER_CLI REGISTRY PIP_INDEX_URL

IMAGES := $(shell $(PYTHON) tools/images.py targets)
ifeq ($(IMAGES),)
$(error $(PYTHON) tools/images.py failed: it needs Python 3.11 or later as PYTHON, and a sound images.toml)
endif

DEV := .envs/dev
UPSTREAM := .envs/upstream
ENVIRONMENT_TOOLS := $(addprefix tools/,environment.py seldon_wheel.py uv.py protoc.txt)
COMMON_IN_PLACE := --common common --editable

VERBS := build test push run
ALL := $(foreach verb,$(VERBS),$(IMAGES:%=$(verb)-%)) $(IMAGES:%=test-model-%)
.PHONY: help setup test test-common check format lint types lock upgrade clean matrix base-image \
	build-all test-all push-all bench bench-layers bench-overhead $(ALL)
.DELETE_ON_ERROR:

## help: List the targets
help:
	@sed -n 's/^## \([^:]*\): /\1\t/p' Makefile | sed "s/<image>/{$$(echo $(IMAGES) | tr ' ' ',')}/" | \
		awk -F'\t' '{ printf "  %-34s %s\n", $$1, $$2 }'

## setup: Make the development environment and one for every image
setup: $(DEV)/.made $(UPSTREAM)/.made $(IMAGES:%=.envs/%/.made)

$(DEV)/.made: requirements-dev.txt common/pyproject.toml $(ENVIRONMENT_TOOLS)
	@$(PYTHON) tools/environment.py $(@D) $< $(COMMON_IN_PLACE)
	@touch $@

# seldon-core as published, which tests/contract compares with.
$(UPSTREAM)/.made: tests/contract/upstream.txt common/pyproject.toml $(ENVIRONMENT_TOOLS)
	@$(PYTHON) tools/environment.py $(@D) $< $(COMMON_IN_PLACE)
	@touch $@

$(IMAGES:%=.envs/%/.made): .envs/%/.made: %/server/requirements.txt common/pyproject.toml $(ENVIRONMENT_TOOLS)
	@$(PYTHON) tools/environment.py $(@D) $< $(COMMON_IN_PLACE)
	@touch $@

## run-<image>: Serve MODEL_URI, or the image's example, on HTTP_PORT, GRPC_PORT and METRICS_PORT
$(IMAGES:%=run-%): run-%: .envs/%/.made
	@$(PYTHON) tools/run.py $* --model-uri "$(MODEL_URI)" \
		--http-port $(HTTP_PORT) --grpc-port $(GRPC_PORT) --metrics-port $(METRICS_PORT)

## test: Run every test that needs no container engine
test: test-common $(IMAGES:%=test-model-%)

## test-common: Test the repository's facts, the tools, the shared package and the wire
test-common: $(DEV)/.made $(UPSTREAM)/.made
	@echo "-> testing what is shared"
	@$(DEV)/bin/python -m pytest tests/repo tests/unit tests/contract tests/server

## test-model-<image>: Test the image's Model in the environment of its lock
$(IMAGES:%=test-model-%): test-model-%: .envs/%/.made $(DEV)/.made
	@echo "-> testing $*/server in .envs/$*"
	@.envs/$*/bin/python tools/pytest_in.py $(DEV) tests/servers/$*

## bench: Compare this server's speed with upstream's and with a bare loop; takes minutes
bench: $(DEV)/.made $(IMAGES:%=.envs/%/.made)
	@$(DEV)/bin/python -m bench.run $(BENCH_FLAGS)

## bench-overhead: Measure what each Model adds to its framework, row by row
bench-overhead: $(DEV)/.made $(IMAGES:%=.envs/%/.made)
	@$(DEV)/bin/python -m bench.overhead

## bench-layers: Compare the HTTP and gRPC layers that could carry requests; takes a minute
bench-layers: $(DEV)/.made
	@$(DEV)/bin/python -m bench.layers

## check: Look at format, lint, types, locks and the repository's facts
check: lint types $(DEV)/.made
	@echo "-> checking the locks"
	@$(PYTHON) tools/lock.py --check
	@$(DEV)/bin/python -m pytest -q tests/repo

## lint: Look for format and lint errors
lint: $(DEV)/.made
	@echo "-> checking format and lint"
	@$(DEV)/bin/ruff format --check
	@$(DEV)/bin/ruff check

## types: Check the type annotations
types: $(DEV)/.made
	@echo "-> checking types"
	@$(DEV)/bin/mypy
	@set -e; for image in $(IMAGES); do \
		(cd $$image/server && $(CURDIR)/$(DEV)/bin/mypy --config-file $(CURDIR)/pyproject.toml .); \
	done

## format: Write the code in the one format
format: $(DEV)/.made
	@$(DEV)/bin/ruff format
	@$(DEV)/bin/ruff check --fix

## lock: Compile every requirements.txt, keeping the versions it has
lock:
	@$(PYTHON) tools/lock.py

## upgrade: Compile every requirements.txt with the newest versions
upgrade:
	@$(PYTHON) tools/lock.py --upgrade

## build-<image>: Build the image with CONTAINER_CLI and give it its tags
$(IMAGES:%=build-%): build-%:
	@echo "-> building $*"
	@$(CONTAINER_CLI) build $(BUILD_FLAGS) --file $*/Dockerfile \
		$(addprefix --build-arg ,$(shell $(PYTHON) tools/images.py args $*)) \
		$(if $(BASE_IMAGE),--build-arg BASE_IMAGE=$(BASE_IMAGE)) \
		$(if $(PIP_INDEX_URL),--build-arg PIP_INDEX_URL=$(PIP_INDEX_URL)) \
		$(addprefix --tag ,$(shell $(PYTHON) tools/images.py tags $*)) .

## test-<image>: Test the built image as running containers
$(IMAGES:%=test-%): test-%: $(DEV)/.made .envs/%/.made
	@echo "-> testing the image of $*"
	@$(DEV)/bin/python -m pytest tests/images --image $*

## push-<image>: Push all tags of the built image
$(IMAGES:%=push-%): push-%:
	@set -e; for tag in $(shell $(PYTHON) tools/images.py tags $*); do $(CONTAINER_CLI) push $$tag; done

## build-all: Build every image
build-all: $(IMAGES:%=build-%)

## test-all: Test every built image
test-all: $(IMAGES:%=test-%)

## push-all: Push every image
push-all: $(IMAGES:%=push-%)

## matrix: Print the CI matrix as JSON
matrix:
	@$(PYTHON) tools/images.py matrix

## base-image: Make a base image from Debian packages, for where no image registry is reached
base-image:
	@echo "-> making localhost/python:3.11-slim-bookworm from Debian packages"
	@mkdir -p build
	@mmdebstrap --variant=minbase --include=python3,ca-certificates bookworm build/base.tar $(DEBIAN_MIRROR)
	@$(CONTAINER_CLI) import build/base.tar localhost/python:3.11-slim-bookworm

## clean: Remove environments, caches and everything built here
clean:
	rm -rf .cache .envs build .hypothesis .mypy_cache .pytest_cache .ruff_cache
