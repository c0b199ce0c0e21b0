package lastgood

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"go.uber.org/zap"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/weirproxy/weir/config"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func pack(t testing.TB, m proto.Message) *anypb.Any {
	t.Helper()
	a, err := anypb.New(m)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func inline(s string) *corev3.DataSource {
	return &corev3.DataSource{Specifier: &corev3.DataSource_InlineString{InlineString: s}}
}

func file(s string) *corev3.DataSource {
	return &corev3.DataSource{Specifier: &corev3.DataSource_Filename{Filename: s}}
}

// withTLS is a listener whose certificate has the key in key.
func withTLS(t testing.TB, name string, key *corev3.DataSource) *anypb.Any {
	return pack(t, &listenerv3.Listener{Name: name, FilterChains: []*listenerv3.FilterChain{{
		TransportSocket: &corev3.TransportSocket{
			Name: "envoy.transport_sockets.tls",
			ConfigType: &corev3.TransportSocket_TypedConfig{TypedConfig: pack(t, &tlsv3.DownstreamTlsContext{
				CommonTlsContext: &tlsv3.CommonTlsContext{TlsCertificates: []*tlsv3.TlsCertificate{{PrivateKey: key, CertificateChain: inline("chain")}}},
			})},
		},
	}}})
}

// world is a snapshot with everything that matters: static and dynamic, with and without secrets.
func world(t testing.TB) *config.Snapshot {
	res := func(name, version string, a *anypb.Any) *config.Resource {
		return &config.Resource{Name: name, Version: version, Raw: a, Static: version == ""}
	}
	return &config.Snapshot{
		Clusters: map[string]*config.Resource{
			"a":      res("a", "7", pack(t, &clusterv3.Cluster{Name: "a"})),
			"again":  res("again", VersionPrefix+"6", pack(t, &clusterv3.Cluster{Name: "again"})),
			"static": res("static", "", pack(t, &clusterv3.Cluster{Name: "static"})),
		},
		Listeners: map[string]*config.Resource{
			"plain": res("plain", "8", pack(t, &listenerv3.Listener{Name: "plain"})),
			"files": res("files", "8", withTLS(t, "files", file("/etc/key.pem"))),
			"keyed": res("keyed", "8", withTLS(t, "keyed", inline("PRIVATE-KEY"))),
		},
		Secrets: map[string]*config.Resource{
			"cert":        res("cert", "9", pack(t, &tlsv3.Secret{Name: "cert"})),
			"cert from x": res("cert", "9", pack(t, &tlsv3.Secret{Name: "cert"})),
		},
	}
}

func names(s *State) (out []string) {
	for _, ty := range s.Types {
		for _, r := range ty.Resources {
			out = append(out, r.Name+"@"+r.Version)
		}
	}
	return out
}

func isSecret(r *config.Resource) bool { return Sensitive(r.Raw) }

func TestWhatIsKept(t *testing.T) {
	without := Of(world(t), isSecret)
	if d := cmp.Diff([]string{"a@7", "again@6", "files@8", "plain@8"}, names(without)); d != "" {
		t.Error("without a key:", d)
	}
	if d := cmp.Diff([]string{`listener "keyed"`, `secret "cert"`, `secret "cert"`}, without.LeftOut); d != "" {
		t.Error("left out without a key:", d)
	}
	with := Of(world(t), nil)
	if d := cmp.Diff([]string{"cert@9", "cert@9", "a@7", "again@6", "files@8", "keyed@8", "plain@8"}, names(with)); d != "" {
		t.Error("with a key:", d)
	}
	if with.LeftOut != nil {
		t.Error("left out with a key:", with.LeftOut)
	}
	if r := with.Types[0].Resources; r[0].Key != "" || r[1].Key != "cert from x" {
		t.Errorf("keys %q and %q", r[0].Key, r[1].Key)
	}
}

var us = Owner{"gw-1", "edge", "c0ffee"}

func key(t testing.TB, b byte) *Key {
	k, err := NewKey(bytes.Repeat([]byte{b}, 32))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestWriteAndRead(t *testing.T) {
	for name, k := range map[string]*Key{"without a key": nil, "with a key": key(t, 1)} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			st := &Store{Path: filepath.Join(dir, "lkg"), Owner: us, Key: k}
			var want *State
			for range 2 { // the second time in the place of the first
				want = Of(world(t), nil)
				if k == nil {
					want = Of(world(t), isSecret)
				}
				if err := st.Write(want, time.Unix(1e9, 0)); err != nil {
					t.Fatal(err)
				}
			}
			i, err := os.Stat(st.Path)
			if err != nil || i.Mode() != 0o600 {
				t.Errorf("mode %v, %v: want 0600", i.Mode(), err)
			}
			if all, _ := os.ReadDir(dir); len(all) != 1 {
				t.Errorf("files left behind: %v", all)
			}
			data, _ := os.ReadFile(st.Path)
			if bytes.Contains(data, []byte("PRIVATE-KEY")) {
				t.Error("a private key is in the file")
			}
			got, err := st.Read()
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(want, got, protocmp.Transform()); d != "" {
				t.Error(d)
			}
			if !got.Saved.Equal(time.Unix(1e9, 0)) || got.Count() == 0 {
				t.Errorf("saved %v, %d resources", got.Saved, got.Count())
			}
		})
	}
}

// TestRefused tells what is not read, and the line that says why.
func TestRefused(t *testing.T) {
	write := func(t *testing.T, o Owner, k *Key) string {
		st := &Store{Path: filepath.Join(t.TempDir(), "lkg"), Owner: o, Key: k}
		if err := st.Write(Of(world(t), isSecret), time.Unix(1e9, 0)); err != nil {
			t.Fatal(err)
		}
		return st.Path
	}
	change := func(f func([]byte) []byte) func(*testing.T) string {
		return func(t *testing.T) string {
			path := write(t, us, nil)
			data, _ := os.ReadFile(path)
			if err := os.WriteFile(path, f(data), 0o600); err != nil {
				t.Fatal(err)
			}
			return path
		}
	}
	for _, c := range []struct {
		name string
		path func(*testing.T) string
		key  *Key
		want error
		text string
	}{
		{"missing", func(t *testing.T) string { return filepath.Join(t.TempDir(), "none") }, nil, os.ErrNotExist, "no such file"},
		{"empty", change(func([]byte) []byte { return nil }), nil, ErrCorrupt, `is corrupt: it does not begin with "weir last known good"`},
		{"something else", change(func([]byte) []byte { return []byte("node:\n  id: a\n") }), nil, ErrCorrupt, "does not begin"},
		{"cut", change(func(b []byte) []byte { return b[:len(b)-3] }), nil, ErrCorrupt, "is corrupt: its checksum is wrong"},
		{"a bit flipped", change(func(b []byte) []byte { b[len(b)-1] ^= 1; return b }), nil, ErrCorrupt, "checksum"},
		{"another format", change(func(b []byte) []byte { return bytes.Replace(b, []byte("good 1 "), []byte("good 2 "), 1) }), nil, ErrForeign, `is not ours: its format is "2", this program reads "1"`},
		{"another node", func(t *testing.T) string { return write(t, Owner{"gw-2", "edge", "c0ffee"}, nil) }, nil, ErrForeign, `it was written by node "gw-2", this is "gw-1"`},
		{"another cluster", func(t *testing.T) string { return write(t, Owner{"gw-1", "core", "c0ffee"}, nil) }, nil, ErrForeign, `in cluster "core", this is "edge"`},
		{"another bootstrap", func(t *testing.T) string { return write(t, Owner{"gw-1", "edge", "bad"}, nil) }, nil, ErrForeign, "the bootstrap names other control planes"},
		{"no key", func(t *testing.T) string { return write(t, us, key(t, 1)) }, nil, ErrKey, "there is no key"},
		{"another key", func(t *testing.T) string { return write(t, us, key(t, 1)) }, key(t, 2), ErrKey, "the key is another"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := (&Store{Path: c.path(t), Owner: us, Key: c.key}).Read()
			if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.text) {
				t.Errorf("got %v, want %v with %q", err, c.want, c.text)
			}
		})
	}
	if _, err := NewKey(make([]byte, 31)); err == nil {
		t.Error("a short key was taken")
	}
}

// TestKeeper tells when a snapshot is written.
func TestKeeper(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		st := &Store{Path: filepath.Join(dir, "lkg"), Owner: us}
		var p atomic.Pointer[Progress]
		p.Store(&Progress{Warming: true})
		k := NewKeeper(st, func() Progress { return *p.Load() }, zap.NewNop())
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); _ = k.Run(ctx) }()
		count := func() int {
			synctest.Wait()
			s, err := st.Read()
			if err != nil {
				return -1
			}
			return s.Count()
		}
		w := world(t)
		k.Offer(w)
		if pass(time.Minute); count() != -1 {
			t.Fatal("written before the control plane answered")
		}
		p.Store(&Progress{Answered: true, Warming: true})
		k.Offer(w) // the same wait goes on: it has been long enough
		if pass(2 * time.Second); count() != 4 {
			t.Fatalf("%d resources after patience ran out, want 4", count())
		}
		p.Store(&Progress{Answered: true})
		for range 100 { // many pushes are one file
			k.Offer(&config.Snapshot{})
		}
		w = world(t)
		delete(w.Clusters, "again")
		k.Offer(w)
		if pass(2 * time.Second); count() != 3 {
			t.Fatalf("%d resources after a push, want 3", count())
		}
		p.Store(&Progress{Answered: true, Warming: true})
		k.Offer(&config.Snapshot{})
		cancel()
		<-done
		if count() != 0 {
			t.Fatalf("%d resources after the end: the last push is lost", count())
		}
	})
}

// TestKeeperTriesAgain writes as soon as it can.
func TestKeeperTriesAgain(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		st := &Store{Path: filepath.Join(dir, "later", "lkg"), Owner: us}
		k := NewKeeper(st, func() Progress { return Progress{Answered: true} }, zap.NewNop())
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); _ = k.Run(ctx) }()
		k.Offer(world(t))
		pass(10 * time.Second)
		if err := os.Mkdir(filepath.Dir(st.Path), 0o700); err != nil {
			t.Fatal(err)
		}
		pass(2 * time.Minute)
		if _, err := st.Read(); err != nil {
			t.Error(err)
		}
		if k.Written().IsZero() {
			t.Error("when it was written is not told")
		}
		cancel()
		<-done
	})
}

func FuzzDecode(f *testing.F) {
	for _, k := range []*Key{nil, key(f, 1)} {
		b, err := Encode(Of(world(f), isSecret), k)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add([]byte(magic + format + " 01ba4719c80b6fe911b091a7c05124b64eeece964e09c058ef8f9805daca546b\n\n"))
	k := key(f, 1)
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := Decode(data, k)
		if err == nil {
			if _, err := Encode(s, nil); err != nil {
				t.Errorf("read, but cannot be written: %v", err)
			}
		}
	})
}

// pass lets synctest's time go by.
func pass(d time.Duration) { <-time.NewTimer(d).C }
