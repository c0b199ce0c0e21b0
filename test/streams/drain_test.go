package streams

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"testing"

	"golang.org/x/net/http2"

	"github.com/weirproxy/weir/test/rig"
)

// load sends requests, several at a time, until the connection says that it goes
// away; every request must be answered. It closes busy once it is under way.
func load(h *rig.H2, busy *sync.WaitGroup) error {
	const abreast = 8
	next, open, answered := uint32(1), 0, 0
	away := false
	for !away || open > 0 {
		for !away && open < abreast {
			if err := h.WriteHeaders(http2.HeadersFrameParam{StreamID: next, BlockFragment: []byte{0x82, 0x86, 0x84, 0x41, 0x01, 'a'}, EndHeaders: true, EndStream: true}); err != nil {
				return fmt.Errorf("stream %d: %w", next, err)
			}
			next += 2
			open++
		}
		f, err := h.Next()
		if err != nil {
			return fmt.Errorf("%d answered, %d open: %w", answered, open, err)
		}
		switch f := f.(type) {
		case *http2.GoAwayFrame:
			if f.ErrCode != http2.ErrCodeNo || f.LastStreamID < next-2 {
				return fmt.Errorf("GOAWAY %v, %d of %d", f.ErrCode, f.LastStreamID, next-2)
			}
			away = true
		case *http2.RSTStreamFrame:
			return fmt.Errorf("stream %d: RST %v", f.StreamID, f.ErrCode)
		case *http2.MetaHeadersFrame:
			if s := f.PseudoValue("status"); s != "200" {
				return fmt.Errorf("stream %d: %s", f.StreamID, s)
			}
		}
		if ended(f) {
			open--
			if answered++; answered == 50 {
				busy.Done()
			}
		}
	}
	// The connection ends without a word more, but for the second GOAWAY.
	for {
		f, err := h.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if g, ok := f.(*http2.GoAwayFrame); !ok || g.ErrCode != http2.ErrCodeNo {
			return fmt.Errorf("%v after all was answered", f)
		}
	}
}

func ended(f http2.Frame) bool {
	switch f := f.(type) {
	case *http2.MetaHeadersFrame:
		return f.StreamEnded()
	case *http2.DataFrame:
		return f.StreamEnded()
	}
	return false
}

// TestDrainLosesNothing: a process that ends, and a listener that is removed or
// changed, answer all that HTTP/2 clients sent until they heard of it.
func TestDrainLosesNothing(t *testing.T) {
	config := func(origin string, listener bool) string {
		s := "clusters:\n- name: o\n  load_assignment: " + rig.Endpoint("o", origin) + "\n"
		if listener {
			s += `listeners:
- name: in
  address: {$loopback}
  filter_chains: [{filters: [{name: hcm, typed_config: {$hcm, stat_prefix: test, http_filters: [$router], route_config: {virtual_hosts: [{name: v, domains: ["*"], routes: [{match: {prefix: /}, route: {cluster: o}}]}]}}}]}]
`
		}
		return s
	}
	for name, drain := range map[string]func(r *rig.Rig, origin string){
		"the process ends":        func(r *rig.Rig, _ string) { r.Drain() },
		"the listener is removed": func(r *rig.Rig, origin string) { r.Apply(config(origin, false)) },
	} {
		t.Run(name, func(t *testing.T) {
			origin := rig.Origin(t, func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "hello") })
			r := rig.New(t, rig.Options{Config: config(origin, true)})
			const clients = 6
			var busy, done sync.WaitGroup
			busy.Add(clients)
			for range clients {
				h := r.DialH2()
				done.Go(func() {
					if err := load(h, &busy); err != nil {
						t.Error(err)
					}
				})
			}
			busy.Wait()
			drain(r, origin)
			done.Wait()
			r.Await("http.test.downstream_cx_active", 0)
			r.Await("http.test.downstream_rq_active", 0)
			r.Await("http.test.downstream_cx_drain_close", clients)
			if n, ok := r.Stat("http.test.downstream_rq_total"), r.Stat("http.test.downstream_rq_2xx"); n != ok || n < 50*clients {
				t.Errorf("%d requests, %d answered well", n, ok)
			}
		})
	}
}

// TestMaxRequestsPerConnection: a connection that has carried its requests is left,
// on either side, and no request is lost by that.
func TestMaxRequestsPerConnection(t *testing.T) {
	const top, clients = 60, 4
	combined := func(version int) {
		start, protocol := rig.Origin, "http_protocol_options"
		if version == 2 {
			start, protocol = rig.OriginH2C, "http2_protocol_options"
		}
		origin := start(t, func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "hello") })
		r := rig.New(t, rig.Options{
			HCM: fmt.Sprintf(`
stat_prefix: test
http_filters: [$router]
common_http_protocol_options: {max_requests_per_connection: %d}
route_config: {virtual_hosts: [{name: v, domains: ["*"], routes: [{match: {prefix: /}, route: {cluster: o}}]}]}
`, top),
			Config: "clusters:\n- name: o\n  load_assignment: " + rig.Endpoint("o", origin) + fmt.Sprintf(
				"\n  typed_extension_protocol_options: {envoy.extensions.upstreams.http.v3.HttpProtocolOptions: {$http_protocol_options, common_http_protocol_options: {max_requests_per_connection: 7}, explicit_http_config: {%s: {}}}}", protocol),
		})
		var busy, done sync.WaitGroup
		busy.Add(clients)
		for range clients {
			h := r.DialH2()
			done.Go(func() {
				if err := load(h, &busy); err != nil {
					t.Error(err)
				}
			})
		}
		done.Wait()
		r.Await("http.test.downstream_cx_active", 0)
		r.Await("http.test.downstream_cx_max_requests_reached", clients)
		n := r.Stat("http.test.downstream_rq_total")
		if ok := r.Stat("http.test.downstream_rq_2xx"); n != ok || n < top*clients {
			t.Errorf("%d requests, %d answered well", n, ok)
		}
		if cx := r.Stat("cluster.o.upstream_cx_total"); cx < n/7 {
			t.Errorf("%d requests on %d connections", n, cx)
		}
		if r.Stat("cluster.o.upstream_rq_total") != n {
			t.Errorf("%d requests became %d", n, r.Stat("cluster.o.upstream_rq_total"))
		}
	}
	for _, version := range []int{1, 2} {
		combined(version)
	}
}
