package e2e

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/weirproxy/weir/config"
)

func TestBadPushIsRefusedAndTheOldServesOn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	url := w.serveShop()
	c := w.newControl(fmt.Sprintf(shop, weighted(1, 1), ""))
	w.start(dynamic, takeAll...)
	w.mustGet(w.client(), url)

	l := w.startLoad(url, 4, 0)
	w.more(l, 20)
	err := c.push(config.RouteURL, fmt.Sprintf(shop, weighted(0, 0), ""))
	if err == nil {
		t.Fatal("weights that add up to 0 were accepted")
	}
	for _, want := range []string{`"shop"`, "virtual_hosts[0].routes[0]", "weighted_clusters"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the refusal does not name %s: %v", want, err)
		}
	}
	w.more(l, 20)

	// Good resources of a refused response take effect; the bad one keeps its last good version.
	bad := `- {$Cluster, name: broken, type: STATIC, connect_timeout: -1s}
- {$Cluster, name: extra, type: STATIC, connect_timeout: 1s, load_assignment: {cluster_name: extra}}`
	if err := c.push(config.ClusterURL, fmt.Sprintf(shop, weighted(0, 0), bad)); err == nil || !strings.Contains(err.Error(), `"broken"`) || strings.Contains(err.Error(), `"extra"`) {
		t.Errorf("push of one bad cluster and one good: %v", err)
	}
	w.until("the good cluster is there", func() error {
		if body := w.mustAdmin("/clusters"); !strings.Contains(body, "extra::") {
			return fmt.Errorf("clusters: %s", tail(body, 300))
		}
		return nil
	})
	w.more(l, 20)
	if got := l.end(); got.failed > 0 {
		t.Error(got)
	}

	// It can be seen.
	dump := w.mustAdmin("/config_dump")
	if !json.Valid([]byte(dump)) || !strings.Contains(dump, "error_state") || !strings.Contains(dump, "weighted_clusters") {
		t.Errorf("config_dump does not show the refusal:\n%s", tail(dump, 2000))
	}
	w.waitStat("cluster_manager.cds.update_rejected", 1)
	w.waitStat("xds.rds.update_rejected", 1)

	// And mended.
	c.mustPush(config.RouteURL, fmt.Sprintf(shop, weighted(0, 1), ""))
	if r := w.mustGet(w.client(), url); r.origin != "v2" {
		t.Errorf("answered by %s after the mended push", r.origin)
	}
}

func TestListenerUpdateKeepsConnections(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	url := w.serveShop()
	text := fmt.Sprintf(shop, weighted(1, 0), "")
	c := w.newControl(text)
	w.start(dynamic, takeAll...)
	l := w.dial(w.at4("80"))
	ask := func() {
		t.Helper()
		l.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		if r := l.response("GET"); r.code != 200 || r.closes {
			t.Fatalf("%d, closes: %t", r.code, r.closes)
		}
	}
	ask()
	load := w.startLoad(url, 4, 0)
	w.more(load, 20)
	// One more chain, that takes nothing of this; the chain there is stays as it is.
	more := strings.Replace(text, "    filter_chains:\n", `    filter_chains:
    - name: other
      filter_chain_match: {destination_port: 9999}
      filters: [{name: tcp, typed_config: {$tcp_proxy, stat_prefix: other, cluster: v2}}]
`, 1)
	c.mustPush(config.ListenerURL, more)
	w.waitStat("listener_manager.listener_in_place_updated", 1)
	w.more(load, 20)
	ask()
	if got := load.end(); got.failed > 0 {
		t.Error(got)
	}

	// A chain that changes lets its connections end at a good moment, which is
	// now for one between two requests.
	c.mustPush(config.ListenerURL, strings.Replace(more, "stat_prefix: in\n", "stat_prefix: anew\n", 1))
	w.waitStat("listener_manager.listener_in_place_updated", 2)
	l.ended()
	w.mustGet(w.client(), url)
	w.waitStat("http.anew.downstream_rq_completed", 1)
}

// The control plane takes the cluster away before it changes the route: clusters
// come first in a push. Weir keeps it until nothing needs it.
func TestClustersAreRemovedLast(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	url := w.serveShop()
	both := fmt.Sprintf(shop, weighted(1, 0), "")
	var kept []string
	for line := range strings.Lines(fmt.Sprintf(shop, "{match: {prefix: /}, route: {cluster: v2}}", "")) {
		if !strings.Contains(line, "name: v1") {
			kept = append(kept, line)
		}
	}
	only := strings.Join(kept, "")
	c := w.newControl(both)
	w.start(dynamic, takeAll...)
	w.mustGet(w.client(), url)
	l := w.startLoad(url, 8, 0)
	for range 3 {
		w.more(l, 50)
		c.mustPush(config.RouteURL, only)
		w.until("v1 is gone", func() error {
			if strings.Contains(w.mustAdmin("/clusters"), "v1::") {
				return fmt.Errorf("it is there")
			}
			return nil
		})
		w.more(l, 50)
		c.mustPush(config.RouteURL, both)
	}
	if got := l.end(); got.failed > 0 || got.by["v1"] == 0 || got.by["v2"] == 0 {
		t.Error(got)
	}
}
