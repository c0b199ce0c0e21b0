package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestQuickstart plays docs/quickstart.md: its bootstrap, its commands, its undo.
func TestQuickstart(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/quickstart.md")
	if err != nil {
		t.Fatal(err)
	}
	_, boot, ok := strings.Cut(string(page), "```yaml\n")
	boot, _, more := strings.Cut(boot, "```")
	if !ok || !more {
		t.Fatal("the page has no bootstrap")
	}
	for _, command := range []string{
		"bin/weir validate -c weir.yaml", "bin/weir intercept plan --ports 80 --port 15001",
		"sudo bin/weir -c weir.yaml --intercept 80\n", "stats?usedonly", "sudo bin/weir intercept status",
	} {
		if !strings.Contains(string(page), command) {
			t.Errorf("the page no longer has %q: play what it has", command)
		}
	}
	w := newWorld(t)
	before := w.network()
	boot = strings.NewReplacer("path: admin.sock", "path: "+w.socket(), "path: access.log", "path: "+filepath.Join(w.dir, "access.log")).Replace(boot)
	file := filepath.Join(w.dir, "weir.yaml")
	if err := os.WriteFile(file, []byte(boot), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, code := w.run("validate", "-c", file); code != 0 {
		t.Fatalf("validate: %d\n%s", code, out)
	}
	if out, code := w.run("intercept", "plan", "--ports", "80", "--port", "15001"); code != 0 || !strings.Contains(out, "tproxy") {
		t.Errorf("plan: %d\n%s", code, out)
	}
	w.serveHTTP(w.at4("80"), named("server"))
	p := w.spawn("-c", file, "--intercept", "80")
	p.waitReady()
	if r := w.mustGet(w.client(), "http://"+w.at4("80")+"/"); r.code != 200 || r.origin != "server" || r.seen == w.top.ClientAddr4().String() {
		t.Errorf("%d from %q, which saw %q", r.code, r.origin, r.seen)
	}
	if body := w.mustAdmin("/stats?usedonly"); !strings.Contains(body, "http.web.downstream_rq_total: 1\n") {
		t.Errorf("statistics:\n%s", body)
	}
	p.stop()
	if log, err := os.ReadFile(filepath.Join(w.dir, "access.log")); err != nil || !strings.Contains(string(log), `"GET / HTTP/1.1" 200`) {
		t.Errorf("access log %q, %v", log, err)
	}
	w.restored(before)
	if out, code := w.run("intercept", "status"); code != 0 {
		t.Errorf("status: %d\n%s", code, out)
	}
}
