package gateway

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"

	"bellwether/datasets/record"
	pb "bellwether/serving/gen/bellwether/v1"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"github.com/grpc-ecosystem/grpc-gateway/v2/utilities"
	"google.golang.org/genproto/googleapis/api/annotations"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"
)

// Two things that grpc-gateway lets pass without a word are refused here: a query
// parameter that the request does not have, and a body that says something else
// than its path.

// restCall is what a call takes beside its body.
type restCall struct {
	request protoreflect.MessageDescriptor
	query   []string          // parameters that may be given
	path    map[string]string // fields of the body that the path says too, and its names for them
}

// restCalls has every call of the service by method and path, read from its
// descriptor.
var restCalls = sync.OnceValue(func() map[string]*restCall {
	all := map[string]*restCall{}
	methods := pb.File_bellwether_v1_bellwether_proto.Services().ByName("Bellwether").Methods()
	for i := range methods.Len() {
		m := methods.Get(i)
		rule := proto.GetExtension(m.Options(), annotations.E_Http).(*annotations.HttpRule)
		verb := rule.ProtoReflect().WhichOneof(rule.ProtoReflect().Descriptor().Oneofs().ByName("pattern"))
		path := rule.ProtoReflect().Get(verb).String()
		all[strings.ToUpper(string(verb.Name()))+" "+path] = newRestCall(m.Input(), path, rule.Body)
	}
	return all
})

var pathVariable = regexp.MustCompile(`\{([^}]+)\}`)

func newRestCall(request protoreflect.MessageDescriptor, path, body string) *restCall {
	c := &restCall{request: request, path: map[string]string{}}
	elsewhere := []string{body}
	for _, v := range pathVariable.FindAllStringSubmatch(path, -1) {
		elsewhere = append(elsewhere, v[1])
		if inBody := strings.TrimPrefix(v[1], body+"."); body == "*" || body != "" && inBody != v[1] {
			c.path[inBody] = v[1]
		}
	}
	for i := range request.Fields().Len() {
		f := request.Fields().Get(i)
		if name := f.JSONName(); body != "*" && f.Message() == nil && !slices.Contains(elsewhere, name) {
			c.query = append(c.query, name)
		}
	}
	return c
}

// strict lets through what a call can understand whole.
func strict(next runtime.HandlerFunc) runtime.HandlerFunc {
	var call *restCall
	var found sync.Once // a handler has one method and one pattern, and is told it by its first request
	return func(w http.ResponseWriter, r *http.Request, params map[string]string) {
		found.Do(func() {
			pattern, _ := runtime.HTTPPattern(r.Context())
			call = restCalls()[r.Method+" "+strings.ReplaceAll(pattern.String(), "=*}", "}")]
		})
		err := call.checkQuery(r)
		if err == nil {
			err = call.checkBody(r, params)
		}
		if err != nil {
			writeProblem(w, err)
			return
		}
		next(w, r, params)
	}
}

// checkQuery refuses parameters that are none of the call's, or not of their type.
func (c *restCall) checkQuery(r *http.Request) error {
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return record.Errorf(record.Invalid, "", "the query cannot be read: %w", err)
	}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		given := values[name]
		if !slices.Contains(c.query, name) {
			return record.FieldErrorf(fmt.Sprintf("%.64s", name), "is not a parameter of this request, which takes %s", orNone(c.query))
		}
		if len(given) > 1 {
			return record.FieldErrorf(name, "is given %d times: once is wanted", len(given))
		}
		if runtime.PopulateQueryParameters(dynamicpb.NewMessage(c.request), url.Values{name: given}, utilities.NewDoubleArray(nil)) != nil {
			return record.FieldErrorf(name, "%.64q is not of the type %s", given[0], c.request.Fields().ByJSONName(name).Kind())
		}
	}
	return nil
}

func orNone(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}

// checkBody refuses a body that contradicts the path, which would have its way.
func (c *restCall) checkBody(r *http.Request, params map[string]string) error {
	if len(c.path) == 0 {
		return nil
	}
	b, err := io.ReadAll(r.Body)
	if err != nil {
		return record.Errorf(record.Invalid, "", "the body cannot be read: %w", err)
	}
	r.Body = io.NopCloser(bytes.NewReader(b))
	var said map[string]json.RawMessage
	if json.Unmarshal(b, &said) != nil {
		return nil // whoever makes the message of it says what is wrong
	}
	for field, name := range c.path {
		var value string
		if json.Unmarshal(said[field], &value) == nil && value != "" && value != params[name] {
			return record.FieldErrorf(field, "%.64q is not what the path says, %.64q: leave it out, or say the same", value, params[name])
		}
	}
	return nil
}
