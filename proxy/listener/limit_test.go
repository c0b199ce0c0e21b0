package listener_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"testing"

	"github.com/weirproxy/weir/proxy/listener"
)

// A limit counts the connections of all listeners that share it, closes what is too much, and lets a new one in when one has ended.
func TestLimitOfAllListeners(t *testing.T) {
	r := newRig(t, nil)
	r.o.Limit = listener.NewLimit(2)
	const text = `{name: %[1]s, stat_prefix: %[1]s, address: {$loopback}, filter_chains: [{filters: [{name: say, typed_config: {$say: hello}}]}]%[2]s}`
	a, b := r.run(fmt.Sprintf(text, "a", "")), r.run(fmt.Sprintf(text, "b", ""))
	free := r.run(fmt.Sprintf(text, "free", ", ignore_global_conn_limit: true"))
	bypass := r.run(fmt.Sprintf(text, "bypass", ", bypass_overload_manager: true"))

	serves := func(x *running) (net.Conn, bool) {
		c := x.dial()
		line, err := bufio.NewReader(c).ReadString('\n')
		return c, err == nil && line != ""
	}
	first, ok1 := serves(a)
	second, ok2 := serves(b)
	if !ok1 || !ok2 {
		t.Fatal("refused below the limit")
	}
	for _, x := range []*running{a, b} {
		if _, ok := serves(x); ok {
			t.Error("one too many is served")
		}
		until(t, "it is counted", func() bool { return x.counter("downstream_global_cx_overflow") == 1 })
	}
	for _, x := range []*running{free, bypass} {
		if _, ok := serves(x); !ok {
			t.Errorf("%s has a limit", x.Name())
		}
	}
	_ = first.(*net.TCPConn).CloseWrite()
	_, _ = io.ReadAll(first) // until the listener has closed it
	until(t, "there is room", func() bool { _, ok := serves(b); return ok })
	_ = second.Close()
}
