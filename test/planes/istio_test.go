package planes

import (
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

const kubeconfig = `
apiVersion: v1
kind: Config
clusters: [{name: c, cluster: {server: "$URL"}}]
users: [{name: u, user: {}}]
contexts: [{name: x, context: {cluster: c, user: u}}]
current-context: x
`

// A mesh is Istio's discovery server with its configuration in a folder, and two origins that it knows of.
type mesh struct {
	dir  string
	a, b *origin
	sds  string // where the agent's secrets are
}

func newMesh(t *testing.T) *mesh {
	bin := plane(t, "pilot-discovery")
	m := &mesh{dir: t.TempDir(), a: newOrigin(t, "a"), b: newOrigin(t, "b")}
	if err := os.Mkdir(filepath.Join(m.dir, "config"), 0o700); err != nil {
		t.Fatal(err)
	}
	p, _ := newPair(t, "web.example.internal")
	m.sds = agent(t, m.dir, p)
	m.configure(t, "75", "25")
	write(t, filepath.Join(m.dir, "mesh.yaml"), "{}\n")
	write(t, filepath.Join(m.dir, "kubeconfig"), strings.ReplaceAll(kubeconfig, "$URL", emptyKube(t)))
	start(t, m.dir, []string{"POD_NAME=istiod", "POD_NAMESPACE=istio-system"}, bin, "discovery", "--registries=Kubernetes",
		"--kubeconfig", "kubeconfig", "--configDir", "config", "--meshConfig", "mesh.yaml", "--networksConfig", "none",
		"--grpcAddr", "127.0.0.1:18084", "--secureGRPCAddr", "", "--httpAddr", "127.0.0.1:18085", "--httpsAddr", "",
		"--monitoringAddr", "127.0.0.1:18086", "--ctrlz_address", "")
	return m
}

// configure writes what is asked of the mesh, with these weights.
func (m *mesh) configure(t *testing.T, weightA, weightB string) {
	t.Helper()
	template, err := os.ReadFile("testdata/istio.yaml")
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(m.dir, "config/all.yaml"), strings.NewReplacer(
		"$PORT_A", m.a.port, "$PORT_B", m.b.port, "$WEIGHT_A", weightA, "$WEIGHT_B", weightB).Replace(string(template)))
}

// proxy starts Weir as a node of the mesh and gives what answers its admin interface.
func (m *mesh) proxy(t *testing.T, kind, mode, api string) (admin func(path string) string) {
	t.Helper()
	template, err := os.ReadFile("testdata/istio-bootstrap.yaml")
	if err != nil {
		t.Fatal(err)
	}
	name := strings.ToLower(kind + "-" + mode)
	file, socket := filepath.Join(m.dir, name+".yaml"), filepath.Join(m.dir, name+".sock")
	write(t, file, strings.NewReplacer("$KIND", kind, "$NAME", name, "$MODE", mode, "$API", api, "$SDS", m.sds, "$ADMIN", socket).Replace(string(template)))
	start(t, m.dir, nil, weir(t), "-c", file)
	c := http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", socket)
		},
		DisableKeepAlives: true,
	}}
	return func(path string) string {
		r, err := c.Get("http://admin" + path)
		if err != nil {
			return err.Error()
		}
		defer r.Body.Close()
		b, _ := io.ReadAll(r.Body)
		return string(b)
	}
}

// accepted waits until all that the discovery server sent is in force, and fails when any of it was refused.
func accepted(t *testing.T, admin func(string) string, names ...string) {
	t.Helper()
	missing := func(text string) string {
		for _, n := range names {
			if !regexp.MustCompile(` ACKED +` + regexp.QuoteMeta(n) + `[\n ]`).MatchString(text) {
				return n
			}
		}
		return ""
	}
	until(t, "everything is answered", func() bool {
		text := admin("/xds")
		return strings.HasPrefix(text, "ready") && missing(text) == "" || strings.Contains(text, "NACKED")
	}, func() string { text := admin("/xds"); return missing(text) + " is missing:\n" + text })
	if text := admin("/xds"); strings.Contains(text, "NACKED") || strings.Contains(text, "refused version") {
		t.Fatalf("something is refused:\n%s", text)
	} else if testing.Verbose() {
		t.Log("\n" + text)
	}
}

// A sidecar of the kind that all traffic is led to takes everything: the interceptors' listeners, the certificates of its agent, the
// filters that only Istio's own Envoy has.
func TestIstioSidecarIsAccepted(t *testing.T) {
	m := newMesh(t)
	for _, api := range []string{"DELTA_GRPC", "GRPC"} {
		t.Run(api, func(t *testing.T) {
			accepted(t, m.proxy(t, "sidecar", "TPROXY", api), "virtualOutbound", "virtualInbound", "0.0.0.0_18081",
				"outbound|18081||web.example.internal", "PassthroughCluster", "18081", "ROOTCA", "default")
		})
	}
}

// A sidecar that listens itself, and a gateway: real requests meet what a VirtualService asks for.
func TestIstioTraffic(t *testing.T) {
	m := newMesh(t)
	for _, c := range []struct{ name, kind, at, listener string }{
		{"sidecar", "sidecar", "127.0.0.1:18081", "127.0.0.1_18081"},
		{"gateway", "router", "127.0.0.1:18082", "0.0.0.0_18082"},
	} {
		t.Run(c.name, func(t *testing.T) {
			accepted(t, m.proxy(t, c.kind, "NONE", "DELTA_GRPC"), c.listener)
			m.serves(t, newClient(t, c.at, nil))
			m.configure(t, "75", "25")
		})
	}
}

func (m *mesh) serves(t *testing.T, c *client) {
	const url = "http://web.example.internal:18081"
	until(t, "requests are served", func() bool { return c.get(url).body == "a" }) // b alone has been served before
	if n := c.share(400, "a", url); n < 65 || n > 85 {
		t.Errorf("%d %% went to the one of weight 75", n)
	}
	for range 20 {
		if got := c.get(url, "x-version", "v2"); got.body != "b" {
			t.Fatalf("with the header: %+v", got)
		}
	}
	if got := c.get(url + "/old"); got.status != 301 || !strings.HasSuffix(got.location, "/new") {
		t.Errorf("redirect: %+v", got)
	}
	m.b.slow.Store(int64(2 * time.Second))
	began := time.Now()
	if got := c.get(url + "/slow"); got.status != 504 || time.Since(began) > time.Second {
		t.Errorf("timeout of 300 ms: %+v after %v", got, time.Since(began))
	}
	m.b.slow.Store(0)
	m.b.failing.Store(2)
	before := m.b.requests.Load()
	if got, n := c.get(url, "x-version", "v2"), m.b.requests.Load()-before; got.body != "b" || n != 3 {
		t.Errorf("retry: %+v after %d tries", got, n)
	}
	m.b.failing.Store(0)

	m.configure(t, "0", "100")
	began = time.Now()
	until(t, "a change of weights arrives", func() bool { return c.share(10, "b", url) == 100 })
	t.Logf("a change of weights was seen after %v", time.Since(began))
}
