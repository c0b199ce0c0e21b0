// Package rig runs Weir's data path in the test's own process, from its
// configuration in YAML and over real sockets on loopback, with origins and clients
// of the standard library at its ends. It is what the tests of filters, codecs and
// protocols stand on.
package rig

import (
	"context"
	"io"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/weirproxy/weir/config"
	"github.com/weirproxy/weir/config/bootstrap"
	"github.com/weirproxy/weir/config/extension"
	"github.com/weirproxy/weir/config/runtime"
	"github.com/weirproxy/weir/config/support"
	"github.com/weirproxy/weir/filters"
	"github.com/weirproxy/weir/filters/builtin"
	"github.com/weirproxy/weir/proxy"
	"github.com/weirproxy/weir/proxy/stats"
	"github.com/weirproxy/weir/proxy/upstream/lb"
)

// Options are what a rig is made of. All are optional, and add up.
type Options struct {
	// Config has listeners, clusters and secrets in YAML, as they stand in a
	// bootstrap's static_resources, with short names (Expand).
	Config string
	// HCM is a HttpConnectionManager in YAML: the listener "hcm" serves it.
	HCM string
	// Origins are clusters of one host: name → address.
	Origins map[string]string
	// Loggers gives the files of access loggers; nil drops what is logged.
	Loggers func(path string) (filters.Sink, error)
	// Factories are extensions beside those of the binary.
	Factories []*extension.Factory
	// Log takes what the proxy says; nil drops it.
	Log *zap.Logger
	// Layers are of the runtime; SetRuntime changes the last one, if it is an admin layer. None is one admin layer.
	Layers []bootstrap.RuntimeLayer
	// Workers is the number of listening sockets and event loops; 0 is 1.
	Workers int
}

// A Rig is a running data path. It ends with the test.
type Rig struct {
	// Addr is where the first listener listens: "hcm", or the first of Config.
	Addr  string
	Store *stats.Store
	Proxy *proxy.Proxy

	t       testing.TB
	o       Options
	dec     *config.Decoder
	decoded map[string]*config.Resource // by type and bytes
	version uint64                      // of the last snapshot
	run     context.Context
}

// New starts a rig.
func New(t testing.TB, o Options) *Rig {
	t.Helper()
	values := runtime.NewRegistry()
	if o.Layers == nil {
		o.Layers = []bootstrap.RuntimeLayer{{Name: "admin", Admin: true}}
	}
	r := &Rig{
		t: t, o: o, Store: stats.NewStore(),
		dec: &config.Decoder{Registry: Registry(o.Factories...), Runtime: values, Mode: support.Reject},
	}
	snap, first, err := r.snapshot()
	if err != nil {
		t.Fatal(err)
	}
	if o.Log == nil {
		o.Log = zap.NewNop()
	}
	if o.Loggers == nil {
		o.Loggers = func(string) (filters.Sink, error) { return io.Discard, nil }
	}
	if r.Proxy, err = proxy.New(proxy.Options{
		Log: o.Log, Stats: r.Store, Loggers: o.Loggers, Workers: max(o.Workers, 1), DrainTime: 5 * time.Second,
		Runtime: values, Layers: o.Layers,
	}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	r.run = ctx
	done := make(chan struct{})
	go func() { defer close(done); _ = r.Proxy.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	if err := r.Proxy.Apply(snap); err != nil {
		t.Fatal(err)
	}
	if first != "" {
		r.Addr = r.AddrOf(first)
	}
	return r
}

// Registry has every extension of the binary, and more.
func Registry(more ...*extension.Factory) *extension.Registry {
	return extension.NewRegistry(builtin.Filters(), lb.Policies(), more)
}

// Check reads the configuration of a rig and gives what is wrong with it.
func Check(o Options) error {
	r := &Rig{o: o, dec: &config.Decoder{Registry: Registry(o.Factories...), Mode: support.Reject}}
	_, _, err := r.snapshot()
	return err
}

// Parse reads a HttpConnectionManager as a listener's filter is read.
func Parse(hcm string) (extension.Parsed, error) {
	a, err := hcmAny(hcm)
	if err != nil {
		return extension.Parsed{}, err
	}
	return extension.NewContext(Registry(), "rig").Parse(extension.NetworkFilter, "hcm", a)
}

// AddrOf gives where a listener listens.
func (r *Rig) AddrOf(listener string) string {
	r.t.Helper()
	for _, l := range r.Proxy.Listeners() {
		if l.Name == listener {
			return l.Addresses[0].String()
		}
	}
	r.t.Fatalf("no listener %q", listener)
	return ""
}

// Apply replaces the configuration's Config.
func (r *Rig) Apply(text string) {
	r.t.Helper()
	r.o.Config = text
	snap, _, err := r.snapshot()
	if err != nil {
		r.t.Fatal(err)
	}
	if err := r.Proxy.Apply(snap); err != nil {
		r.t.Fatal(err)
	}
}

// SetRuntime sets values of the runtime: key, value, key, value … An empty value is taken out.
func (r *Rig) SetRuntime(kv ...string) {
	r.t.Helper()
	m := map[string]string{}
	for i := 0; i+1 < len(kv); i += 2 {
		m[kv[i]] = kv[i+1]
	}
	if err := r.Proxy.Runtime().Modify(m); err != nil {
		r.t.Fatal(err)
	}
}

// Drain begins to drain, as at the end of a process, and returns when listeners and
// connections know.
func (r *Rig) Drain() {
	ctx, cancel := context.WithCancel(r.run)
	cancel() // there is nothing to wait for
	r.Proxy.Drain(ctx)
}

// Stat gives a counter's or gauge's value, by full name; -1 when there is none.
func (r *Rig) Stat(name string) int64 {
	v, ok := r.Store.Value(name)
	if !ok {
		return -1
	}
	return v
}

// Await waits until a counter or gauge has a value: what ends a stream is counted
// after the client has its response.
func (r *Rig) Await(name string, want int64) {
	r.t.Helper()
	if !Eventually(func() bool { return r.Stat(name) == want }) {
		r.t.Errorf("%s is %d, wanted %d", name, r.Stat(name), want)
	}
}

// Eventually waits until ok, at most ten seconds.
func Eventually(ok func() bool) bool {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); <-tick.C {
		if ok() {
			return true
		}
	}
	return false
}
