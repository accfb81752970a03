package gateway

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"bellwether/datasets/record"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
	"golang.org/x/time/rate"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
)

// guard is what both edges pass: who is calling, may they, how often, how long,
// and the count, trace and log line of each call.
type guard struct {
	keys    *Keys // nil: everybody may do everything (loopback only)
	limits  Limits
	metrics *metrics
	tracer  trace.Tracer
	log     *slog.Logger
	now     func() time.Time

	mu    sync.Mutex // guards rates
	rates map[string]*rate.Limiter
}

func newGuard(c *Config, m *metrics) *guard {
	return &guard{limits: c.Limits, metrics: m, tracer: c.Tracer.Tracer("bellwether"), log: c.Log, now: c.Now, rates: map[string]*rate.Limiter{}}
}

// anyone is the caller of a server without keys.
var anyone = &Key{ID: "anyone", Scopes: Scopes}

type callerKey struct{}

func callerOf(ctx context.Context) *Key {
	if k, ok := ctx.Value(callerKey{}).(*Key); ok {
		return k
	}
	return &Key{}
}

// admit finds out who is calling from an Authorization or X-Api-Key value and
// holds them to their rate.
func (g *guard) admit(ctx context.Context, authorization, apiKey string) (context.Context, error) {
	key := anyone
	if g.keys != nil {
		token := apiKey
		if scheme, rest, ok := strings.Cut(authorization, " "); ok && strings.EqualFold(scheme, "bearer") {
			token = rest
		}
		if token == "" {
			return ctx, record.Errorf(record.Unauthorized, "", "an API key is needed: send 'Authorization: Bearer KEY'")
		}
		var err error
		if key, err = g.keys.Check(strings.TrimSpace(token)); err != nil {
			return ctx, err
		}
	}
	if !g.limiter(key.ID).Allow() {
		return ctx, record.Errorf(record.Exhausted, "", "key %s calls more than %g times a second: slow down", key.ID, g.limits.PerSecond)
	}
	return context.WithValue(ctx, callerKey{}, key), nil
}

// limiter returns the rate of one key; revoked keys are few, so none is dropped.
func (g *guard) limiter(id string) *rate.Limiter {
	g.mu.Lock()
	defer g.mu.Unlock()
	l := g.rates[id]
	if l == nil {
		limit := rate.Inf
		if g.limits.PerSecond > 0 {
			limit = rate.Limit(g.limits.PerSecond)
		}
		l = rate.NewLimiter(limit, max(1, int(g.limits.PerSecond)))
		g.rates[id] = l
	}
	return l
}

func (g *guard) may(ctx context.Context, scope string) error {
	if caller := callerOf(ctx); !caller.May(scope) {
		return record.Errorf(record.Forbidden, "", "key %s has no scope %q", caller.ID, scope)
	}
	return nil
}

// call runs one method of the service for either edge.
func call[T any](ctx context.Context, g *guard, method, scope string, do func(context.Context) (T, error)) (T, error) {
	var none T
	if err := g.may(ctx, scope); err != nil {
		return none, statusOf(err)
	}
	ctx, cancel := context.WithTimeout(ctx, g.limits.Timeout)
	defer cancel()
	ctx, span := g.tracer.Start(ctx, method, trace.WithSpanKind(trace.SpanKindServer))
	defer span.End()
	began := g.now()
	out, err := do(ctx)
	took := g.now().Sub(began)
	kind := "ok"
	if err != nil {
		kind = problemOf(statusOf(err)).Kind
		span.SetStatus(codes.Error, kind)
	}
	span.SetAttributes(attribute.String("bellwether.kind", kind))
	g.metrics.calls.WithLabelValues(method, kind).Observe(took.Seconds())
	level := slog.LevelInfo
	attrs := []slog.Attr{slog.String("method", method), slog.String("kind", kind), slog.Duration("took", took), slog.String("key", callerOf(ctx).ID)}
	if record.KindOf(err) == record.Internal && err != nil {
		level = slog.LevelError
		attrs = append(attrs, slog.String("error", err.Error()))
	}
	g.log.LogAttrs(ctx, level, "call", attrs...)
	if err != nil {
		return none, statusOf(err)
	}
	return out, nil
}

// unary is the gRPC edge's way through the guard.
func (g *guard) unary(ctx context.Context, req any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	md, _ := metadata.FromIncomingContext(ctx)
	first := func(name string) string {
		if v := md.Get(name); len(v) > 0 {
			return v[0]
		}
		return ""
	}
	ctx, err := g.admit(ctx, first("authorization"), first("x-api-key"))
	if err != nil {
		g.refused("grpc", err)
		return nil, statusOf(err)
	}
	return next(ctx, req)
}

// http is the REST edge's way through the guard; it also bounds the body. A page of
// another site may not call: a server without keys would do as it says.
func (g *guard) http(next http.Handler) http.Handler {
	var origins http.CrossOriginProtection
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if origins.Check(r) != nil {
			err := record.Errorf(record.Forbidden, "", "a browser sent this for a page of another site: call from a program, or from a page of this server")
			g.refused("http", err)
			writeProblem(w, err)
			return
		}
		ctx, err := g.admit(r.Context(), r.Header.Get("Authorization"), r.Header.Get("X-Api-Key"))
		if err != nil {
			g.refused("http", err)
			writeProblem(w, err)
			return
		}
		if r.ContentLength > g.limits.Body {
			writeProblem(w, &http.MaxBytesError{Limit: g.limits.Body})
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, g.limits.Body)
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}

func (g *guard) refused(edge string, err error) {
	kind := record.KindOf(err).String()
	g.metrics.refused.WithLabelValues(edge, kind).Inc()
	g.log.Info("refused", "edge", edge, "kind", kind)
}

// isLoopback reports whether an address can be reached from this machine only.
func isLoopback(addr net.Addr) bool {
	tcp, ok := addr.(*net.TCPAddr)
	return ok && tcp.IP.IsLoopback()
}
