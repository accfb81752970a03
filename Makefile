# make help lists what there is. Nothing here that `go` does already by itself.

GO_TOOL = go tool -modfile=tools/go.mod

.PHONY: help all test lint generate check-generate bench demo vuln

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "%-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

all: test lint check-generate ## what a change must pass

test: ## all tests with the race detector; set BELLWETHER_DATA for the real data
	go test -race ./...

lint: ## vet, staticcheck, formatting
	go vet ./...
	$(GO_TOOL) staticcheck ./...
	@test -z "$$(gofmt -l $$(git ls-files '*.go'))" || { gofmt -l $$(git ls-files '*.go'); exit 1; }

generate: ## generated code and tables, from the proto files and the feature list
	tools/generate.sh
	go generate ./...

check-generate: ## fail if generated files are stale
	tools/generate.sh --check

bench: ## every benchmark once, in Go benchmark format
	go test -run '^$$' -bench . -benchmem ./...

vuln: ## known vulnerabilities that our code reaches
	$(GO_TOOL) govulncheck ./...

demo: ## a synthetic world, trained and served
	go run ./cmd/bellwether demo
