package router_test

import (
	"bytes"
	"testing"

	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/weirproxy/weir/config/extension"
	"github.com/weirproxy/weir/filters"
	"github.com/weirproxy/weir/proxy/header"
	"github.com/weirproxy/weir/proxy/stream"
)

// counting is a filter of several phases with state of its own.
type counting struct {
	slot stream.Slot[int]
	name header.Name
}

func (f *counting) OnRequestHeaders(s *stream.Stream) stream.Verdict {
	*f.slot.Of(s)++
	s.Request.SetString(f.name, "1")
	return stream.Continue
}

func (f *counting) OnResponseHeaders(s *stream.Stream) stream.Verdict {
	if *f.slot.Of(s) != 1 {
		s.MustClose()
	}
	s.Response.Del(f.name)
	return stream.Continue
}

func (f *counting) OnStreamEnd(s *stream.Stream) { *f.slot.Of(s) = 0 }

// countingFactory has no configuration.
func countingFactory() *extension.Factory {
	return filters.NewHTTP("test.counting",
		func(*emptypb.Empty, *extension.Context) (struct{}, error) { return struct{}{}, nil },
		func(_ struct{}, bc *filters.BuildContext) (any, error) {
			return &counting{filters.NewSlot[int](bc), header.Intern("x-" + bc.Name)}, nil
		})
}

// sixFilters come before the router.
var sixFilters = []string{"a", "b", "c", "d", "e", "f"}

func TestSixFiltersAllocateNothing(t *testing.T) {
	if racing {
		t.Skip("pools allocate at random under the race detector")
	}
	r := newRig(t, toA, map[string]string{"a": rawOrigin(t)}, sixFilters...)
	c := dialRaw(t, r.Addr)
	for range 100 {
		c.do(t)
	}
	if n := testing.AllocsPerRun(2000, func() { c.do(t) }); n != 0 {
		t.Errorf("%v allocations per request", n)
	}
}

func TestLocalRepliesAllocateNothing(t *testing.T) {
	if racing {
		t.Skip("pools allocate at random under the race detector")
	}
	routes := `{"name":"r","virtual_hosts":[{"name":"v","domains":["*"],"routes":[
	 {"match":{"path":"/direct"},"direct_response":{"status":200,"body":{"inline_string":"teapot"}}},
	 {"match":{"path":"/away"},"redirect":{"path_redirect":"/there"}}]}]}`
	r := newRig(t, routes, nil, sixFilters...)
	for path, last := range map[string]string{"/nowhere": "\r\n\r\n", "/direct": "teapot", "/away": "\r\n\r\n"} {
		c := dialRaw(t, r.Addr)
		req := []byte("GET " + path + " HTTP/1.1\r\nHost: a\r\n\r\n")
		end := []byte(last)
		do := func() {
			if _, err := c.s.Write(req); err != nil {
				t.Fatal(err)
			}
			n := 0
			for !bytes.HasSuffix(c.buf[:n], end) {
				k, err := c.s.Read(c.buf[n:])
				if err != nil {
					t.Fatalf("%v after %q", err, c.buf[:n])
				}
				n += k
			}
		}
		for range 100 {
			do()
		}
		if n := testing.AllocsPerRun(1000, do); n != 0 {
			t.Errorf("%s: %v allocations per request", path, n)
		}
	}
}
