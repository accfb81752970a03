#!/usr/bin/env bash
# Writes serving/gen from serving/proto. With --check: writes nothing and fails
# if serving/gen is not what would be written.
# google/api/*.proto come from a module's source at generation time, so that no
# copy of them lives here.
set -euo pipefail
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
apis=$(cd tools && go mod download -json github.com/grpc-ecosystem/grpc-gateway@v1.16.0 | sed -n 's/^\t"Dir": "\(.*\)",$/\1/p')/third_party/googleapis
mkdir -p "$work/serving" "$work/third_party" "$work/bin"
cp -r serving/proto "$work/serving/proto"
cp -r "$apis" "$work/third_party/googleapis"
chmod -R u+w "$work"
sed 's|^modules:|modules:\n  - path: third_party/googleapis\n    lint:\n      ignore: [third_party/googleapis]|' buf.yaml > "$work/buf.yaml"
cp buf.gen.yaml "$work/"
for tool in github.com/bufbuild/buf/cmd/buf google.golang.org/protobuf/cmd/protoc-gen-go google.golang.org/grpc/cmd/protoc-gen-go-grpc \
    github.com/grpc-ecosystem/grpc-gateway/v2/protoc-gen-grpc-gateway github.com/grpc-ecosystem/grpc-gateway/v2/protoc-gen-openapiv3; do
  go build -modfile=tools/go.mod -o "$work/bin/" "$tool"
done
(cd "$work" && PATH="$work/bin:$PATH" buf lint serving/proto && PATH="$work/bin:$PATH" buf generate serving/proto)
gofmt -w "$work/serving/gen"
mv "$work/serving/gen/bellwether/v1/bellwether.openapi.json" "$work/openapi.json"
if [ "${1-}" = --check ]; then
  diff -r "$work/serving/gen" serving/gen && diff "$work/openapi.json" serving/gateway/openapi.json || { echo "serving/gen is stale: run 'make generate'" >&2; exit 1; }
  exit 0
fi
rm -rf serving/gen
cp -r "$work/serving/gen" serving/gen
cp "$work/openapi.json" serving/gateway/openapi.json
