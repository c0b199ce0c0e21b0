package controlplane

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// origin is an HTTP server that says its name.
func origin(t *testing.T, name string) (port string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
		_, _ = io.WriteString(rw, name+" "+req.URL.Path)
	})}
	var wg sync.WaitGroup
	wg.Go(func() { _ = s.Serve(ln) })
	t.Cleanup(func() { _ = s.Close(); wg.Wait() })
	_, port, _ = net.SplitHostPort(ln.Addr().String())
	return port
}

// A folder is a volume of Kubernetes: files are links into "..data", a link to a directory that is swapped as a whole.
type folder struct {
	t   *testing.T
	dir string
	n   int
}

// swap puts files into place.
func (f *folder) swap(files map[string]string) {
	f.t.Helper()
	f.n++
	version := fmt.Sprintf("..v%d", f.n)
	f.must(os.Mkdir(filepath.Join(f.dir, version), 0o700))
	for name, text := range files {
		f.must(os.WriteFile(filepath.Join(f.dir, version, name), []byte(text), 0o600))
		if _, err := os.Lstat(filepath.Join(f.dir, name)); err != nil {
			f.must(os.Symlink(filepath.Join("..data", name), filepath.Join(f.dir, name)))
		}
	}
	f.must(os.Symlink(version, filepath.Join(f.dir, "..tmp")))
	f.must(os.Rename(filepath.Join(f.dir, "..tmp"), filepath.Join(f.dir, "..data")))
	if f.n > 1 {
		f.must(os.RemoveAll(filepath.Join(f.dir, fmt.Sprintf("..v%d", f.n-1))))
	}
}

func (f *folder) must(err error) {
	f.t.Helper()
	if err != nil {
		f.t.Fatal(err)
	}
}

// TestVolumes: clusters, endpoints, listeners and routes, each by a file of a volume, one swap for all.
func TestVolumes(t *testing.T) {
	t.Parallel()
	f := &folder{t: t, dir: t.TempDir()}
	at := dead(t)
	_, port, _ := net.SplitHostPort(at)
	source := func(name string) string {
		return fmt.Sprintf("{path_config_source: {path: %s, watched_directory: {path: %s}}}", filepath.Join(f.dir, name), f.dir)
	}
	const typ = "type.googleapis.com/envoy."
	files := func(rewrite, to string) map[string]string {
		return map[string]string{
			"cds.yaml": fmt.Sprintf(`resources: [{"@type": %sconfig.cluster.v3.Cluster, name: web, type: EDS, eds_cluster_config: {eds_config: %s}}]`, typ, source("eds.yaml")),
			"eds.yaml": fmt.Sprintf(`resources: [{"@type": %sconfig.endpoint.v3.ClusterLoadAssignment, cluster_name: web, endpoints: [{lb_endpoints: `+
				`[{endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: %s}}}}]}]}]`, typ, to),
			"rds.yaml": fmt.Sprintf(`resources: [{"@type": %sconfig.route.v3.RouteConfiguration, name: r, virtual_hosts: [{name: all, domains: ["*"], `+
				`routes: [{match: {prefix: /}, route: {cluster: web, prefix_rewrite: %s}}]}]}]`, typ, rewrite),
			"lds.yaml": fmt.Sprintf(`resources: [{"@type": %sconfig.listener.v3.Listener, name: in, address: {socket_address: {address: 127.0.0.1, port_value: %s}}, `+
				`filter_chains: [{filters: [{name: hcm, typed_config: {"@type": %sextensions.filters.network.http_connection_manager.v3.HttpConnectionManager, `+
				`stat_prefix: in, rds: {route_config_name: r, config_source: %s}, http_filters: [{name: router, typed_config: `+
				`{"@type": %sextensions.filters.http.router.v3.Router}}]}}]}]}]`, typ, port, typ, source("rds.yaml"), typ),
		}
	}
	f.swap(files("/one", origin(t, "a")))
	w := weir(t, fmt.Sprintf("dynamic_resources: {cds_config: %s, lds_config: %s}\n", source("cds.yaml"), source("lds.yaml")))
	w.wait("http://"+at+"/x", "a /one")
	f.swap(files("/two", origin(t, "b")))
	w.wait("http://"+at+"/x", "b /two")
	if strings.Contains(w.logs.String(), "\terror\t") {
		t.Error("errors in the log")
	}
}
