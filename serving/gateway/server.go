// Package gateway is the edge: gRPC and REST over one engine, API keys, limits,
// metrics, traces, and the conversion between the generated types and the nouns
// of record. It alone sees generated code.
//
// REST is snake_case JSON with 64-bit integers as strings and RFC 3339 times; what
// a request says that its call does not have is refused, in bodies and queries.
// Errors are RFC 9457 problems with the kind of record.Error and the path of
// the field at fault. The in-process grpc-gateway skips gRPC interceptors, so
// what both edges need stands in guard.go, which both call.
package gateway

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	"bellwether/datasets/record"
	"bellwether/serving"
	pb "bellwether/serving/gen/bellwether/v1"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
)

// Limits bound what one caller can ask for.
type Limits struct {
	Body      int64         `yaml:"body"`       // bytes of a request; 0: 16 MiB
	Timeout   time.Duration `yaml:"timeout"`    // of one call; 0: 10 s
	PerSecond float64       `yaml:"per_second"` // calls of one key; 0: not limited
	Drain     time.Duration `yaml:"drain"`      // to finish what was taken at shutdown; 0: 30 s
}

func (l Limits) withDefaults() Limits {
	if l.Body == 0 {
		l.Body = 16 << 20
	}
	if l.Timeout == 0 {
		l.Timeout = 10 * time.Second
	}
	if l.Drain == 0 {
		l.Drain = 30 * time.Second
	}
	return l
}

// Config is what a Server can be told.
type Config struct {
	Keys     string // path of the key file; empty: no keys, loopback addresses only
	CertFile string // TLS certificate and key in PEM; empty: plain text
	KeyFile  string
	Limits   Limits
	Pages    http.Handler         // answers whatever is not the API; nil: nothing does
	Log      *slog.Logger         // nil: discard
	Tracer   trace.TracerProvider // nil: no traces
	Now      func() time.Time     // nil: time.Now
}

// Server serves one engine.
type Server struct {
	config  Config
	engine  *serving.Engine
	guard   *guard
	service *service
	tls     *tls.Config
}

// New makes a server; nothing listens yet. Key and certificate files that cannot
// be read are errors here.
func New(engine *serving.Engine, c Config) (*Server, error) {
	c.Limits = c.Limits.withDefaults()
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Tracer == nil {
		c.Tracer = noop.NewTracerProvider()
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	s := &Server{config: c, engine: engine}
	if c.CertFile != "" || c.KeyFile != "" {
		pair, err := tls.LoadX509KeyPair(c.CertFile, c.KeyFile)
		if err != nil {
			return nil, record.Errorf(record.Invalid, "load TLS files", "%w", err)
		}
		s.tls = &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"}}
	}
	s.guard = newGuard(&c, newMetrics(engine))
	if c.Keys != "" {
		keys, err := OpenKeys(c.Keys)
		if err != nil {
			return nil, err
		}
		s.guard.keys = keys
	}
	s.service = &service{engine: engine, guard: s.guard}
	return s, nil
}

// Handler answers everything HTTP: the API under /v1/, its description, the side
// doors for machines (/livez, /readyz, /metrics) and, if there are any, pages.
func (s *Server) Handler() (http.Handler, error) {
	api := runtime.NewServeMux(
		runtime.WithMarshalerOption(runtime.MIMEWildcard, newJSON()),
		runtime.WithErrorHandler(apiError),
		runtime.WithRoutingErrorHandler(routingError),
		runtime.WithUnescapingMode(runtime.UnescapingModeAllCharacters),
		runtime.WithIncomingHeaderMatcher(incomingHeader),
		runtime.WithOutgoingHeaderMatcher(outgoingHeader),
		runtime.WithDisablePathLengthFallback(), // a form is no GET
		runtime.WithMiddlewares(strict),
	)
	if err := pb.RegisterBellwetherHandlerServer(context.Background(), api, s.service); err != nil {
		return nil, record.Errorf(record.Internal, "register the API", "%w", err)
	}
	mux := http.NewServeMux()
	mux.Handle("/v1/", otelhttp.NewHandler(s.guard.http(api), "rest", otelhttp.WithTracerProvider(s.config.Tracer)))
	mux.Handle("GET /v1/export", s.only(ScopeAdmin, http.HandlerFunc(s.export)))
	mux.HandleFunc("GET /openapi.json", serveOpenAPI)
	mux.HandleFunc("GET /docs", serveDocs)
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", s.ready)
	mux.Handle("GET /metrics", s.only(ScopeRead, promhttp.HandlerFor(s.guard.metrics.registry, promhttp.HandlerOpts{})))
	if s.config.Pages != nil {
		mux.Handle("/", s.guard.pages(s.config.Pages))
	}
	return mux, nil
}

func (s *Server) ready(w http.ResponseWriter, _ *http.Request) {
	st := s.engine.Status()
	w.Header().Set("Content-Type", "application/json")
	if !st.Ready {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"ready": st.Ready, "reason": st.Reason, "degraded": st.Degraded, "partners": st.Partners})
}

// only lets callers with a scope through to a handler that is not the API's.
func (s *Server) only(scope string, next http.Handler) http.Handler {
	return s.guard.http(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := s.guard.may(r.Context(), scope); err != nil {
			writeProblem(w, err)
			return
		}
		next.ServeHTTP(w, r)
	}))
}

// Serve answers on the listeners until ctx ends, then finishes what was taken.
// Either listener may be nil.
func (s *Server) Serve(ctx context.Context, web, rpc net.Listener) error {
	if err := errors.Join(s.MayListen(web), s.MayListen(rpc)); err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	if web != nil {
		if err := s.serveHTTP(ctx, group, web); err != nil {
			return err
		}
	}
	if rpc != nil {
		s.serveRPC(ctx, group, rpc)
	}
	if s.guard.keys != nil {
		group.Go(func() error { return s.watchKeys(ctx) })
	}
	return group.Wait()
}

// MayListen says why a listener is not to be served on; nil if it may, or is nil.
func (s *Server) MayListen(l net.Listener) error {
	if l == nil || s.guard.keys != nil || isLoopback(l.Addr()) {
		return nil
	}
	return record.Errorf(record.Invalid, "serve", "%s can be reached from other machines and there are no API keys: make some with 'bellwether keys add' and give --keys, or listen on 127.0.0.1", l.Addr())
}

func (s *Server) serveHTTP(ctx context.Context, group *errgroup.Group, l net.Listener) error {
	handler, err := s.Handler()
	if err != nil {
		return err
	}
	srv := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: time.Minute, IdleTimeout: 2 * time.Minute,
		MaxHeaderBytes: 64 << 10, ErrorLog: slog.NewLogLogger(s.config.Log.Handler(), slog.LevelInfo), TLSConfig: s.tls}
	group.Go(func() error {
		serve := func() error { return srv.Serve(l) }
		if s.tls != nil {
			serve = func() error { return srv.ServeTLS(l, "", "") }
		}
		if err := serve(); !errors.Is(err, http.ErrServerClosed) {
			return record.Errorf(record.Internal, "serve HTTP", "%w", err)
		}
		return nil
	})
	group.Go(func() error {
		<-ctx.Done()
		drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.config.Limits.Drain)
		defer cancel()
		if err := srv.Shutdown(drain); err != nil {
			return record.Errorf(record.Unavailable, "stop HTTP", "calls still ran after %s: %w", s.config.Limits.Drain, err)
		}
		return nil
	})
	return nil
}

func (s *Server) serveRPC(ctx context.Context, group *errgroup.Group, l net.Listener) {
	options := []grpc.ServerOption{grpc.UnaryInterceptor(s.guard.unary), grpc.MaxRecvMsgSize(int(s.config.Limits.Body))}
	if s.tls != nil {
		options = append(options, grpc.Creds(credentials.NewTLS(s.tls)))
	}
	srv := grpc.NewServer(options...)
	pb.RegisterBellwetherServer(srv, s.service)
	healthpb.RegisterHealthServer(srv, health.NewServer())
	group.Go(func() error { return srv.Serve(l) })
	group.Go(func() error {
		<-ctx.Done()
		stop := time.AfterFunc(s.config.Limits.Drain, srv.Stop)
		defer stop.Stop()
		srv.GracefulStop()
		return nil
	})
}

// watchKeys rereads the key file every second, so that a new key works and a
// revoked one stops working without a restart.
func (s *Server) watchKeys(ctx context.Context) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			if err := s.guard.keys.Reload(); err != nil {
				s.config.Log.Error("the key file cannot be read; the keys known before stay", "error", err)
			}
		}
	}
}

func apiError(_ context.Context, _ *runtime.ServeMux, _ runtime.Marshaler, w http.ResponseWriter, _ *http.Request, err error) {
	var tooLarge *http.MaxBytesError
	if st, ok := status.FromError(err); ok && strings.Contains(st.Message(), "http: request body too large") {
		err = &http.MaxBytesError{}
	}
	if errors.As(err, &tooLarge) {
		writeProblem(w, tooLarge)
		return
	}
	writeProblem(w, bodyError(err))
}

func routingError(ctx context.Context, _ *runtime.ServeMux, _ runtime.Marshaler, w http.ResponseWriter, r *http.Request, code int) {
	switch code {
	case http.StatusMethodNotAllowed:
		writeProblem(w, status.Errorf(codes.Unimplemented, "%s is not possible here: see /docs", r.Method))
	case http.StatusNotFound:
		writeProblem(w, record.Errorf(record.NotFound, "", "there is nothing at %s: see /docs", r.URL.Path))
	default:
		writeProblem(w, record.Errorf(record.Invalid, "", "%s", http.StatusText(code)))
	}
}

func incomingHeader(name string) (string, bool) {
	switch lower := strings.ToLower(name); lower {
	case idempotencyHeader, ifMatchHeader:
		return lower, true
	}
	return "", false
}

func outgoingHeader(name string) (string, bool) {
	if name == etagHeader {
		return "ETag", true
	}
	return "", false
}
