package e2e

import (
	"errors"
	"fmt"
	"testing"

	"github.com/weirproxy/weir/config"
)

func TestControlPlaneMayRestart(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	url := w.serveShop()
	text := fmt.Sprintf(shop, weighted(1, 0), "")
	c := w.newControl(text)
	w.start(dynamic, takeAll...)
	w.mustGet(w.client(), url)
	w.waitStat("control_plane.connected_state", 1)

	l := w.startLoad(url, 4, 0)
	w.more(l, 20)
	c.stop()
	w.until("the loss is seen", func() error {
		if w.stat("control_plane.connected_state") != 0 {
			return errors.New("connected")
		}
		return nil
	})
	w.more(l, 50)
	c.start(text)
	w.waitStat("control_plane.connected_state", 1)
	w.more(l, 50)
	c.mustPush(config.RouteURL, fmt.Sprintf(shop, weighted(0, 1), ""))
	if got := l.end(); got.failed > 0 {
		t.Error(got)
	}
	if r := w.mustGet(w.client(), url); r.origin != "v2" {
		t.Errorf("a push after the restart: answered by %q", r.origin)
	}
}

// Without its control plane Weir starts, and interception takes nothing that it
// could not serve: traffic goes where it was going.
func TestControlPlaneMayComeLater(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	url := w.serveShop()
	w.serveHTTP(w.at4("80"), named("direct"))
	w.launch(dynamic, append(takeAll, "--intercept-port", "15001")...)
	w.until("the admin interface answers", func() error {
		_, err := w.admin("/ready")
		return err
	})
	if r := w.mustGet(w.client(), url); r.origin != "direct" {
		t.Errorf("answered by %q before there is a configuration", r.origin)
	}
	w.newControl(fmt.Sprintf(shop, weighted(1, 0), ""))
	w.until("what the control plane says is in force", func() error {
		r, err := get(w.client(), url)
		if err == nil && r.origin != "v1" {
			err = fmt.Errorf("answered by %q", r.origin)
		}
		return err
	})
	w.until("weir is ready", func() error {
		if body := w.mustAdmin("/ready"); body != "LIVE\n" {
			return fmt.Errorf("state %q", body)
		}
		return nil
	})
}
