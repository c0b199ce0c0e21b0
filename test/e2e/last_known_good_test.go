package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/weirproxy/weir/config"
)

// keepArgs make Weir keep the last known good configuration and not wait long for a control plane.
func (w *world) keepArgs() (path string, args []string) {
	path = filepath.Join(w.dir, "last-known-good")
	return path, append(takeAll[:len(takeAll):len(takeAll)], "--last-known-good", path, "--last-known-good-wait", "1")
}

// written waits until the file holds what was pushed last: it is whole, and its header names us.
func (w *world) written(path, word string) {
	w.t.Helper()
	w.until("the last known good configuration is written", func() error {
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if !strings.Contains(string(b), word) {
			return fmt.Errorf("%q is not in it", word)
		}
		return nil
	})
}

// shown holds everything that shows the last known good configuration to saying so, or to not saying so.
func (w *world) shown(serves bool) {
	w.t.Helper()
	ready, xds := w.mustAdmin("/ready?verbose"), w.mustAdmin("/xds?format=json")
	var st struct {
		LastGood *struct {
			Resources int `json:"resources"`
		} `json:"last_known_good"`
	}
	if err := json.Unmarshal([]byte(xds), &st); err != nil {
		w.t.Fatal(err)
	}
	for what, says := range map[string]bool{
		"/ready?verbose":   strings.Contains(ready, "last known good configuration of "),
		"/xds?format=json": st.LastGood != nil && st.LastGood.Resources > 0,
		"/xds":             strings.Contains(w.mustAdmin("/xds"), "last known good configuration of "),
		"/config_dump":     strings.Contains(w.mustAdmin("/config_dump"), `"version_info": "last-known-good/`),
	} {
		if says != serves {
			w.t.Errorf("%s shows that the last known good configuration serves: %v, want %v", what, says, serves)
		}
	}
}

// A gateway that was killed starts without its control plane, from what it had last; when the control plane is back, its word
// replaces that without losing a request.
func TestLastKnownGood(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	url := w.serveShop()
	path, args := w.keepArgs()
	c := w.newControl(fmt.Sprintf(shop, weighted(1, 0), ""))
	p := w.start(dynamic, args...)
	w.shown(false)
	c.mustPush(config.RouteURL, fmt.Sprintf(shop, "{name: last-push, "+strings.TrimPrefix(weighted(0, 1), "{"), ""))
	w.written(path, "last-push")
	p.kill()
	c.stop()

	p = w.start(dynamic, args...)
	if r := w.mustGet(w.client(), url); r.origin != "v2" {
		t.Errorf("answered by %q, the last push said v2", r.origin)
	}
	w.shown(true)
	p.waitLog("no control plane answered in 1s", "serving the last known good configuration of")
	w.until("the gauge", func() error {
		if w.stat("control_plane.last_known_good") == 0 {
			return errors.New("is 0")
		}
		return nil
	})

	l := w.startLoad(url, 4, 0)
	w.more(l, 20)
	c.start(fmt.Sprintf(shop, weighted(1, 0), ""))
	w.until("the control plane's word is in force", func() error {
		if r := w.mustGet(w.client(), url); r.origin != "v1" {
			return fmt.Errorf("answered by %q", r.origin)
		}
		return nil
	})
	w.waitStat("control_plane.last_known_good", 0)
	w.more(l, 20)
	if got := l.end(); got.failed > 0 {
		t.Error(got)
	}
	w.shown(false)
	p.waitLog("LDS from ads answered: it replaces the last known good configuration of")
	w.until("the file is the new one", func() error {
		if b, _ := os.ReadFile(path); strings.Contains(string(b), "last-push") {
			return errors.New("it is the old one")
		}
		return nil
	})
}

// Files that are not ours are refused by a line that says why, and the start goes on.
func TestLastKnownGoodThatIsNot(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	url := w.serveShop()
	w.serveHTTP(w.at4("80"), named("direct"))
	path, args := w.keepArgs()
	c := w.newControl(fmt.Sprintf(shop, weighted(1, 0), ""))
	p := w.start(dynamic, args...)
	w.written(path, "e2e")
	p.stop()
	c.stop()
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range []struct {
		name, line string
		file       []byte
		boot       string
	}{
		{"corrupt", "is corrupt: its checksum is wrong", whole[:len(whole)-1], dynamic},
		{"another node", `is not ours: it was written by node "e2e", this is "other"`, whole, strings.Replace(dynamic, "id: e2e", "id: other", 1)},
		{"another bootstrap", "is not ours: the bootstrap names other control planes", whole, strings.Replace(dynamic, "cluster_name: control}", "cluster_name: control, authority: other}", 1)},
	} {
		if err := os.WriteFile(path, x.file, 0o600); err != nil {
			t.Fatal(err)
		}
		p := w.launch(x.boot, append(args, "--intercept-port", "15001")...)
		p.waitLog("there is no last known good configuration", x.line)
		if r := w.mustGet(w.client(), url); r.origin != "direct" {
			t.Errorf("%s: answered by %q", x.name, r.origin)
		}
		p.stop()
		if now, _ := os.ReadFile(path); string(now) != string(x.file) {
			t.Errorf("%s: the file was written, though nobody answered", x.name)
		}
	}
}
