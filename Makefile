# Portico's tasks. `make` lists them. What a task needs and this machine lacks is installed first:
# Debian packages (as root, else the command to run is printed), the rest below target/tools.

SHELL := /bin/bash
INSTALL := bench/tools/install.sh
# Tests wait for sockets and clocks more than for processors.
TEST_THREADS ?= 8
# How long `make fuzz` runs each target and `make simulate` looks for a failing seed.
SECONDS_EACH ?= 600

# Of containers; docker does as well.
ENGINE ?= $(if $(shell command -v podman),podman,docker)
# HEALTHCHECK has no place in podman's own format, and BUILDPLATFORM is Docker's to set.
OF_PODMAN = --format docker \
	--build-arg BUILDPLATFORM=linux/$(subst x86_64,amd64,$(subst aarch64,arm64,$(shell uname -m)))

.DEFAULT_GOAL := help
.PHONY: help demo test lint bench bench-guard micro fuzz api-fuzz simulate tools build ebpf ebpf-check watch \
	charts image image-test cluster-test sbom deb

help: ## This list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 20

demo: ## Build, and run a sample session behind Portico on this machine
	@$(INSTALL) build
	cargo build --release --bin portico
	@exec target/release/portico demo

test: tools lint ## Everything that must pass: lint, unit tests, the real binary, real tools
	RUST_TEST_THREADS=$(TEST_THREADS) cargo test --workspace --no-fail-fast

lint: ## Format, clippy, the style guide as a test, what dependencies may bring in (deny.toml)
	@$(INSTALL) lint deny
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	cargo test -q -p portico-bench --test tidy
	PATH="$(CURDIR)/target/tools/cargo-deny/bin:$$PATH" cargo deny check bans licenses sources

charts: ## Try the Helm chart and the Kubernetes manifests: the real helm, schemas, real settings
	@$(INSTALL) build helm
	cargo build --bin portico
	@deploy/tests/values.py --check
	@deploy/tests/charts.sh

tools: ## Install what the tests need: Redis, JupyterLab, code-server, OpenID provider, Chromium
	@$(INSTALL) build lint deny redis jupyter code-server oidc-provider chromium

bench: ## Compare with HAProxy, nginx, Envoy and CHP on this machine; writes bench/RESULTS.md
	@$(INSTALL) build opponents redis
	cargo build --release --bin portico
	cargo build --release -p portico-bench
	target/release/portico-bench compare
	target/release/portico-bench routable --output bench
	target/release/portico-bench accounting --seconds 1.4 --output bench

micro: ## What is measured in nanoseconds and bytes: criterion, and the weight of a million routes
	@$(INSTALL) build
	cd bench/micro && cargo bench && cargo run --release

bench-guard: ## Count the hot path's instructions, and fail where one grew (ACCEPT='why' puts it on record)
	@$(INSTALL) build valgrind
	cd bench/micro && cargo run --quiet --release --bin portico-guard $(if $(ACCEPT),-- --accept "$(ACCEPT)")

fuzz: ## Fuzz heads and bodies (needs a nightly toolchain and cargo-fuzz)
	@$(INSTALL) fuzz
	@set -e; cd core && for target in $$(cargo +nightly fuzz list); do \
		cargo +nightly fuzz run $$target -- -max_total_time=$(SECONDS_EACH); \
	done

api-fuzz: ## Fuzz the /v1 API against its OpenAPI document for SECONDS_EACH (here 120)
	@$(INSTALL) build schemathesis
	cargo build --bin portico
	@SECONDS_EACH=$(if $(filter file,$(origin SECONDS_EACH)),120,$(SECONDS_EACH)) \
		bench/tools/api-fuzz.sh

watch: ## Rules and dashboard (deploy/) by promtool, and against a real Prometheus and a real load
	@$(INSTALL) build redis prometheus
	cargo build --bin portico
	cargo build -p portico-bench
	@deploy/tests/watching.sh

simulate: ## Drive the connection logic with random seeds; a failure prints its seed
	PORTICO_SIMULATE_SECONDS=$(SECONDS_EACH) \
		cargo test --release -p portico-core --test simulator -- --nocapture

build: ## The release binary
	@$(INSTALL) build
	cargo build --release --bin portico

ebpf: ## Rebuild the kernel programs' committed object, ebpf/portico.bpf.o
	@$(INSTALL) ebpf
	bench/tools/ebpf.sh build

ebpf-check: ## Build the kernel programs elsewhere and compare with the committed object
	@$(INSTALL) ebpf
	bench/tools/ebpf.sh check

image: ## The container image, by podman or docker; IMAGE_ARGS go to its build
	$(ENGINE) build $(if $(findstring podman,$(ENGINE)),$(OF_PODMAN)) -f deploy/Containerfile -t portico \
		--build-arg REVISION=$$(git rev-parse HEAD) $(IMAGE_ARGS) .

image-test: ## Run both Compose files with the image `portico` and work in their sample session
	deploy/tests/compose.sh

cluster-test: ## The chart and the manifests in a real cluster, by the program KUBE_SH, with the image `portico`
	deploy/tests/cluster.sh

sbom: ## What is in the binary, as CycloneDX: target/portico.cdx.json
	@$(INSTALL) build sbom
	PATH="$(CURDIR)/target/tools/cargo-cyclonedx/bin:$$PATH" deploy/tests/sbom.sh

deb: build ## The Debian package, below target/debian
	@$(INSTALL) deb
	PATH="$(CURDIR)/target/tools/cargo-deb/bin:$$PATH" cargo deb --no-build --strip --compress-system
