package gateway

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"html/template"
	"net/http"
	"slices"
	"strings"
	"sync"
)

// generated is the OpenAPI 3.1 document that tools/generate.sh makes of the
// proto files.
//
//go:embed openapi.json
var generated []byte

//go:embed docs.html
var docsTemplate string

// document is the part of OpenAPI we read and complete.
type document = map[string]any

// openAPI returns the document as served: the generated one, with what the
// proto files cannot say (keys, headers, problems).
var openAPI = sync.OnceValue(func() document {
	var doc document
	if err := json.Unmarshal(generated, &doc); err != nil {
		panic("openapi.json is not JSON: " + err.Error()) // embedded: a build fault
	}
	doc["info"] = document{"title": "Bellwether", "version": "1.0.0",
		"description": "Routes leads to partners, takes outcomes, reports partner health. Send an API key as 'Authorization: Bearer KEY' or in X-Api-Key. 64-bit integers are strings, times RFC 3339, money integer minor units."}
	components := doc["components"].(document)
	components["securitySchemes"] = document{"key": document{"type": "http", "scheme": "bearer"}}
	components["schemas"].(document)["Problem"] = document{
		"type": "object", "description": "What went wrong, as RFC 9457 has it.",
		"properties": document{
			"type": document{"type": "string"}, "title": document{"type": "string"}, "status": document{"type": "integer"},
			"detail": document{"type": "string", "description": "What is wrong and what to do."},
			"kind":   document{"type": "string", "description": "invalid, not_found, conflict, precondition, exhausted, unavailable, unauthorized, forbidden, refused, incompatible, method_not_allowed, deadline_exceeded, canceled or internal."},
			"field":  document{"type": "string", "description": "Path of the field at fault from the top of the body, as in events[3].amount.currency; or the name of the parameter or header."},
		},
	}
	doc["security"] = []any{document{"key": []any{}}}
	for _, item := range doc["paths"].(document) {
		for _, op := range item.(document) {
			complete(op.(document))
		}
	}
	return doc
})

func complete(op document) {
	op["responses"].(document)["default"] = document{"description": "A problem.", "content": document{
		"application/problem+json": document{"schema": document{"$ref": "#/components/schemas/Problem"}}}}
	name, description := "", ""
	switch op["operationId"] {
	case "Bellwether_Route":
		name, description = "Idempotency-Key", "A repeat with the same key and body gets the same decision."
	case "Bellwether_PutPartner":
		name, description = "If-Match", "The ETag of the version to replace."
	default:
		return
	}
	parameters, _ := op["parameters"].([]any)
	op["parameters"] = append(parameters, document{"name": name, "in": "header", "description": description, "schema": document{"type": "string"}})
}

func serveOpenAPI(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	enc := json.NewEncoder(w)
	enc.SetIndent("", " ")
	_ = enc.Encode(openAPI()) // the caller may be gone
}

// operation and field are what the readable page shows of the document.
type operation struct {
	Method, Path, ID, Summary string
	Parameters, Body, Answer  []field
}

type field struct{ Name, Type, Meaning string }

type schemaPage struct {
	Name, Meaning string
	Fields        []field
}

var docsPage = sync.OnceValue(func() []byte {
	doc := openAPI()
	var page struct {
		Operations []operation
		Schemas    []schemaPage
	}
	for path, item := range doc["paths"].(document) {
		for method, op := range item.(document) {
			page.Operations = append(page.Operations, readOperation(strings.ToUpper(method), path, op.(document)))
		}
	}
	slices.SortFunc(page.Operations, func(a, b operation) int { return strings.Compare(a.Path+a.Method, b.Path+b.Method) })
	for name, schema := range doc["components"].(document)["schemas"].(document) {
		s := schema.(document)
		page.Schemas = append(page.Schemas, schemaPage{Name: shortName(name), Meaning: text(s["description"]), Fields: fieldsOf(s)})
	}
	slices.SortFunc(page.Schemas, func(a, b schemaPage) int { return strings.Compare(a.Name, b.Name) })
	var buf bytes.Buffer
	if err := template.Must(template.New("docs").Parse(docsTemplate)).Execute(&buf, page); err != nil {
		panic(err) // embedded template over embedded data: a build fault
	}
	return buf.Bytes()
})

func readOperation(method, path string, op document) operation {
	o := operation{Method: method, Path: path, ID: text(op["operationId"]), Summary: text(op["summary"])}
	list, _ := op["parameters"].([]any)
	for _, p := range list {
		p := p.(document)
		o.Parameters = append(o.Parameters, field{text(p["name"]), text(p["in"]), text(p["description"])})
	}
	o.Body = contentFields(op["requestBody"])
	o.Answer = contentFields(op["responses"].(document)["200"])
	return o
}

func contentFields(holder any) []field {
	h, _ := holder.(document)
	content, _ := h["content"].(document)
	media, _ := content["application/json"].(document)
	schema, _ := media["schema"].(document)
	if ref := text(schema["$ref"]); ref != "" {
		return []field{{Name: "", Type: shortName(ref)}}
	}
	return fieldsOf(schema)
}

func fieldsOf(schema document) []field {
	properties, _ := schema["properties"].(document)
	var fields []field
	for name, p := range properties {
		p := p.(document)
		fields = append(fields, field{name, typeOf(p), text(p["description"])})
	}
	slices.SortFunc(fields, func(a, b field) int { return strings.Compare(a.Name, b.Name) })
	return fields
}

func typeOf(p document) string {
	if ref := text(p["$ref"]); ref != "" {
		return shortName(ref)
	}
	switch text(p["type"]) {
	case "array":
		items, _ := p["items"].(document)
		return "list of " + typeOf(items)
	case "object":
		values, _ := p["additionalProperties"].(document)
		return "map of " + typeOf(values)
	case "":
		return "any"
	}
	if f := text(p["format"]); f != "" {
		return text(p["type"]) + " (" + f + ")"
	}
	return text(p["type"])
}

func text(v any) string { s, _ := v.(string); return s }

func shortName(ref string) string {
	return ref[strings.LastIndexAny(ref, "/.")+1:]
}

func serveDocs(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")
	_, _ = w.Write(docsPage()) // the caller may be gone
}
