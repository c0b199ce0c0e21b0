package planes

import (
	"encoding/base64"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// envoyGateway is its configuration: resources from files, proxies as processes of this machine.
const envoyGateway = `
apiVersion: gateway.envoyproxy.io/v1alpha1
kind: EnvoyGateway
gateway: {controllerName: gateway.envoyproxy.io/gatewayclass-controller}
provider:
  type: Custom
  custom:
    resource: {type: File, file: {paths: [$DIR/resources]}}
    infrastructure:
      type: Host
      host: {configHome: $DIR/config, dataHome: $DIR/data, stateHome: $DIR/state, runtimeDir: $DIR/run}
extensionApis: {enableBackend: true}
`

// Envoy Gateway starts Weir where it looks for the version of Envoy that it wants, with the bootstrap and the flags that it would
// give to Envoy; Weir comes to it over mutual TLS, and what is asked for by the Gateway API is what real requests meet.
func TestEnvoyGateway(t *testing.T) {
	bin := plane(t, "envoy-gateway")
	dir := t.TempDir()
	place := filepath.Join(dir, "data/envoy-versions/1.39.1/bin")
	for _, d := range []string{place, filepath.Join(dir, "resources")} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(weir(t), filepath.Join(place, "envoy")); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(bin, "certgen", "--local", "--config-home", filepath.Join(dir, "config")).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	a, b := newOrigin(t, "a"), newOrigin(t, "b")
	cert, roots := newPair(t, "www.example.com")
	template, err := os.ReadFile("testdata/gateway.yaml")
	if err != nil {
		t.Fatal(err)
	}
	resources := func(weightA, weightB string) {
		write(t, filepath.Join(dir, "resources/all.yaml"), strings.NewReplacer(
			"$CERT", base64.StdEncoding.EncodeToString([]byte(cert.cert)), "$KEY", base64.StdEncoding.EncodeToString([]byte(cert.key)),
			"$PORT_A", a.port, "$PORT_B", b.port, "$WEIGHT_A", weightA, "$WEIGHT_B", weightB,
		).Replace(string(template)))
	}
	resources("75", "25")
	write(t, filepath.Join(dir, "eg.yaml"), strings.ReplaceAll(envoyGateway, "$DIR", dir))
	start(t, dir, nil, bin, "server", "--config-path", filepath.Join(dir, "eg.yaml"))

	c := newClient(t, "127.0.0.1:18888", nil)
	const url = "http://www.example.com"
	until(t, "requests are served", func() bool { return c.get(url).status == 200 })

	if n := c.share(400, "a", url); n < 65 || n > 85 {
		t.Errorf("%d %% went to the one of weight 75", n)
	}
	for range 20 {
		if got := c.get(url, "x-version", "v2"); got.body != "b" {
			t.Fatalf("with the header: %+v", got)
		}
	}
	if got := c.get(url + "/old/page"); got.status != 301 || got.location != "https://www.example.com/new/page" {
		t.Errorf("redirect: %+v", got)
	}
	if got := c.get("http://other.example.com"); got.status != 404 {
		t.Errorf("a host without a route: %+v", got)
	}

	b.slow.Store(int64(2 * time.Second))
	began := time.Now()
	if got := c.get(url + "/slow"); got.status != 504 || time.Since(began) > time.Second {
		t.Errorf("timeout of 300 ms: %+v after %v", got, time.Since(began))
	}
	b.slow.Store(0)

	b.failing.Store(2)
	before := b.requests.Load()
	if got, n := c.get(url, "x-version", "v2"), b.requests.Load()-before; got.body != "b" || n != 3 {
		t.Errorf("retry: %+v after %d tries", got, n)
	}
	b.failing.Store(0)

	secure := newClient(t, "127.0.0.1:18889", roots)
	if got := secure.get("https://www.example.com", "x-version", "v2"); got.body != "b" || !got.h2 {
		t.Errorf("TLS: %+v", got)
	}

	resources("0", "100")
	began = time.Now()
	until(t, "a change of weights arrives", func() bool { return c.share(10, "b", url) == 100 })
	t.Logf("a change of weights was seen after %v", time.Since(began))
}
