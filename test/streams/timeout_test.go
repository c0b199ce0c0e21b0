package streams

import (
	"strings"
	"testing"

	"golang.org/x/net/http2"
)

// bounded has a timeout of a route, or of all streams.
func bounded(route, common string) string {
	return "common_http_protocol_options: {" + common + "}\nroute_config: {virtual_hosts: [{name: v, domains: [\"*\"], routes: [{match: {prefix: /}, route: {cluster: o" + route + "}}]}]}\n"
}

// TestTimeoutsOfStreams: a stream that takes too long is answered while that is
// possible and reset when it is not; the server of HTTP/2 hears of it either way.
func TestTimeoutsOfStreams(t *testing.T) {
	const body = "downstream duration timeout"
	for _, c := range []struct {
		name, hcm, early, detail string
	}{
		{"route timeout", bounded(", timeout: 0.2s", ""), "504 upstream request timeout END", "upstream_rq_timeout"},
		{"max_stream_duration", bounded(", timeout: 0s", "max_stream_duration: 0.2s"), "504 " + body + " END", ""},
		{"max_stream_duration of a route", bounded(", timeout: 0s, max_stream_duration: {max_stream_duration: 0.2s}", ""), "504 " + body + " END", ""},
		{"idle_timeout", bounded(", timeout: 0s, idle_timeout: 0.2s", ""), "504 stream timeout END", ""},
	} {
		for _, started := range []bool{false, true} {
			name, want := c.name+" before the response", c.early
			if started {
				name, want = c.name+" within the response", "200 part RST INTERNAL_ERROR"
			}
			t.Run(name, func(t *testing.T) {
				addr, came := origin(t, 2)
				r := through(t, 2, addr, c.hcm)
				h := r.DialH2()
				h.Request(1, true, "GET", "a.test", "/")
				a := <-came
				if started {
					a.answer(200)
					_ = a.send("part")
				}
				if got := h.Read(1, 1<<20); got != want {
					t.Errorf("%q, want %q", got, want)
				}
				if s := a.ended(); s != "reset" || a.pipe.(*framed).code != http2.ErrCodeCancel {
					t.Errorf("the origin saw %q, %v", s, a.pipe.(*framed).code)
				}
				over(t, r)
				if c.detail != "" && !started {
					r.Await("cluster.o."+c.detail, 1)
				}
				if strings.HasPrefix(c.name, "max_stream") && !started {
					r.Await("http.test.downstream_rq_max_duration_reached", 1)
				}
			})
		}
	}
}

// TestRequestThatNeverEnds: the bound of the stream ends a request of which the rest
// does not come.
func TestRequestThatNeverEnds(t *testing.T) {
	for _, version := range []int{1, 2} {
		addr, came := origin(t, version)
		r := through(t, version, addr, bounded(", timeout: 0s", "max_stream_duration: 0.2s"))
		h := r.DialH2()
		h.Request(1, false, "POST", "a.test", "/")
		_ = h.WriteData(1, false, []byte("some"))
		<-came
		if got := h.Read(1, 1<<20); got != "408 downstream duration timeout END" {
			t.Errorf("HTTP/%d: %q", version, got)
		}
		over(t, r)
	}
}
