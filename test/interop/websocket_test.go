package interop

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/net/websocket"

	"github.com/weirproxy/weir/test/rig"
)

// The peers send a text, a long text and bytes, want each back, and close; they
// print "ok <code of the close> <protocol>".
const (
	nodePeer = `
const ws = new WebSocket(process.argv[2], "chat");
ws.binaryType = "arraybuffer";
const sent = ["hello", "x".repeat(200000), new Uint8Array([0, 1, 255])];
let n = 0;
const fail = (why) => { console.log("failed:", why); process.exit(1); };
ws.onopen = () => ws.send(sent[0]);
ws.onerror = (e) => fail(e.message || "error");
ws.onmessage = (m) => {
  const got = typeof m.data === "string" ? m.data : Array.from(new Uint8Array(m.data)).join();
  const want = typeof sent[n] === "string" ? sent[n] : Array.from(sent[n]).join();
  if (got !== want) fail("message " + n + " came back as " + got.slice(0, 40));
  if (++n < sent.length) ws.send(sent[n]); else ws.close(1000);
};
ws.onclose = (e) => { console.log("ok", e.code, ws.protocol); };
`
	pythonPeer = `
import asyncio, sys, websockets
async def main():
    async with websockets.connect(sys.argv[1], subprotocols=["chat"]) as ws:
        for m in ("hello", "x" * 200000, bytes([0, 1, 255])):
            await ws.send(m)
            got = await ws.recv()
            if got != m:
                sys.exit("failed: came back as %r" % got[:40])
        await ws.close(1000)
        print("ok", ws.close_code, ws.subprotocol)
asyncio.run(main())
`
)

// frame is a message with its kind, as it goes on the wire.
type frame struct {
	kind byte
	data []byte
}

// frames keeps the kind of what is echoed.
func frames() websocket.Codec {
	return websocket.Codec{
		Marshal: func(v any) ([]byte, byte, error) { f := v.(*frame); return f.data, f.kind, nil },
		Unmarshal: func(data []byte, kind byte, v any) error {
			*v.(*frame) = frame{kind, data}
			return nil
		},
	}
}

// echoServer is a WebSocket server that sends every message back.
func echoServer(t *testing.T) string {
	t.Helper()
	codec := frames()
	srv := websocket.Server{
		Handshake: func(c *websocket.Config, r *http.Request) error {
			if len(c.Protocol) != 1 || r.URL.Path != "/chat" {
				return fmt.Errorf("protocols %q at %s", c.Protocol, r.URL.Path)
			}
			return nil
		},
		Handler: func(ws *websocket.Conn) {
			ws.MaxPayloadBytes = 1 << 20
			defer ws.Close() // answers a close
			for {
				var f frame
				if codec.Receive(ws, &f) != nil || codec.Send(ws, &f) != nil {
					return
				}
			}
		},
	}
	return rig.Origin(t, srv.ServeHTTP)
}

// chatRig forwards WebSockets to the echo server.
func chatRig(t *testing.T) *rig.Rig {
	t.Helper()
	return rig.New(t, rig.Options{Origins: map[string]string{"a": echoServer(t)}, HCM: `
stat_prefix: test
http_filters: [$router]
upgrade_configs: [{upgrade_type: websocket}]
route_config: {virtual_hosts: [{name: v, domains: ["*"], routes: [{match: {prefix: /}, route: {cluster: a, timeout: 0.5s}}]}]}
`})
}

// chatRigOverHTTP2 has two proxies that speak HTTP/2 with each other (RFC 8441).
func chatRigOverHTTP2(t *testing.T) *rig.Rig {
	t.Helper()
	const hcm = `
stat_prefix: test
http_filters: [$router]
http2_protocol_options: {allow_connect: true}
upgrade_configs: [{upgrade_type: websocket}]
route_config: {virtual_hosts: [{name: v, domains: ["*"], routes: [{match: {prefix: /}, route: {cluster: a, timeout: 0.5s}}]}]}
`
	far := rig.New(t, rig.Options{Origins: map[string]string{"a": echoServer(t)}, HCM: hcm})
	return rig.New(t, rig.Options{HCM: hcm, Config: "clusters:\n- name: a\n  load_assignment: " + rig.Endpoint("a", far.Addr) + `
  typed_extension_protocol_options: {envoy.extensions.upstreams.http.v3.HttpProtocolOptions: {$http_protocol_options, explicit_http_config: {http2_protocol_options: {}}}}
`})
}

// chat runs a peer, which is a script, and holds it to its last line.
func chat(t *testing.T, r *rig.Rig, name, script string, command ...string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, []byte(script), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := rig.Run(t, limit, command[0], append(command[1:], file, "ws://"+r.Addr+"/chat")...)
	if err != nil || !strings.Contains(out, "ok 1000 chat") {
		t.Errorf("%v\n%s", err, out)
	}
	r.Await("http.test.downstream_cx_active", 0)
	r.Await("cluster.a.upstream_rq_active", 0)
}

func TestWebSocketOfNode(t *testing.T) {
	node := rig.Command(t, "node")
	flags := []string{node}
	const has = "process.exit(typeof WebSocket === 'function' ? 0 : 1)"
	if _, err := rig.Run(t, limit, node, "-e", has); err != nil {
		flags = append(flags, "--experimental-websocket", "--no-warnings")
		if _, err := rig.Run(t, limit, node, append(flags[1:], "-e", has)...); err != nil {
			t.Skip("this node has no WebSocket")
		}
	}
	chat(t, chatRig(t), "peer.js", nodePeer, flags...)
	chat(t, chatRigOverHTTP2(t), "peer.js", nodePeer, flags...)
}

func TestWebSocketOfPython(t *testing.T) {
	python := rig.Command(t, "python3")
	if _, err := rig.Run(t, limit, python, "-c", "import websockets"); err != nil {
		t.Skip("python3 has no websockets (pip install websockets)")
	}
	chat(t, chatRig(t), "peer.py", pythonPeer, python)
	chat(t, chatRigOverHTTP2(t), "peer.py", pythonPeer, python)
}

// TestWebSocketOfCurl has curl do no more than the handshake, by hand.
func TestWebSocketOfCurl(t *testing.T) {
	curl := rig.Command(t, "curl")
	r := chatRig(t)
	out, _ := rig.Run(t, limit, curl, "-sS", "-i", "-N", "--http1.1", "--max-time", "1",
		"-H", "Connection: Upgrade", "-H", "Upgrade: websocket", "-H", "Sec-WebSocket-Version: 13",
		"-H", "Origin: http://a.example", "-H", "Sec-WebSocket-Protocol: chat",
		"-H", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "http://"+r.Addr+"/chat")
	// RFC 6455 §1.3 has this key and its answer.
	for _, want := range []string{"HTTP/1.1 101 ", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
}

// TestWebSocketStaysOpen: neither the route's timeout nor the lack of traffic ends
// it, and both directions are independent.
func TestWebSocketStaysOpen(t *testing.T) {
	r := chatRig(t)
	c, err := websocket.NewConfig("ws://"+r.Addr+"/chat", "http://a.example")
	if err != nil {
		t.Fatal(err)
	}
	c.Protocol = []string{"chat"}
	ws, err := c.DialContext(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer ws.Close()
	for _, m := range []string{"one", "two", strings.Repeat("y", 1<<19)} {
		if _, err := io.WriteString(ws, m); err != nil {
			t.Fatal(err)
		}
		got := make([]byte, len(m))
		if _, err := io.ReadFull(ws, got); err != nil || string(got) != m {
			t.Fatalf("%d bytes, %v", len(got), err)
		}
	}
}
