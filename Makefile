# ExecutionBackup. `make` alone lists what there is.

SHELL   := /bin/sh
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
LDFLAGS := -s -w -X main.version=$(VERSION)
# The race detector needs a C compiler. Where there is none the tests run without it, and say so.
RACE    := $(shell command -v gcc >/dev/null 2>&1 || command -v clang >/dev/null 2>&1 && echo -race)

.PHONY: help demo test race-note lint rules build cross e2e-clients e2e-short e2e e2e-beaconkit soak fuzz bench bench-micro bench-keep extras package image-root notices clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## three real geth nodes, ExecutionBackup before them, and a block every two seconds
	@echo 'go run ./cmd/devnet $(ARGS)    (compiles for some minutes the first time)'
	@go run ./cmd/devnet $(ARGS)

# How many random streams of calls are compared with what one honest client says.
STREAMS ?= 2000

# One package at a time: some tests watch the clock while they talk to real nodes, and others take the whole machine.
test: race-note ## the tests that take a few minutes
	go build $(RACE) ./...
	go test $(RACE) -p 1 ./...
	go test -run 'TestFleets|TestIncidents$$' ./internal/verdict
	go test -run 'TestIndifference|TestOneOfThree|TestNothingIsLeft' ./internal/calls -rapid.checks=$(STREAMS)

race-note:
	@test -n "$(RACE)" || echo "no C compiler: testing without the race detector"

lint: ## gofmt, go vet, staticcheck, the length of lines, the levels of packages
	@unformatted=$$(gofmt -l bench cmd internal e2e release); test -z "$$unformatted" || { echo "gofmt -w $$unformatted"; exit 1; }
	go vet -tags e2e,release ./...
	go tool staticcheck -tags e2e,release ./...
	go test ./internal

rules: ## unit tests of the alerts, with promtool (in Debian: apt-get install prometheus)
	@if command -v promtool >/dev/null; then \
		promtool check rules deploy/prometheus/rules.yml && promtool test rules deploy/prometheus/rules_test.yml; \
	elif test "$$CI" = true; then echo "no promtool: the alerts can't be tested"; exit 1; \
	else echo "no promtool: the alerts are not tested"; fi

build: ## bin/executionbackup for this machine
	CGO_ENABLED=0 go build -trimpath -ldflags '$(LDFLAGS)' -o bin/ ./cmd/executionbackup

cross: ## binaries for every platform, into dist/
	@for os in linux darwin windows; do for arch in amd64 arm64; do \
		echo "$$os/$$arch"; ext=; test $$os = windows && ext=.exe; \
		CGO_ENABLED=0 GOOS=$$os GOARCH=$$arch go build -trimpath -ldflags '$(LDFLAGS)' \
			-o dist/executionbackup-$$os-$$arch$$ext ./cmd/executionbackup || exit 1; \
	done; done

e2e-clients: ## install the real clients of the end-to-end tests (about 15 minutes, once)
	e2e/clients/install.sh geth prysm ethereumjs lodestar

e2e-short: e2e-clients ## the tests with processes of their own, and a few scenarios with real clients (10 minutes)
	go test -tags e2e -count 1 -parallel 8 -timeout 8m -v -short ./e2e
	go test -tags e2e -count 1 -timeout 8m -short ./e2e/hostile
	go test -tags e2e -count 1 ./e2e/soak # its rules alone
	@mkdir -p dist
	go test -tags e2e -count 1 -timeout 8m -v -short ./e2e/live -report $(CURDIR)/dist/e2e-short

e2e: e2e-clients ## every scenario with real clients, and the same faults without us; writes docs/e2e-report.md (an hour or two)
	e2e/clients/install.sh erigon
	go test -tags e2e -count 1 -timeout 10m -v ./e2e
	go test -tags e2e -count 1 -timeout 10m ./e2e/hostile
	go test -tags e2e -count 1 -timeout 6h -v ./e2e/live -report $(CURDIR)/docs/e2e-report

e2e-beaconkit: ## Berachain's consensus client, with geth and with its own (builds for 5 to 30 minutes, once; then 3)
	e2e/clients/install.sh geth beaconkit
	go test -tags e2e -count 1 -timeout 10m -v ./e2e/beaconkit

SEED     ?= 1
DURATION ?= 2h
soak: ## a fault every minute for DURATION (2h), drawn by SEED (1), RACE=1 with the race detector; writes dist/soak.md
	e2e/clients/install.sh geth
	@mkdir -p dist
	go test -tags e2e -count 1 -timeout 0 -v ./e2e/soak -run TestSoak -seed $(SEED) -duration $(DURATION) \
		-race-build=$(if $(filter 1,$(RACE)),true,false) -report $(CURDIR)/dist/soak.md

FUZZTIME ?= 10s
fuzz: ## every fuzz target for FUZZTIME (10s; or so many inputs: 3000x)
	@for package in $$(go list ./...); do \
		for target in $$(go test -list '^Fuzz' $$package | grep '^Fuzz'); do \
			echo "$$package $$target"; \
			go test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 100x $$package || exit 1; \
		done; \
	done

bench: build ## what we cost beside the calls: a table on standard output, and bench/result.json
	go run ./bench -out bench/result.json $(ARGS)

MICRO := ParseRequest|Scanner|Decide|Bearer|Verify|MergeBlobs|Check
bench-micro: ## the micro-benchmarks, and how they differ from the last kept result
	@mkdir -p bin
	go test -run '^$$' -bench '$(MICRO)' -benchmem -benchtime 100ms -count 6 $(addprefix ./internal/,jsonrpc rawjson quorum auth lists blockhash) | grep -E '^(goos|goarch|pkg|cpu|Benchmark)' | tee bin/micro.txt
	go tool benchstat $(wildcard bench/micro.txt) bin/micro.txt

bench-keep: ## keep the last result of bench-micro
	cp bin/micro.txt bench/micro.txt

extras: build ## the manual page and shell completions, into bin/extras
	mkdir -p bin/extras
	bin/executionbackup man | gzip -9n > bin/extras/executionbackup.1.gz
	bin/executionbackup completion bash > bin/extras/executionbackup.bash
	bin/executionbackup completion zsh > bin/extras/_executionbackup
	bin/executionbackup completion fish > bin/extras/executionbackup.fish
	bin/executionbackup completion pwsh > bin/extras/executionbackup.ps1

TOOLS := github.com/goreleaser/goreleaser/v2 github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod
package: ## archives, packages, SBOMs and checksums into dist/; installed, run and looked at
	mkdir -p bin/tools
	go build -C release/tools -o $(CURDIR)/bin/tools/ $(TOOLS)
	PATH="$(CURDIR)/bin/tools:$$PATH" goreleaser release --snapshot --clean
	go test -C release/recipes -count=1 -timeout 20m ./... # the first time it builds helm
	go test -tags release -count 1 -timeout 15m ./release

DESTDIR ?= dist/image
image-root: ## what the container image has, under DESTDIR
	mkdir -p $(DESTDIR)/usr/bin $(DESTDIR)/etc/ssl/certs $(DESTDIR)/usr/share/doc/executionbackup $(DESTDIR)/var/lib/executionbackup/evidence
	CGO_ENABLED=0 go build -trimpath -ldflags '$(LDFLAGS)' -o $(DESTDIR)/usr/bin/ ./cmd/executionbackup
	cp /etc/ssl/certs/ca-certificates.crt $(DESTDIR)/etc/ssl/certs/
	cp LICENSE THIRD_PARTY_NOTICES $(DESTDIR)/usr/share/doc/executionbackup/

notices: ## THIRD_PARTY_NOTICES, from what is linked into the binary
	go run ./release/notices > $@.tmp && mv $@.tmp THIRD_PARTY_NOTICES

clean: ## remove what was built
	rm -rf bin dist
