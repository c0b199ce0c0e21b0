package listener_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/weirproxy/weir/config/runtime"
	"github.com/weirproxy/weir/proxy/listener"
)

// A limit counts the connections of all listeners that share it, closes what is too much, and lets a new one in when one has ended.
func TestLimitOfAllListeners(t *testing.T) {
	r := newRig(t, nil)
	r.o.Limit = listener.NewLimit(2, nil)
	const text = `{name: %[1]s, stat_prefix: %[1]s, address: {$loopback}, filter_chains: [{filters: [{name: say, typed_config: {$say: hello}}]}]%[2]s}`
	a, b := r.run(fmt.Sprintf(text, "a", "")), r.run(fmt.Sprintf(text, "b", ""))
	free := r.run(fmt.Sprintf(text, "free", ", ignore_global_conn_limit: true"))
	bypass := r.run(fmt.Sprintf(text, "bypass", ", bypass_overload_manager: true"))

	first, ok1 := served(a)
	second, ok2 := served(b)
	if !ok1 || !ok2 {
		t.Fatal("refused below the limit")
	}
	for _, x := range []*running{a, b} {
		if _, ok := served(x); ok {
			t.Error("one too many is served")
		}
		until(t, "it is counted", func() bool { return x.counter("downstream_global_cx_overflow") == 1 })
	}
	for _, x := range []*running{free, bypass} {
		if _, ok := served(x); !ok {
			t.Errorf("%s has a limit", x.Name())
		}
	}
	_ = first.(*net.TCPConn).CloseWrite()
	_, _ = io.ReadAll(first) // until the listener has closed it
	until(t, "there is room", func() bool { _, ok := served(b); return ok })
	_ = second.Close()
}

func served(x *running) (net.Conn, bool) {
	c := x.dial()
	line, err := bufio.NewReader(c).ReadString('\n')
	return c, err == nil && line != ""
}

// Without a bound of its own the limit of all listeners is what the runtime says at the moment, and a listener may have one besides.
func TestLimitsByRuntime(t *testing.T) {
	values := runtime.NewRegistry()
	set := func(text string) {
		t.Helper()
		m := &structpb.Struct{}
		if err := protojson.Unmarshal([]byte(text), m); err != nil {
			t.Fatal(err)
		}
		v, err := runtime.Flatten(m)
		if err != nil {
			t.Fatal(err)
		}
		values.Store(runtime.Merge([]*runtime.Layer{{Values: v}}))
	}
	r := newRig(t, nil)
	r.o.Limit, r.o.Runtime = listener.NewLimit(0, values), values
	const text = `{name: %[1]s, stat_prefix: %[1]s, address: {$loopback}, filter_chains: [{filters: [{name: say, typed_config: {$say: hello}}]}]}`
	a, b := r.run(fmt.Sprintf(text, "a")), r.run(fmt.Sprintf(text, "b"))
	f := func(x *running, want bool) {
		t.Helper()
		if _, ok := served(x); ok != want {
			t.Errorf("%s serves: %v, want %v", x.Name(), ok, want)
		}
	}
	f(a, true)
	f(a, true)
	set(`{"overload.global_downstream_max_connections": 3}`)
	f(b, true)
	f(b, false)
	f(a, false)
	set(`{"overload.global_downstream_max_connections": 50, "envoy.resource_limits.listener.a.connection_limit": 2}`)
	f(a, false)
	f(b, true)
	until(t, "it is counted", func() bool {
		return a.counter("downstream_cx_overflow") == 1 && a.counter("downstream_global_cx_overflow") == 1 && b.counter("downstream_global_cx_overflow") == 1
	})
	set(`{}`)
	f(a, true)
	f(b, true)
}
