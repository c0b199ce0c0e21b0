package proxy

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"testing"
	"time"

	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"go.uber.org/zap"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/weirproxy/weir/config"
	"github.com/weirproxy/weir/config/extension"
	"github.com/weirproxy/weir/config/secret"
	"github.com/weirproxy/weir/proxy/stats"
)

// secretRig is running live secrets and a folder for their files.
type secretRig struct {
	*secrets
	t     *testing.T
	dir   string
	store *stats.Store
}

func newSecretRig(t *testing.T) *secretRig {
	store := stats.NewStore()
	r := &secretRig{t: t, dir: t.TempDir(), store: store, secrets: newSecrets(zap.NewNop(), store.Scope(""))}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); r.run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	return r
}

// pair makes a certificate and its key, in PEM.
func (r *secretRig) pair(serial int64) (cert, key string) {
	r.t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	r.must(err)
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(serial), NotAfter: time.Now().Add(time.Hour)}
	c, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, k.Public(), k)
	r.must(err)
	d, err := x509.MarshalPKCS8PrivateKey(k)
	r.must(err)
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c})),
		string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: d}))
}

func (r *secretRig) must(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

func (r *secretRig) put(name, text string) {
	r.t.Helper()
	path := filepath.Join(r.dir, name)
	r.must(os.WriteFile(path+".new", []byte(text), 0o600))
	r.must(os.Rename(path+".new", path))
}

func (r *secretRig) putPair(serial int64) {
	r.t.Helper()
	cert, key := r.pair(serial)
	r.put("crt", cert)
	r.put("key", key)
}

// resource decodes a secret in JSON; DIR is the folder.
func (r *secretRig) resource(text string) *config.Resource {
	r.t.Helper()
	m := &tlsv3.Secret{}
	r.must(protojson.Unmarshal([]byte(text), m))
	a, err := anypb.New(m)
	r.must(err)
	res := &config.Resource{Name: m.GetName(), Raw: a}
	res.Value, err = config.ReadSecret(res)
	r.must(err)
	return res
}

// onDisk is a secret whose pair is in the folder.
func (r *secretRig) onDisk(more string) *config.Resource {
	return r.resource(`{"name":"s","tls_certificate":{"certificate_chain":{"filename":"` + r.dir + `/crt"},"private_key":{"filename":"` +
		r.dir + `/key"}` + more + `}}`)
}

// snapshot has a listener that refers to the names, and secrets.
func (r *secretRig) snapshot(names []string, rs ...*config.Resource) *config.Snapshot {
	l := &config.Resource{Name: "in"}
	for _, n := range names {
		l.Refs = append(l.Refs, extension.Ref{TypeURL: config.SecretURL, Name: n})
	}
	s := &config.Snapshot{Listeners: map[string]*config.Resource{"in": l}, Secrets: map[string]*config.Resource{}}
	for _, e := range rs {
		s.Secrets[e.Name] = e
	}
	return s
}

func serialOf(s *secret.Secret) int64 {
	if s == nil || s.Certificate == nil {
		return 0
	}
	return s.Certificate.Leaf.SerialNumber.Int64()
}

// seen collects the serial numbers that a live secret is given.
func seen(l *secret.Live) (got chan int64, stop func()) {
	got = make(chan int64, 100)
	return got, l.Watch(func(s *secret.Secret) { got <- serialOf(s) })
}

func (r *secretRig) want(got chan int64, serial int64) {
	r.t.Helper()
	select {
	case n := <-got:
		if n != serial {
			r.t.Fatalf("certificate %d, want %d", n, serial)
		}
	case <-time.After(10 * time.Second):
		r.t.Fatalf("certificate %d does not come", serial)
	}
}

func (r *secretRig) failures(name string) int64 {
	v, _ := r.store.Value("sds." + name + ".key_rotation_failed")
	return v
}

// A secret has one Live from the first time that it is looked for: before it comes, across its versions, until nobody refers to it.
func TestLiveSecrets(t *testing.T) {
	r := newSecretRig(t)
	l := r.find("s")
	got, stop := seen(l)
	defer stop()
	if l.Load() != nil {
		t.Fatal("there is something")
	}
	c1, k1 := r.pair(1)
	c2, k2 := r.pair(2)
	inline := func(cert, key string) *config.Resource {
		return r.resource(`{"name":"s","tls_certificate":{"certificate_chain":{"inline_string":` + strconv.Quote(cert) + `},"private_key":{"inline_string":` + strconv.Quote(key) + `}}}`)
	}
	first := inline(c1, k1)
	r.apply(r.snapshot([]string{"s"}, first))
	r.want(got, 1)
	r.apply(r.snapshot([]string{"s"}, first)) // the same is nothing new
	s := r.snapshot([]string{"s"}, inline(c2, k2))
	r.apply(s)
	r.drop(s)
	r.want(got, 2)
	if r.find("s") != l {
		t.Error("another Live")
	}
	r.drop(r.snapshot([]string{"s"})) // a listener refers to it
	if r.find("s") != l {
		t.Error("a Live that is referred to is forgotten")
	}
	r.drop(r.snapshot(nil))
	if r.find("s") == l {
		t.Error("a Live that nothing refers to is kept")
	}
	if serialOf(l.Load()) != 2 {
		t.Error("who looks at a forgotten secret lost it")
	}
}

func TestFilesOfSecrets(t *testing.T) {
	r := newSecretRig(t)
	r.putPair(1)
	l := r.find("s")
	got, stop := seen(l)
	defer stop()
	r.apply(r.snapshot([]string{"s"}, r.onDisk("")))
	r.want(got, 1)
	r.put("crt", "half a certificate")
	for r.failures("s") == 0 {
		runtime.Gosched()
	}
	if serialOf(l.Load()) != 1 {
		t.Error("the old pair is gone")
	}
	r.putPair(2)
	r.want(got, 2)
	n := r.failures("s") // before what adds to it
	r.must(os.Remove(filepath.Join(r.dir, "key")))
	for r.failures("s") == n {
		runtime.Gosched()
	}
	r.putPair(3)
	r.want(got, 3)
}

// With watched_directory only that folder's changes count.
func TestWatchedDirectory(t *testing.T) {
	r := newSecretRig(t)
	r.putPair(1)
	watched := t.TempDir()
	got, stop := seen(r.find("s"))
	defer stop()
	res := r.onDisk(`,"watched_directory":{"path":"` + watched + `"}`)
	r.putPair(2)
	r.apply(r.snapshot([]string{"s"}, res))
	r.want(got, 1)
	r.want(got, 2) // that it had changed before it came into force was looked at
	r.putPair(3)
	select {
	case n := <-got:
		t.Fatalf("certificate %d was taken before the folder changed", n)
	default:
	}
	r.must(os.WriteFile(filepath.Join(watched, "now"), nil, 0o600))
	r.want(got, 3)
}

// A pair that changed between the decoding of its resource and its coming into force is read again at once.
func TestFilesThatChangedMeanwhile(t *testing.T) {
	r := newSecretRig(t)
	r.putPair(1)
	res := r.onDisk("")
	r.putPair(2)
	got, stop := seen(r.find("s"))
	defer stop()
	r.apply(r.snapshot([]string{"s"}, res))
	r.want(got, 1)
	r.want(got, 2)
}

// A secret that stands in a configuration is kept fresh as long as what was built of it is there.
func TestInlineSecretsAreKeptFresh(t *testing.T) {
	r := newSecretRig(t)
	r.putPair(1)
	res := r.onDisk("")
	done := make(chan struct{})
	l := r.keep(res.Value.(*secret.Secret), func() (*secret.Secret, error) { return config.ReadSecret(res) }, done)
	got, stop := seen(l)
	defer stop()
	if serialOf(l.Load()) != 1 {
		t.Fatal("it is not there at once")
	}
	r.putPair(2)
	r.want(got, 2)
	close(done)
	r.putPair(3)
	for { // the end is seen at the next change
		r.mu.Lock()
		n := len(r.inline)
		r.mu.Unlock()
		if n == 0 {
			break
		}
		runtime.Gosched()
	}
}
