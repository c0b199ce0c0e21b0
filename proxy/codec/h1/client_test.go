package h1

import (
	"testing"
	"time"

	"github.com/weirproxy/weir/proxy/header"
	"github.com/weirproxy/weir/proxy/netio"
)

// TestStoppedCarriesNoOther: whoever stops the writing may be told that the last
// byte had left already. The exchange is then whole, but the connection has lost its
// way out: another request on it would fail.
func TestStoppedCarriesNoOther(t *testing.T) {
	for _, stop := range []bool{false, true} {
		ours, theirs := netio.Pipe(0)
		defer ours.Close()
		defer theirs.Close()
		k := NewClient(ours, ClientOptions{})
		k.Begin(nil)
		var h header.Headers
		h.AddString(header.Method, "POST")
		h.AddString(header.Path, "/")
		h.AddString(header.ContentLength, "2")
		if err := k.WriteHeaders(&h, false); err != nil {
			t.Fatal(err)
		}
		k.WriteApart()
		if err := k.WriteBody([]byte("ab"), true); err != nil {
			t.Fatal(err)
		}
		if err := k.Flush(); err != nil {
			t.Fatal(err)
		}
		if _, err := theirs.Write([]byte("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")); err != nil {
			t.Fatal(err)
		}
		k.SetReadDeadline(time.Now().Add(time.Minute))
		if code, err := k.ReadHeaders(&h); code != 200 || err != nil {
			t.Fatal(code, err)
		}
		if !k.StartBody(&h) {
			t.Fatal("a body?")
		}
		if stop {
			k.StopWriting()
		}
		if got := k.Settle(); got == stop {
			t.Errorf("stopped: %v; carries another: %v", stop, got)
		}
	}
}
