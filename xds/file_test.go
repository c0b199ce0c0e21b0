package xds_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/weirproxy/weir/config/filewatch"
	"github.com/weirproxy/weir/xds"
	"github.com/weirproxy/weir/xds/server"
)

func put(t testing.TB, path, text string) {
	t.Helper()
	tmp := path + ".new"
	if err := os.WriteFile(tmp, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(tmp, path); err != nil {
		t.Fatal(err)
	}
}

func clusterFile(names ...string) string {
	var b strings.Builder
	b.WriteString("resources:\n")
	for _, n := range names {
		b.WriteString("- \"@type\": type.googleapis.com/envoy.config.cluster.v3.Cluster\n  name: " + n + "\n")
	}
	return b.String()
}

func TestFileSource(t *testing.T) {
	path := filepath.Join(t.TempDir(), "cds.yaml")
	w := newWorld(t)
	w.connect(xds.Options{Files: []xds.File{{Path: path, Type: xds.SourceType{TypeURL: xds.ClusterType}}}})
	failed := func(text string) func() bool {
		return func() bool { return strings.Contains(w.client.Status().Sources[0].Err, text) }
	}
	w.wait("the missing file", failed("no such file"))

	put(t, path, clusterFile("a", "b"))
	w.wait("two clusters", func() bool { return len(w.last().Clusters) == 2 })
	a := w.now().Clusters["a"]

	put(t, path, "resources:\n- \"@type\": type.googleapis.com/envoy.config.cluster.v3.Cluster\n  nam: a\n")
	w.wait("the broken file", failed("cds.yaml:3:3"))
	if len(w.now().Clusters) != 2 {
		t.Error("a broken file took the clusters away")
	}

	put(t, path, clusterFile("a", "c"))
	w.wait("the new cluster", func() bool { return w.last().Clusters["c"] != nil && w.last().Clusters["b"] == nil })
	if w.now().Clusters["a"] != a {
		t.Error("a cluster that did not change is another object")
	}

	put(t, path, clusterFile("a", "c", "d")+"  connect_timeout: -1s\n")
	w.wait("the refused cluster", func() bool {
		n := nackOf(w.client.Status(), xds.ClusterType)
		return n != nil && n.Standing && strings.Contains(n.Text, `cluster "d": `+path+`:8:20: resources[2].connect_timeout: `)
	})

	put(t, path, "")
	w.wait("the empty file", failed("empty file"))
	if n := w.client.Stats().Type(xds.ClusterType).Failure.Load(); n < 3 {
		t.Errorf("update_failure is %d", n)
	}
}

// A Kubernetes volume holds a link to a folder whose name changes: path stays, what it leads to is another file.
func TestFileBehindALink(t *testing.T) {
	dir := t.TempDir()
	version := func(name, text string) {
		t.Helper()
		if err := os.Mkdir(filepath.Join(dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
		put(t, filepath.Join(dir, name, "cds.yaml"), text)
		if err := os.Symlink(name, filepath.Join(dir, "..data.new")); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(filepath.Join(dir, "..data.new"), filepath.Join(dir, "..data")); err != nil {
			t.Fatal(err)
		}
	}
	version("..1", clusterFile("a"))
	w := newWorld(t)
	w.connect(xds.Options{Files: []xds.File{{
		Path: filepath.Join(dir, "..data", "cds.yaml"), Watch: dir, Type: xds.SourceType{TypeURL: xds.ClusterType},
	}}})
	w.wait("the first version", func() bool { return w.last().Clusters["a"] != nil })
	version("..2", clusterFile("b"))
	w.wait("the second version", func() bool { return w.last().Clusters["b"] != nil && w.last().Clusters["a"] == nil })
}

// A file and the aggregated stream share the types: the stream serves what no file does.
func TestFileBesideTheStream(t *testing.T) {
	path := filepath.Join(t.TempDir(), "cds.yaml")
	put(t, path, clusterFile("a"))
	w := newWorld(t)
	w.serve("", server.Options{AllowInconsistent: true})
	w.set(edsCluster("ignored"), rdsListener(t, "in", "r"), routeTo("r", "a"))
	w.connect(xds.Options{
		ADS:   &xds.ADS{Services: xds.Servers(w.addr)},
		Files: []xds.File{{Path: path, Type: xds.SourceType{TypeURL: xds.ClusterType}}},
	})
	w.wait("the listener of the stream and the cluster of the file", func() bool {
		return w.last().Listeners["in"] != nil && w.last().Clusters["a"] != nil
	})
	if len(w.now().Clusters) != 1 {
		t.Errorf("clusters are %v", w.now().Clusters)
	}
}

// A file that cannot be read is told once, however often its folder changes: the log itself may be written there.
func TestFailureIsToldOnce(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "cds.yaml")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	w := newWorld(t)
	w.connect(xds.Options{Files: []xds.File{{Path: file, Type: xds.SourceType{TypeURL: xds.ClusterType}}}})
	failures := func() uint64 { return w.client.Stats().Type(xds.ClusterType).Failure.Load() }
	w.wait("the failure", func() bool { return failures() == 1 })
	for i := range 3 {
		if err := os.WriteFile(filepath.Join(dir, "log"), []byte{byte(i)}, 0o600); err != nil {
			t.Fatal(err)
		}
		pause := time.NewTimer(3 * filewatch.Quiet)
		<-pause.C
	}
	if n := failures(); n != 1 {
		t.Errorf("told %d times", n)
	}
	if err := os.WriteFile(file, []byte("resources: []"), 0o600); err != nil {
		t.Fatal(err)
	}
	w.wait("the repair", func() bool { return w.client.Stats().Type(xds.ClusterType).Success.Load() == 1 })
}
