package upstream

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"
)

// What must be in a body is looked for in its beginning, in order; what a check sends is what the origin gets.
func TestHTTPCheckOfBodies(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		_, _ = io.WriteString(w, "state: "+string(b)+", all is well")
	}))
	t.Cleanup(s.Close)
	addr := netip.MustParseAddrPort(s.Listener.Addr().String())
	receive := func(parts ...string) (out [][]byte) {
		for _, p := range parts {
			out = append(out, []byte(p))
		}
		return out
	}
	for _, c := range []struct {
		name    string
		receive [][]byte
		limit   int
		healthy bool
	}{
		{"all in order", receive("state", "hello", "well"), 1024, true},
		{"none asked for", nil, 1024, true},
		{"without a limit", receive("well"), 0, true},
		{"in another order", receive("hello", "state"), 1024, false},
		{"not there", receive("ill"), 1024, false},
		{"behind the limit", receive("well"), 10, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, Options{})
			cfg := static("a", addr)
			cfg.Health = often()
			cfg.Health.HTTP = getCheck()
			cfg.Health.HTTP.Method, cfg.Health.HTTP.Send = "POST", []byte("hello")
			cfg.Health.HTTP.Receive, cfg.Health.HTTP.BodyLimit = c.receive, c.limit
			r.apply(cfg)
			a := r.get("a")
			until(t, "a check is over", func() bool { return a.checks.Success.Value()+a.checks.Failure.Value() > 0 })
			if got := a.checks.Failure.Value() == 0; got != c.healthy {
				t.Errorf("healthy %v", got)
			}
		})
	}
}
