package h2

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weirproxy/weir/proxy/codec"
	"github.com/weirproxy/weir/proxy/header"
	"github.com/weirproxy/weir/proxy/netio"
)

// TestResponses plays a server's frames to a request on stream 1 and another on
// stream 3, and tells what came of both and of the connection.
func TestResponses(t *testing.T) {
	for _, c := range []struct{ name, frames, first, second, conn string }{
		{"whole", "headers 1 :status=200\ndata 1 3\nheaders 1 end x-t=1", "200 3 bytes, 1 trailers", "", ""},
		{"bodies and heads of their own", "headers 3 :status=200\nheaders 1 end :status=204\ndata 3 end 1", "204 0 bytes, 0 trailers", "200 1 bytes, 0 trailers", ""},
		{"refused", "rst 1 7", "unprocessed remote_refused_stream_reset", "", ""},
		{"reset", "headers 1 :status=200\nrst 1 2", "200 remote_reset", "", ""},
		{"reset after the end", "headers 1 :status=200\ndata 1 end 3\nrst 1 0", "200 3 bytes, 0 trailers", "", ""},
		{"away", "headers 1 :status=200\ngoaway 1 0\ndata 1 end 3", "200 3 bytes, 0 trailers", "unprocessed remote_refused_stream_reset", ""},
		{"gone", "close", "connection_termination", "connection_termination", ""},
		{"no status", "headers 1 end x=1", "malformed: missing pseudo-header (RFC 9113 §8.3)", "", ""},
		{"body before head", "data 1 3", "malformed: DATA before a final response head (RFC 9113 §8.1)", "", ""},
		{"body before final head", "headers 1 :status=103\ndata 1 3", "103 malformed: DATA before a final response head (RFC 9113 §8.1)", "", ""},
		{"1xx that ends", "headers 1 end :status=103", "malformed: 1xx response that ends the stream (RFC 9113 §8.1)", "", ""},
		{"short", "headers 1 :status=200 content-length=5\ndata 1 end 3", "200 malformed: body that differs from content-length (RFC 9113 §8.1.1)", "", ""},
		{"304 with a length", "headers 1 end :status=304 content-length=5", "304 0 bytes, 0 trailers", "", ""},
		{"trailers that do not end", "headers 1 :status=200\nheaders 1 x=1", "200 malformed: second field section that does not end the stream (RFC 9113 §8.1)", "", ""},
		{"many 1xx", strings.Repeat("headers 1 :status=103\n", 12), "103 103 103 103 103 103 103 103 103 malformed: more 1xx responses than are kept", "", ""},
		{"push", "raw 000004 05 04 00000001 00000002", "connection_termination", "connection_termination", "PUSH_PROMISE where push is off"},
		{"idle", "headers 5 end :status=200", "connection_termination", "connection_termination", "HEADERS on an idle stream"},
		{"even", "data 2 1", "connection_termination", "connection_termination", "DATA on an idle stream"},
		{"push setting", "settings 2=1", "connection_termination", "connection_termination", "ENABLE_PUSH of a forbidden value"},
		{"connection window", "headers 1 :status=200\n" + strings.Repeat("data 1 16000 255\n", 5), "200 connection_termination", "connection_termination", "connection window exceeded"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a, b := netio.Pipe(1 << 20)
				var why error
				k, err := NewClientConn(a, &Options{InitialConnWindow: 65535, InitialStreamWindow: 1 << 20}, newStats(), ClientEvents{OnClose: func(err error) { why = err }})
				must(t, err)
				var xs [2]*ClientStream
				for i := range xs {
					xs[i], err = k.Open()
					must(t, err)
					xs[i].Begin(nil)
					must(t, xs[i].WriteHeaders(get("/"), true))
					must(t, xs[i].Flush())
				}
				s := newScript(t, b)
				s.send("settings")
				synctest.Wait()
				for _, line := range strings.Split(strings.Trim(c.frames, "\n"), "\n") {
					if line == "close" {
						_ = b.Close()
					} else {
						s.send(line)
					}
					synctest.Wait()
				}
				deadline := time.Now().Add(time.Second)
				for i, want := range []string{c.first, c.second} {
					if got := outcome(xs[i], deadline); got != want && want != "" {
						t.Errorf("stream %d: %s", 2*i+1, got)
					}
					xs[i].Release()
				}
				_ = b.Close()
				k.Close()
				<-k.Done()
				var ce *ConnError
				if errors.As(why, &ce) != (c.conn != "") || ce != nil && ce.Reason != c.conn {
					t.Errorf("connection: %v", why)
				}
			})
		})
	}
}

// outcome reads a response and tells what it was.
func outcome(x *ClientStream, deadline time.Time) string {
	var out []string
	say := func(err error) string {
		var re *codec.ResetError
		var pe *codec.ProtocolError
		switch {
		case errors.As(err, &re) && re.Unprocessed:
			out = append(out, "unprocessed "+re.Reason)
		case errors.As(err, &re):
			out = append(out, re.Reason)
		case errors.As(err, &pe):
			out = append(out, "malformed: "+pe.Rule)
		default:
			out = append(out, err.Error())
		}
		return strings.Join(out, " ")
	}
	x.SetReadDeadline(deadline)
	var h, tr header.Headers
	for {
		code, err := x.ReadHeaders(&h)
		if err != nil {
			return say(err)
		}
		out = append(out, fmt.Sprint(code))
		if code >= 200 {
			break
		}
	}
	n := 0
	for end := x.StartBody(&tr); !end; {
		p, last, err := x.ReadBody()
		if err != nil {
			return say(err)
		}
		n += len(p)
		end = last
	}
	return strings.Join(append(out, fmt.Sprintf("%d bytes, %d trailers", n, tr.Len())), " ")
}
