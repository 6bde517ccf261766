# `make help` lists the commands; images.toml lists the images.

PYTHON ?= python3
CONTAINER_CLI ?= docker
REGISTRY ?= infuseai
# The base image instead of the default in the Dockerfiles, and additional flags for `build`.
BASE_IMAGE ?=
BUILD_FLAGS ?=
# A package index instead of PyPI, and a Debian mirror instead of Debian's own.
PIP_INDEX_URL ?=
DEBIAN_MIRROR ?=

# For bench: --quick, --case NAME, --earlier CHECKOUT, --peer mlserver, --peer kserve, --peer triton.
BENCH_FLAGS ?=

# For audit: --ignore-vuln ID for each vulnerability that no release fixes.
AUDIT_FLAGS ?=

# For bench-start: --runs N, --image NAME, --cpu CPUS.
START_FLAGS ?=

# For chaos: --quick.
CHAOS_FLAGS ?=

# For matrix: the names of changed files, to print only the targets that they affect.
CHANGED ?=

# For run-<target>. Without MODEL_URI, the image's example is served. PARAMETERS are the Model's,
# such as PARAMETERS="method=predict". HOST is the address to listen on; :: means all addresses.
MODEL_URI ?=
PARAMETERS ?=
HOST := localhost
HTTP_PORT ?= 9000
GRPC_PORT ?= 5000
METRICS_PORT ?= 6000

export CONTAINER_CLI REGISTRY PIP_INDEX_URL CHANGED PARAMETERS

# Each target of the matrix with its lock, such as sklearn-1.6:sklearn/server/requirements-1.6.txt.
LOCKS := $(shell $(PYTHON) tools/images.py targets)
ifeq ($(LOCKS),)
$(error $(PYTHON) tools/images.py failed: it needs Python 3.11 or later as PYTHON, and a sound images.toml)
endif

target_of = $(firstword $(subst :, ,$(1)))
lock_of = $(patsubst $(1):%,%,$(filter $(1):%,$(LOCKS)))
image_of = $(firstword $(subst /, ,$(call lock_of,$(1))))
TARGETS := $(foreach pair,$(LOCKS),$(call target_of,$(pair)))
IMAGES := $(foreach pair,$(filter %/requirements.txt,$(LOCKS)),$(call target_of,$(pair)))
CPU_TARGETS := $(foreach pair,$(filter-out %-gpu.txt,$(LOCKS)),$(call target_of,$(pair)))
VERSION_TARGETS := $(filter-out $(IMAGES),$(CPU_TARGETS))
# The oldest version of each image. To save time, `ci-test` tests no other older versions.
OLDEST_TARGETS := $(foreach image,$(IMAGES),$(firstword $(sort $(filter $(image)-%,$(VERSION_TARGETS)))))

# The only list of checks for a change, in order; .ci/run and the workflows run it with `make ci`.
# Images are next: .ci/run calls ci-images, and the workflows call ci-image-<target> in a matrix.
CI := setup check ci-test chaos
# The tests that `ci-test` runs with the oldest versions: those of loading, signatures and answers.
OF_VERSIONS := models or signature or versions or inputs or training or frames
# The tests of ci-image-<target>: of the Model if `ci-test` omits it, of the image if it needs no GPU.
image_tests = $(filter test-model-$(1),$(VERSION_TARGETS:%=test-model-%)) $(filter test-$(1),$(CPU_TARGETS:%=test-%))

# A build's labels about the sources, from git; empty without git. The time is that of the commit
# unless SOURCE_DATE_EPOCH is set; credentials are removed from the address of `origin`.
EPOCH = $(or $(SOURCE_DATE_EPOCH),$(shell git log -1 --format=%ct 2>/dev/null),0)
CREATED = $(shell $(PYTHON) -c "import time; print(time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime($(EPOCH))))")
REVISION = $(shell git describe --always --abbrev=40 --exclude='*' --dirty 2>/dev/null)
SOURCE = $(shell git remote get-url origin 2>/dev/null | \
	sed -nE 's,(\.git)?/?$$,,; s,^(https://([^@/]*@)?|(ssh://)?git@)([^:/]+)[:/](.+)$$,https://\4/\5,p')
# Evaluated once, and only if an image is built.
LABELS = $(eval LABELS := SOURCE=$$(SOURCE) REVISION=$$(REVISION) CREATED=$$(CREATED) SOURCE_DATE_EPOCH=$$(EPOCH))$(LABELS)

DEV := .envs/dev
UPSTREAM := .envs/upstream
CLIENTS := .envs/clients
MLSERVER := .envs/mlserver
ENVIRONMENT_TOOLS := $(addprefix tools/,environment.py seldon_wheel.py uv.py protoc.txt seldon_core.in)

VERBS := build test push run check test-model lock sbom reproducible ci-image
ALL := $(foreach verb,$(VERBS),$(TARGETS:%=$(verb)-%))
.PHONY: help setup test test-common test-server test-unit test-contract test-pages coverage test-versions test-oldest test-wheels test-clients check facts locks format lint types lock upgrade clean \
	matrix generate deploy base outdated base-image build-all test-all push-all build-cpu test-cpu ci ci-test ci-images bench bench-layers chaos \
	bench-overhead bench-start bench-drift image-report audit $(ALL)
.DELETE_ON_ERROR:

## help: List the commands
help:
	@sed -n 's/^## \([^:]*\): /\1\t/p' Makefile | awk -F'\t' '{ printf "  %-18s %s\n", $$1, $$2 }'
	@echo "A <target> is one of: $(TARGETS)"

## setup: Create the development environment and one for every image
setup: $(DEV)/.made $(UPSTREAM)/.made $(IMAGES:%=.envs/%/.made)

$(DEV)/.made: requirements-dev.txt common/pyproject.toml $(ENVIRONMENT_TOOLS)
	@$(PYTHON) tools/environment.py $(@D) $< common
	@touch $@

# The published seldon-core, with which tests/contract compares.
$(UPSTREAM)/.made: tests/contract/upstream.txt common/pyproject.toml $(ENVIRONMENT_TOOLS)
	@$(PYTHON) tools/environment.py $(@D) $< common
	@touch $@

# Clients of the Open Inference Protocol for tests/clients, and other servers for `bench` if
# BENCH_FLAGS names them.
$(CLIENTS)/.made: tests/clients/requirements.txt $(ENVIRONMENT_TOOLS)
	@$(PYTHON) tools/environment.py $(@D) $<
	@touch $@

# The published MLServer, for its codecs in tests/clients, and for `bench` if BENCH_FLAGS names it.
$(MLSERVER)/.made: bench/mlserver.txt $(ENVIRONMENT_TOOLS)
	@$(PYTHON) tools/environment.py $(@D) $<
	@touch $@

.SECONDEXPANSION:
$(TARGETS:%=.envs/%/.made): .envs/%/.made: $$(call lock_of,$$*) common/pyproject.toml $(ENVIRONMENT_TOOLS)
	@$(PYTHON) tools/environment.py $(@D) $< common
	@touch $@

## run-<target>: Serve MODEL_URI, or the image's example, on HTTP_PORT, GRPC_PORT and METRICS_PORT
$(TARGETS:%=run-%): run-%: .envs/%/.made
	@PREPACKAGED_HOST=$(HOST) PREDICTIVE_UNIT_HTTP_SERVICE_PORT=$(HTTP_PORT) \
		PREDICTIVE_UNIT_GRPC_SERVICE_PORT=$(GRPC_PORT) PREDICTIVE_UNIT_METRICS_SERVICE_PORT=$(METRICS_PORT) \
		$(PYTHON) tools/run.py $* "$(MODEL_URI)" "$$PARAMETERS"

## check-<target>: Load MODEL_URI as the server does, try it, and print a report
$(TARGETS:%=check-%): check-%: .envs/%/.made
	@uri="$$(realpath -- "$(MODEL_URI)")" && cd $(call image_of,$*)/server && \
		$(CURDIR)/.envs/$*/bin/check "$$uri"

## test: Run every test that needs no container engine
test: test-server $(IMAGES:%=test-model-%) test-common

## test-common: Test the tools, the shared package and the protocols; `check` tests the repository itself
test-common: test-server test-unit test-contract test-pages

# One target per directory, so that two can run at the same time; the slowest is first.
SUITES := server unit contract pages
## test-server: Test the microservice under faults, overload and shutdown
## test-unit: Test each part of the shared package and of the tools
## test-contract: Compare the microservice with seldon-core's own
## test-pages: Test the page with a browser
$(SUITES:%=test-%): test-%: $(DEV)/.made $(UPSTREAM)/.made
	@echo "-> testing $*"
	@$(DEV)/bin/python -m pytest tests/$*

## coverage: Measure which lines and branches of `common` the tests execute; fails below the limit
# Code that needs a framework is measured in sklearn's environment. There, pytest_in.py adds the
# development environment, whose coverage starts because of the variable COVERAGE_PROCESS_START.
coverage: $(DEV)/.made $(UPSTREAM)/.made .envs/sklearn/.made
	@rm -rf build/coverage && mkdir -p build/coverage
	@for suite in unit contract server pages; do $(DEV)/bin/coverage run -m pytest tests/$$suite || exit; done
	@COVERAGE_PROCESS_START=$(CURDIR)/pyproject.toml .envs/sklearn/bin/python tests/pytest_in.py $(DEV) tests/servers/sklearn
	@$(DEV)/bin/coverage combine --quiet && $(DEV)/bin/coverage report

## test-versions: Test the Models with the older versions of their frameworks
test-versions: $(VERSION_TARGETS:%=test-model-%)

## test-oldest: Test what depends on the framework's version with each image's oldest version
test-oldest: ONLY = $(OF_VERSIONS)
test-oldest: $(OLDEST_TARGETS:%=test-model-%)

## test-model-<target>: Test the image's Model in the environment of the target's lock
$(TARGETS:%=test-model-%): test-model-%: .envs/%/.made $(DEV)/.made
	@echo "-> testing $(call image_of,$*)/server in .envs/$*"
	@.envs/$*/bin/python tests/pytest_in.py $(DEV) tests/servers/$(call image_of,$*)$(if $(ONLY), -k "$(ONLY)")

## test-wheels: Serve trained models from published wheels, and compare with their frameworks
test-wheels: .envs/sklearn/.made .envs/pytorch/.made .envs/onnx/.made .envs/tensorflow2/.made $(DEV)/.made
	@set -e; for image in sklearn pytorch onnx tensorflow2; do \
		echo "-> testing published models in .envs/$$image"; \
		.envs/$$image/bin/python tests/pytest_in.py $(DEV) tests/wheels; \
	done

## test-clients: Call servers with the clients of Triton, KServe, MLServer and MLflow
test-clients: $(DEV)/.made $(CLIENTS)/.made $(MLSERVER)/.made $(IMAGES:%=.envs/%/.made)
	@echo "-> testing with published clients"
	@$(DEV)/bin/python -m pytest tests/clients

## bench: Compare this server's speed with upstream's and with lower bounds; takes minutes
bench: $(DEV)/.made $(IMAGES:%=.envs/%/.made) $(if $(filter mlserver,$(BENCH_FLAGS)),$(MLSERVER)/.made) \
	$(if $(filter kserve triton,$(BENCH_FLAGS)),$(CLIENTS)/.made)
	@$(DEV)/bin/python -m bench.run $(BENCH_FLAGS)

## bench-start: Compare the startup of servers with a script that only loads the model; takes minutes
bench-start: $(DEV)/.made $(IMAGES:%=.envs/%/.made)
	@$(DEV)/bin/python -m bench.start $(START_FLAGS)

## chaos: Attack a server, overload it and kill its workers; prints a verdict for each
chaos: $(DEV)/.made
	@$(DEV)/bin/python -m bench.chaos $(CHAOS_FLAGS)

## bench-overhead: Measure the time that each Model and the server add to the framework
bench-overhead: $(DEV)/.made $(IMAGES:%=.envs/%/.made)
	@$(DEV)/bin/python -m bench.overhead

## bench-drift: Measure the cost of the drift metrics; takes three minutes
bench-drift: .envs/sklearn/.made
	@.envs/sklearn/bin/python bench/drift.py

## bench-layers: Compare HTTP and gRPC layers without an application; takes a minute
bench-layers: $(DEV)/.made
	@$(DEV)/bin/python -m bench.layers

## check: Run `lint`, `types`, `locks` and `facts`, two at a time
check: $(DEV)/.made
	@$(MAKE) --no-print-directory --jobs 2 facts locks types lint

## facts: Test that lists, Dockerfiles and documents agree with the code
facts: $(DEV)/.made
	@$(DEV)/bin/python -m pytest -q tests/repo

## locks: Check that each lock is up to date
locks:
	@echo "-> checking the locks"
	@$(PYTHON) tools/lock.py --check

## lint: Check the format, and run the linters
lint: $(DEV)/.made
	@echo "-> checking format and lint"
	@$(DEV)/bin/ruff format --check
	@$(DEV)/bin/ruff check
	@$(DEV)/bin/hadolint $(IMAGES:%=%/Dockerfile)
	@PATH=$(CURDIR)/$(DEV)/bin:$$PATH $(DEV)/bin/actionlint
	@$(DEV)/bin/zizmor --offline --quiet --strict-collection .

## types: Check the type annotations
types: $(DEV)/.made
	@echo "-> checking types"
	@$(DEV)/bin/mypy
	@set -e; for image in $(IMAGES); do \
		(cd $$image/server && $(CURDIR)/$(DEV)/bin/mypy --config-file $(CURDIR)/pyproject.toml .); \
	done

## format: Format the code, and apply the linter's fixes
format: $(DEV)/.made
	@$(DEV)/bin/ruff format
	@$(DEV)/bin/ruff check --fix

## lock: Compile every requirements.txt, and keep its versions
lock:
	@echo "-> compiling the locks"
	@$(PYTHON) tools/lock.py

## lock-<target>: Compile only the target's requirements.txt
$(TARGETS:%=lock-%): lock-%:
	@$(PYTHON) tools/lock.py $*

## upgrade: Compile every requirements.txt with the newest versions
upgrade:
	@echo "-> compiling the locks with the newest versions"
	@$(PYTHON) tools/lock.py --upgrade

## build-<target>: Build the image with CONTAINER_CLI and give it its tags
$(TARGETS:%=build-%): build-%:
	@echo "-> building $*"
	@$(CONTAINER_CLI) build $(BUILD_FLAGS) --file $(call image_of,$*)/Dockerfile \
		$(addprefix --build-arg ,$(shell $(PYTHON) tools/images.py args $*)) \
		$(addprefix --build-arg ,$(LABELS)) \
		$(if $(BASE_IMAGE),--build-arg BASE_IMAGE=$(BASE_IMAGE)) \
		$(if $(findstring @,$(BASE_IMAGE)),--label org.opencontainers.image.base.digest=$(lastword $(subst @, ,$(BASE_IMAGE)))) \
		$(if $(PIP_INDEX_URL),--build-arg PIP_INDEX_URL=$(PIP_INDEX_URL)) \
		$(addprefix --build-arg PIP_FIND_LINKS=,$(filter http://% https://%,$(PIP_FIND_LINKS))) \
		$(addprefix --tag ,$(shell $(PYTHON) tools/images.py tags $*)) .

## test-<target>: Test the built image as running containers
$(TARGETS:%=test-%): test-%: $(DEV)/.made .envs/%/.made
	@echo "-> testing the image of $*"
	@$(DEV)/bin/python -m pytest tests/images --image $*

## push-<target>: Push all tags of the built image
$(TARGETS:%=push-%): push-%:
	@set -e; for tag in $(shell $(PYTHON) tools/images.py tags $*); do $(CONTAINER_CLI) push $$tag; done

## sbom-<target>: Write the built image's bill of materials (CycloneDX) to build/<target>.cdx.json
$(TARGETS:%=sbom-%): sbom-%: $(DEV)/.made
	@SOURCE_DATE_EPOCH=$(EPOCH) $(DEV)/bin/python tools/sbom.py $* build/$*.cdx.json

## reproducible-<target>: Build the image again without the cache, and compare both file by file
$(TARGETS:%=reproducible-%): reproducible-%:
	@REGISTRY=localhost/again $(MAKE) build-$* REGISTRY=localhost/again BUILD_FLAGS="$(BUILD_FLAGS) --no-cache"
	@mkdir -p build
	@$(call files_of,$(shell $(PYTHON) tools/images.py tags $*)) >build/$*.files
	@$(call files_of,$(shell REGISTRY=localhost/again $(PYTHON) tools/images.py tags $*)) >build/$*.again.files
	@diff build/$*.files build/$*.again.files
	@echo "all files below /opt/venv and /app are the same"

# Print path, mode, owner, link target and digest of each file in the image with these tags.
files_of = $(CONTAINER_CLI) run --rm --user 0 $(firstword $(1)) sh -ec 'LC_ALL=C; export LC_ALL; \
	find /opt/venv /app -printf "%p %M %U:%G %l\n" | sort; find /opt/venv /app -type f -exec sha256sum {} + | sort -k 2'

## image-report: Print the size of each built image, as a Markdown table
image-report:
	@printf '%s\n' '| image | size |' '| --- | --- |'
	@$(CONTAINER_CLI) image ls --filter label=io.infuseai.prepackaged.framework \
		--format '| {{.Repository}}:{{.Tag}} | {{.Size}} |'

## audit: Look up known vulnerabilities of the locked packages
# sed removes `+cpu` from versions, because advisories have public versions. With `--strict`, the
# command fails if advisories cannot be looked up.
audit: $(DEV)/.made
	@failed=; for lock in $(foreach pair,$(LOCKS),$(lastword $(subst :, ,$(pair)))) requirements-dev.txt tools/protoc.txt; do \
		echo "-> auditing $$lock"; \
		sed -n 's/^\([[:alnum:]._-]*==[^ ;+]*\).*/\1/p' "$$lock" | $(DEV)/bin/pip-audit --strict --disable-pip --no-deps \
			--progress-spinner off $(AUDIT_FLAGS) --requirement /dev/stdin || failed="$$failed $$lock"; \
	done; test -z "$$failed" || { echo "vulnerable, or not looked up:$$failed" >&2; exit 1; }

## build-all: Build every target
build-all: $(TARGETS:%=build-%)

## test-all: Test every built target
test-all: $(TARGETS:%=test-%)

## push-all: Push every target
push-all: $(TARGETS:%=push-%)

## build-cpu: Build every target that needs no GPU
build-cpu: $(CPU_TARGETS:%=build-%)

## test-cpu: Test every built target that needs no GPU
test-cpu: $(CPU_TARGETS:%=test-%)

## ci: Run every check that a change must pass before images are built
ci:
	@set -e; for step in $(CI); do \
		echo "=== $$step, at $$(date +%T)"; \
		$(MAKE) --no-print-directory $$step CHAOS_FLAGS=--quick; \
	done

## ci-test: Run every test that needs no container engine, two at a time
ci-test: $(DEV)/.made
	@$(MAKE) --no-print-directory --jobs 2 --output-sync=target test test-oldest

## ci-images: Build and test each image with its own version, one after the other
ci-images: $(IMAGES:%=ci-image-%)

## ci-image-<target>: Build the image, and run its tests that `ci` omits and that need no GPU
$(TARGETS:%=ci-image-%): ci-image-%:
	@$(MAKE) --no-print-directory --jobs 1 build-$* $(call image_tests,$*)

## matrix: Print the CI matrix as JSON, with all targets or those that the files in CHANGED affect
matrix:
	@$(PYTHON) tools/images.py matrix

## generate: Generate deploy/, the tables of the README, docs/settings.md and docs/reference.md
# With the default registry, which the tests of these files expect, even if the shell exports another.
generate: REGISTRY :=
generate: deploy $(DEV)/.made
	@$(DEV)/bin/python tools/pages.py

## deploy: Generate the Kubernetes files in deploy/ for the images of REGISTRY
deploy:
	@$(PYTHON) tools/deploy.py

## base: Print the base image with its current digest, for BASE_IMAGE; needs skopeo
base:
	@name="$$(sed -n 's/^ARG BASE_IMAGE=//p' skeleton/Dockerfile)" && \
		digest="$$(skopeo inspect --no-tags --format '{{.Digest}}' "docker://$$name")" && echo "$$name@$$digest"

## outdated: Print the CI matrix of the targets whose published image is not based on BASE_IMAGE
outdated:
	@outdated=; for target in $(TARGETS); do \
		tag="$$($(PYTHON) tools/images.py tags "$$target")"; \
		on="$$(skopeo inspect --no-tags --format '{{index .Labels "org.opencontainers.image.base.digest"}}' \
			"docker://$${tag%% *}")" || on="nothing"; \
		test "$$on" = "$(lastword $(subst @, ,$(BASE_IMAGE)))" || outdated="$$outdated $$target"; \
	done; $(PYTHON) tools/images.py matrix-of $$outdated

## base-image: Create a base image from Debian packages, for machines without access to a registry
base-image:
	@echo "-> making localhost/python:3.11-slim-bookworm from Debian packages"
	@mkdir -p build
	@mmdebstrap --variant=minbase --include=python3,ca-certificates bookworm build/base.tar $(DEBIAN_MIRROR)
	@$(CONTAINER_CLI) import build/base.tar localhost/python:3.11-slim-bookworm

## clean: Remove environments, caches and build outputs
clean:
	rm -rf .cache .envs build .hypothesis .mypy_cache .pytest_cache .ruff_cache
