package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"runtime/debug"
	"time"

	"bellwether/datasets/record"
	"bellwether/features"
	"bellwether/models/registry"
	"bellwether/routing"
	"bellwether/serving"
	"bellwether/serving/gateway"
	"bellwether/serving/store"
	"bellwether/serving/web"

	"github.com/spf13/cobra"
)

// serveFlags are what the serve command line says.
type serveFlags struct {
	store, models, data, config string
	http, grpc                  string
	keys, cert, key             string
	logJSON                     bool
}

// serveConfig is the YAML file of --config.
type serveConfig struct {
	Policy routing.Policy `yaml:"policy"`
	Engine serving.Config `yaml:"engine"`
	Limits gateway.Limits `yaml:"limits"`
	Store  storeConfig    `yaml:"store"`
}

type storeConfig struct {
	MinFreeMB uint64 `yaml:"min_free_mb"` // free disk space below which writing stops, at least store.LeastFree; 0: 256
}

func serveCommand(s *streams) *cobra.Command {
	var f serveFlags
	c := &cobra.Command{
		Use:   "serve --store DIR --models DIR",
		Short: "Answer leads over HTTP and gRPC",
		Long: "Serve answers leads over HTTP and gRPC until it is interrupted; then it finishes\nwhat it took. Every decision is on disk before it is answered.\n\n" +
			"The directory of --models must be there. While no win model is published in it, leads\nare decided by rules and shrunk rates; the first one that is, is taken up as it comes.\n\n" +
			"The file of --config has the sections policy, engine, limits and store; what it\ndoes not say has its default. The policy's currency and rates say what amounts are\nworth; give the same file to 'bellwether train', whose models remember them.",
		Example: "  bellwether serve --store store --models models --data world\n" +
			"  bellwether serve --store store --models models --config policy.yaml --http 0.0.0.0:8080 --keys keys.jsonl",
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error { return serve(c.Context(), s, f) },
	}
	flags := c.Flags()
	flags.StringVar(&f.store, "store", "", "directory of the store; made if it is not there")
	flags.StringVar(&f.models, "models", "", "directory of the published models; an empty one begins without")
	flags.StringVar(&f.data, "data", "", "directory of records to load into an empty store")
	flags.StringVar(&f.config, "config", "", "YAML file of policy, engine, limits and store")
	flags.StringVar(&f.http, "http", "127.0.0.1:8080", "address for HTTP; empty for none")
	flags.StringVar(&f.grpc, "grpc", "", "address for gRPC; empty for none")
	flags.StringVar(&f.keys, "keys", "", "file of API keys, as 'bellwether keys' makes it; without one anybody may do anything, and only loopback addresses are served")
	flags.StringVar(&f.cert, "tls-cert", "", "PEM file of the TLS certificate")
	flags.StringVar(&f.key, "tls-key", "", "PEM file of its private key")
	flags.BoolVar(&f.logJSON, "log-json", false, "write the log as JSON")
	return c
}

// serve runs until ctx ends.
func serve(ctx context.Context, s *streams, f serveFlags) (err error) {
	switch {
	case f.store == "":
		return usageError{errors.New("--store is needed: a directory for what must not be lost")}
	case f.models == "":
		return usageError{errors.New("--models is needed: the directory 'bellwether train' publishes to")}
	case f.http == "" && f.grpc == "":
		return usageError{errors.New("one of --http and --grpc is needed")}
	}
	features.HugePages()
	config, err := readServeConfig(f.config)
	if err != nil {
		return err
	}
	reg, err := openModels(f.models)
	if err != nil {
		return fmt.Errorf("%w, or make an empty one to begin without models", err)
	}
	if f.keys != "" {
		if _, err := openKeys(f.keys); err != nil {
			return err
		}
	}
	logger := newLogger(s.Err, f.logJSON)
	// The addresses first: a taken port should not cost a load.
	listeners, err := listenOn(f.http, f.grpc)
	if err != nil {
		return err
	}
	defer listeners.close()
	config.Engine.Policy, config.Engine.Logger = config.Policy, logger
	st, err := openStore(ctx, s, f, config, reg)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, st.Close()) }()
	engine, err := serving.Start(ctx, st, reg, config.Engine)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, engine.Close()) }()
	tracer, stop, err := newTracer(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop(context.WithoutCancel(ctx))) }()
	server, err := gateway.New(engine, gateway.Config{Keys: f.keys, CertFile: f.cert, KeyFile: f.key, Limits: config.Limits,
		Pages: web.Handler(engine, f.keys != ""), Log: logger, Tracer: tracer})
	if err != nil {
		return err
	}
	if err := errors.Join(server.MayListen(listeners.http), server.MayListen(listeners.grpc)); err != nil {
		return err
	}
	listeners.tell(s.Out, f.cert != "")
	return server.Serve(ctx, listeners.http, listeners.grpc)
}

// readServeConfig reads the YAML file; an empty path means all defaults. A key
// that is not known is an error that names its line.
func readServeConfig(path string) (serveConfig, error) {
	var c serveConfig
	if path == "" {
		return c, nil
	}
	file, err := os.Open(path)
	if err != nil {
		return c, usageError{fmt.Errorf("--config: %w", err)}
	}
	defer file.Close()
	if err := readYAML(file, &c); err != nil {
		return c, record.Errorf(record.Invalid, path, "%w", err)
	}
	if err := c.Policy.Check(); err != nil {
		return c, record.Errorf(record.Invalid, path, "policy: %w", err)
	}
	if mb, least := c.Store.MinFreeMB, uint64(store.LeastFree>>20); mb != 0 && mb < least {
		return c, record.Errorf(record.Invalid, path, "store: min_free_mb is %d: the store's own files may take up to %d MB after the last write that was let in, and a disk that is full by then ends the process; give %d or more, or leave it out for 256", mb, least, least)
	}
	return c, nil
}

// newLogger writes what people or machines read.
func newLogger(w io.Writer, asJSON bool) *slog.Logger {
	if asJSON {
		return slog.New(slog.NewJSONHandler(w, nil))
	}
	return slog.New(slog.NewTextHandler(w, nil))
}

// listeners are the addresses served; nil for none.
type listeners struct{ http, grpc net.Listener }

func listenOn(web, rpc string) (l listeners, err error) {
	open := func(flag, address string) net.Listener {
		if address == "" || err != nil {
			return nil
		}
		var listener net.Listener
		if listener, err = net.Listen("tcp", address); err != nil {
			err = fmt.Errorf("--%s %s: %w; give another address", flag, address, err)
			return nil
		}
		return listener
	}
	l.http, l.grpc = open("http", web), open("grpc", rpc)
	if err != nil {
		l.close()
	}
	return l, err
}

func (l *listeners) close() {
	for _, x := range []net.Listener{l.http, l.grpc} {
		if x != nil {
			x.Close() // whoever served on it has closed it already
		}
	}
}

// tell prints the addresses bound, a line each.
func (l *listeners) tell(w io.Writer, secure bool) {
	scheme := "http"
	if secure {
		scheme = "https"
	}
	if l.http != nil {
		fmt.Fprintf(w, "serving %s://%s\n", scheme, l.http.Addr())
	}
	if l.grpc != nil {
		fmt.Fprintf(w, "serving grpc://%s\n", l.grpc.Addr())
	}
}

// openStore opens the store, an empty one filled with the records of --data. One
// just filled is opened anew, so that the server holds no more memory than after
// any other start.
func openStore(ctx context.Context, s *streams, f serveFlags, config serveConfig, reg *registry.Registry) (*store.Store, error) {
	options := store.Options{Logger: config.Engine.Logger, MinFree: config.Store.MinFreeMB << 20}
	st, err := store.Open(f.store, options)
	if err != nil || f.data == "" {
		return st, err
	}
	if st.Head() > 0 {
		fmt.Fprintf(s.Err, "the store holds %d records already: %s is not loaded\n", st.Head(), f.data)
		return st, nil
	}
	err = loadData(ctx, s, st, f.data)
	if err == nil {
		err = serving.Settle(ctx, st, reg, config.Engine)
	}
	if err = errors.Join(err, st.Close()); err != nil {
		return nil, err
	}
	debug.FreeOSMemory()
	return store.Open(f.store, options)
}

// loadData fills an empty store.
func loadData(ctx context.Context, s *streams, st *store.Store, path string) error {
	src, err := openData(s, path)
	if err != nil {
		return err
	}
	began := time.Now()
	done, err := serving.Load(ctx, st, src, nil)
	if err != nil {
		return err
	}
	fmt.Fprintf(s.Err, "loaded %d versions of partners, %d leads, %d events in %s\n",
		done.Partners, done.Leads, done.Events, time.Since(began).Round(time.Millisecond))
	return nil
}
