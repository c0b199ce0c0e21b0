package route

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"github.com/weirproxy/weir/proxy/header"
	"google.golang.org/protobuf/encoding/protojson"
)

// The tests of this file ask a real Envoy what random tables do with random
// requests. They run when WEIR_ENVOY is the path of its binary; WEIR_SEED repeats
// a run.

// envoy runs Envoy on a table, every cluster of which is the upstream's port.
func envoy(t *testing.T, rc *routev3.RouteConfiguration, upstream int, clusters ...string) (addr string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr = l.Addr().String()
	port := l.Addr().(*net.TCPAddr).Port
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	table, err := protojson.Marshal(rc)
	if err != nil {
		t.Fatal(err)
	}
	address := func(p int) string {
		return fmt.Sprintf(`"address": {"socket_address": {"address": "127.0.0.1", "port_value": %d}}`, p)
	}
	var cl []string
	for _, n := range clusters {
		cl = append(cl, fmt.Sprintf(`{"name": %q, "load_assignment": {"cluster_name": %q, "endpoints": [{"lb_endpoints": [{"endpoint": {%s}}]}]}}`,
			n, n, address(upstream)))
	}
	const typ = `"@type": "type.googleapis.com/envoy.extensions.filters.`
	file := filepath.Join(t.TempDir(), "envoy.json")
	config := fmt.Sprintf(`{"static_resources": {"clusters": [%s], "listeners": [{"name": "l", %s, "filter_chains": [{"filters": [{"name": "h", "typed_config": {
		%snetwork.http_connection_manager.v3.HttpConnectionManager", "stat_prefix": "x", "route_config": %s,
		"http_filters": [{"name": "r", "typed_config": {%shttp.router.v3.Router"}}]}}]}]}]}}`, strings.Join(cl, ","), address(port), typ, table, typ)
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Getenv("WEIR_ENVOY"), "-c", file, "--concurrency", "1", "-l", "error", "--disable-hot-restart")
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for range 500 {
		if c, err := net.Dial("tcp", addr); err == nil {
			_ = c.Close()
			return addr
		}
		<-tick.C
	}
	t.Fatal("envoy does not listen")
	return ""
}

// send writes one request and gives the status and what matters of the answer:
// the location of a redirect, else the body.
func send(t *testing.T, addr string, r *Request) (code int, answer string) {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprintf(c, "%s %s HTTP/1.1\r\nHost: %s\r\nContent-Length: 0\r\nConnection: close\r\n", r.Method, r.Path, r.Authority)
	for i := range r.Headers.Len() {
		if n, v := r.Headers.At(i); n[0] != ':' {
			fmt.Fprintf(c, "%s: %s\r\n", n, v)
		}
	}
	fmt.Fprint(c, "\r\n")
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode > 300 {
		return resp.StatusCode, resp.Header.Get("Location")
	}
	return resp.StatusCode, string(b)
}

// echo answers every request with its path and its host.
func echo(t *testing.T) (port int) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				req, err := http.ReadRequest(bufio.NewReader(c))
				if err == nil { // RequestURI is the path as sent
					body := req.RequestURI + " " + req.Host
					fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s", len(body), body)
				}
			}()
		}
	}()
	return l.Addr().(*net.TCPAddr).Port
}

// ourAnswer is what Weir makes of a request, in the terms of send.
func ourAnswer(table *Table, r *Request) (int, string) {
	rt := table.Match(r, nil)
	switch {
	case rt == nil:
		return 404, ""
	case rt.Direct != nil:
		return rt.Direct.Code, string(rt.Direct.Body)
	case rt.Redirect != nil:
		return rt.Redirect.Code, string(rt.Redirect.AppendLocation(nil, r))
	}
	host, ok := rt.Forward.AppendHost(nil, nil, r)
	if !ok {
		host = r.Authority
	}
	return 200, string(rt.AppendPath(nil, r.Path)) + " " + string(host)
}

func TestEnvoyAgrees(t *testing.T) {
	if os.Getenv("WEIR_ENVOY") == "" {
		t.Skip("WEIR_ENVOY is not set to the path of an Envoy binary")
	}
	seed := rand.Uint64()
	if s := os.Getenv("WEIR_SEED"); s != "" {
		seed = mustUint(t, s)
	}
	for _, c := range []struct {
		name  string
		vhost func(dice) *routev3.VirtualHost
	}{{"paths", dice.pathHost}, {"conditions", dice.conditionHost}, {"rewrites", dice.rewriteHost}} {
		t.Run(c.name, func(t *testing.T) {
			d := dice{rand.New(rand.NewPCG(seed, 0))}
			rc := &routev3.RouteConfiguration{Name: "t", IgnorePortInHostMatching: true, VirtualHosts: d.domainHosts()}
			const hosts = 100
			for i := range hosts {
				v := c.vhost(d)
				v.Name = "v" + strconv.Itoa(i)
				v.Domains = []string{v.Name}
				answerDirectly(v)
				rc.VirtualHosts = append(rc.VirtualHosts, v)
			}
			table, err := Decode(rc, nil)
			if err != nil {
				t.Fatal(err)
			}
			addr := envoy(t, rc, echo(t), "c")
			for i := range hosts * 15 {
				r := d.fullRequest("v" + strconv.Itoa(i%hosts))
				code, want := send(t, addr, r)
				ours, got := ourAnswer(table, r)
				if code != 400 && (code != ours || got != want) { // 400: Envoy's codec
					t.Errorf("seed %d: %s %s %s%s: envoy %d %q, ours %d %q", seed, r.Method, r.Authority, r.Path, fields(r.Headers), code, want, ours, got)
					if vh := table.Host(r, nil); vh != nil {
						t.Logf("%v", rc.VirtualHosts[vh.Index])
					}
				}
			}
		})
	}
}

// answerDirectly gives routes without an action one that tells which they are.
func answerDirectly(v *routev3.VirtualHost) {
	for i, r := range v.Routes {
		if r.Action == nil {
			r.Action = &routev3.Route_DirectResponse{DirectResponse: &routev3.DirectResponseAction{Status: 200, Body: &corev3.DataSource{
				Specifier: &corev3.DataSource_InlineString{InlineString: v.Name + " " + strconv.Itoa(i)},
			}}}
		}
	}
}

// fullRequest has every kind of thing that criteria look at; now and then its
// host is one for domainHosts.
func (d dice) fullRequest(host string) *Request {
	h := &header.Headers{}
	r := &Request{Headers: h, Method: []byte(d.oneOf("GET", "POST"))}
	if d.IntN(5) == 0 {
		host = d.domain("") + d.oneOf(".", "-") + d.domain("a")
	}
	r.Authority = []byte(host + d.oneOf("", "", ":80", ":443", ":8080"))
	r.Path = []byte(d.path() + d.oneOf("", "", "?", "?a=/a", "?a=b&a=a", "?b=ab&a=1", "?a", "?a=&b", "?%61=a", "?a=a=b", "?&&a=a", "?=a", "?b=A;a=a"))
	h.AddString(header.Method, string(r.Method))
	h.AddString(header.Authority, string(r.Authority))
	h.AddString(header.Path, string(r.Path))
	for range d.IntN(4) {
		h.AddString(header.Intern(d.oneOf("x", "y", "via", "x")), d.oneOf("a", "b", "ab", "A", "1", "3", "a,b", "B,a", "", "+2", "-1", "02", "1.0"))
	}
	for range d.IntN(3) {
		h.AddString(header.Intern("cookie"), d.oneOf("a=a", "a=b; b=a", `b="ab"`, "a", "a=", "b = a", "a=a;a=b", "b=A;", "a=1; b=1,2"))
	}
	if d.IntN(3) == 0 {
		h.AddString(header.XForwardedProto, d.oneOf("http", "https"))
	}
	return r
}
