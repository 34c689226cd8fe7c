# oci-proxy: everything a person or CI runs. `make` alone lists it.
#
# `make demo` needs nothing but Go. The tests and the linter need the pinned parts of scripts/parts.txt, which the
# targets install themselves into .bin/ (and with apt-get, where root runs them).

PARTS ?= $(CURDIR)/.bin
export OCIPROXY_PARTS = $(PARTS)

# Arguments: make demo DEMO_FLAGS=--once; make fuzz FUZZTIME=5m FUZZ=FuzzHead; make test TEST_FLAGS=-v
DEMO_FLAGS ?=
TEST_FLAGS ?=
FUZZTIME ?= 20s
FUZZ ?=
FLAKY ?=

GO ?= go
# Without it Google's storage client links its gRPC side, which nothing here calls (docs/dependencies.md).
TAGS := disable_grpc_modules
# 12 digits: how many git prints by itself depends on the clone, and the version is in the binary.
VERSION ?= $(shell git describe --tags --always --abbrev=12 --dirty 2>/dev/null)
COMMIT ?= $(shell git rev-parse HEAD 2>/dev/null)
COMMIT_TIME ?= $(shell TZ=UTC git log -1 --date=format-local:%Y-%m-%dT%H:%M:%SZ --format=%cd 2>/dev/null)
LDFLAGS := -s -w -X main.version=$(VERSION) -X ociproxy/internal/cli.commit=$(COMMIT) -X ociproxy/internal/cli.commitTime=$(COMMIT_TIME)
PROGRAMS := oci-proxy oci-proxyctl oci-proxy-demo oci-doctor
# Where `make build` and `make manual` write.
OUT ?= .
MANUAL ?= out

.DEFAULT_GOAL := help
.PHONY: help build image manual release release-snapshot demo parts lint test test-unit test-parts test-all test-slow test-kube test-infra test-exhaustive flaky fuzz docs manifests
.PHONY: bench bench-attacks bench-flood bench-inventory bench-memory bench-start bench-serve bench-decide bench-lookup bench-routing bench-mirror bench-promote bench-report bench-plan

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# Static, and the same bytes wherever the same Go builds the same commit (TestReproducible). .goreleaser.yaml has these flags too.
build: ## build the programs into ./oci-proxy, ./oci-proxyctl, ./oci-proxy-demo and ./oci-doctor (OUT=DIR: into DIR)
	CGO_ENABLED=0 $(GO) build -tags $(TAGS) -trimpath -buildvcs=false -ldflags '$(LDFLAGS)' -o $(OUT)/ $(PROGRAMS:%=./cmd/%)

manual: ## write the manual pages and shell completions into out/ (MANUAL=DIR: into DIR)
	rm -rf $(PROGRAMS:%=$(MANUAL)/%)
	for program in $(PROGRAMS); do \
		SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct) CGO_ENABLED=0 $(GO) run -tags $(TAGS),manual -trimpath -ldflags '$(LDFLAGS)' \
			./cmd/$$program $(MANUAL)/$$program || exit 1; \
	done

release-snapshot: ## a whole release into dist/, without publishing: archives, packages, SBOM, signatures, provenance
	scripts/parts.sh release
	scripts/release.sh snapshot

release: ## the release of this commit's tag, as a draft on the site that hosts the repository
	scripts/parts.sh release
	scripts/release.sh publish

# Images without a daemon (scripts/image): OCI layouts in dist/image/, or pushed to IMAGE=registry/oci-proxy:tag with the
# credentials of Docker's configuration. The server's image gets the feeds of SEED, which oci-proxyctl fetches unless it is given.
DIST ?= dist
PLATFORMS ?= linux/amd64 linux/arm64
SEED ?=
IMAGE ?=
IMAGE_FLAGS ?=

image: ## the images of the programs (IMAGE=registry/oci-proxy:tag: push them; SEED=DIR|none; PROGRAMS=…; IMAGE_FLAGS=-dry-run)
ifneq (,$(and $(filter oci-proxy,$(PROGRAMS)),$(if $(SEED),,fetch)))
	$(GO) run -tags $(TAGS) ./cmd/oci-proxyctl ranges fetch --config '' $(DIST)/seed || \
		{ echo 'image: hint: SEED=DIR takes feeds that were fetched before, SEED=none makes an image without' >&2; exit 1; }
endif
	for platform in $(PLATFORMS); do \
		GOOS=$${platform%/*} GOARCH=$${platform#*/} $(MAKE) --no-print-directory build OUT=$(DIST)/binaries/$$platform || exit 1; \
	done
	$(GO) run -tags $(TAGS) ./scripts/image -programs '$(PROGRAMS)' -platforms '$(PLATFORMS)' -binaries $(DIST)/binaries \
		-seed '$(or $(SEED),$(DIST)/seed)' -version '$(VERSION)' -revision '$(COMMIT)' -created '$(COMMIT_TIME)' \
		-image '$(IMAGE)' -out $(DIST)/image $(IMAGE_FLAGS)

demo: ## a whole world on loopback, to try things on (DEMO_FLAGS=--once: pull as seven clients, then stop)
	$(GO) run ./cmd/oci-proxy-demo $(DEMO_FLAGS)

parts: ## install every pinned part into .bin/ (the targets below install what they need)
	scripts/parts.sh unit lint test slow kube infra bench release

lint: ## gofmt, go vet, golangci-lint, go mod tidy, lengths, shell scripts, workflows
	scripts/parts.sh lint
	scripts/lint.sh

# Whatever fails, the rest is run too; the end says what it was. SUITE is `go test -race` in both modules (scripts/suite/suites.go).
SUITE = $(GO) run ./scripts/suite test -flags '$(TEST_FLAGS)'

test: ## all tests but the slow ones, with the race detector
	scripts/parts.sh unit test
	$(SUITE) unit parts

test-unit: ## only the tests beside the code
	scripts/parts.sh unit
	$(SUITE) unit

test-parts: ## only the tests with real servers and clients (test/)
	scripts/parts.sh unit test
	$(SUITE) parts

test-all: ## every test
	scripts/parts.sh unit test slow infra
	$(SUITE) unit parts slow infra

test-slow: ## only the slow tests with real parts: containerd 2, regctl, signed images, emulators of Google's and Azure's stores
	scripts/parts.sh unit test slow
	$(SUITE) slow

test-kube: ## the Helm chart on a real Kubernetes API server, which takes some five minutes to build
	scripts/parts.sh unit test slow kube
	$(SUITE) kube

test-infra: ## the modules of deploy/terraform: OpenTofu, conftest, stubs of the providers, dangerous edits
	scripts/parts.sh infra
	$(SUITE) infra

test-exhaustive: ## every case of the longest tables, the largest object, a whole release (an hour or more)
	scripts/parts.sh unit test slow infra release
	$(SUITE) exhaustive

flaky: ## find tests that fail by chance: hours (FLAKY="--runs 20 ./internal/ledger": some of it; scripts/flaky.sh --help)
	scripts/flaky.sh $(FLAKY)

fuzz: ## run each fuzz target for FUZZTIME beyond its seeds (FUZZ=name or package: only that)
	$(GO) run ./scripts/suite fuzz -time $(FUZZTIME) $(FUZZ)

docs: ## write the generated pages again: docs/config.md and its schema
	$(GO) generate ./internal/config

manifests: ## write what is made from the chart: its schema, deploy/kustomize/base, the expected output of its tests
	scripts/parts.sh test
	cd test && $(GO) test ./chart -run 'TestAlertsAreTheShippedOnes|TestDashboardsAreTheShippedOnes|TestSchemaHasTheConfig|TestGoldens|TestBase$$' -update

bench: bench-routing bench-decide bench-lookup bench-inventory bench-memory bench-start bench-serve bench-promote ## every benchmark; lines of `name value unit`, JSON in bench/out/

bench-serve: ## the server against a bare handler, a naive one and nginx, one core each for server and load
	scripts/parts.sh bench
	$(GO) run ./bench/serve

bench-decide: ## the decision and its snapshot
	$(GO) run ./bench/decide

bench-lookup: ## the table of all real feeds
	$(GO) run ./bench/lookup

bench-inventory: ## the union table: bytes a digest, look-up, build
	$(GO) run ./bench/inventory

bench-memory: ## a whole process with 1 M digests in 33 stores: at rest and at the peak of a refresh
	$(GO) run ./bench/memory

bench-start: ## start to first answer; death of a store to the last redirect there
	$(GO) run ./bench/start

bench-attacks: ## hostile clients and upstreams: memory, goroutines, outbound requests, whether honest clients are served
	$(GO) run ./bench/attacks

bench-flood: ## 5 M made-up digests: memory, goroutines, outbound requests, honest clients' waiting (some minutes)
	scripts/parts.sh bench
	$(GO) run ./bench/flood

bench-mirror: ## 2 GiB from a registry into three stores, a second pass, memory; a million blobs against 30 inventories (some minutes)
	scripts/parts.sh test
	$(GO) run ./bench/mirror
	$(GO) run ./bench/ledger

bench-routing: ## how far the choice is from the best, on measured round trips
	$(GO) run ./bench/routing

bench-report: ## the logs of stores: lines and bytes for a second of CPU time, beside zcat | wc -l
	$(GO) run ./bench/report

bench-promote: ## check and plan of 1 M and 10 M promotions against listings in memory
	$(GO) run ./bench/promote

bench-plan: ## the best set of regions: 40 and 200 candidates, with the proof, against cbc (some minutes)
	scripts/parts.sh bench
	$(GO) run ./bench/plan
