package e2e

import (
	"fmt"
	"testing"

	"github.com/weirproxy/weir/config"
)

func (w *world) serveShop() string {
	w.serveHTTP(w.at4("8081"), named("v1"))
	w.serveHTTP(w.at4("8082"), named("v2"))
	return "http://" + w.at4("80") + "/"
}

func TestPercentageRoutingAndLivePushUnderLoad(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	url := w.serveShop()
	c := w.newControl(fmt.Sprintf(shop, weighted(90, 10), ""))
	w.start(dynamic, takeAll...)
	first := w.startLoad(url, 8, 1500).wait()
	if first.failed > 0 {
		t.Fatal(first)
	}
	w.share(first, "v2", 0.10)

	// Every push is made with requests under way, and none is lost.
	l := w.startLoad(url, 8, 0)
	for i := range 6 {
		w.more(l, 50)
		c.mustPush(config.RouteURL, fmt.Sprintf(shop, weighted(10*i, 100-10*i), ""))
	}
	w.more(l, 50)
	if got := l.end(); got.failed > 0 {
		t.Error(got)
	}
	c.mustPush(config.RouteURL, fmt.Sprintf(shop, weighted(1, 1), "")) // any total
	last := w.startLoad(url, 8, 1500).wait()
	if last.failed > 0 {
		t.Error(last)
	}
	w.share(last, "v2", 0.50)
}
