package h2

import (
	"bytes"
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/weirproxy/weir/proxy/header"
	"github.com/weirproxy/weir/proxy/netio"
)

var rewrite = flag.Bool("rewrite", false, "write the scripts' answers anew")

// script is a client that sends what the lines of a file say and notes what comes
// back. A line's first word is a frame; its answer follows, indented.
type script struct {
	t    *testing.T
	conn netio.Conn
	fr   *http2.Framer // writes to conn
	enc  *hpack.Encoder
	blk  bytes.Buffer
	in   bytes.Buffer // what came and was not yet told
	dec  *hpack.Decoder

	drain func() // what "drain" does
}

type sender struct{ c netio.Conn }

func (s sender) Write(p []byte) (int, error) { return s.c.Write(p) }

func newScript(t *testing.T, c netio.Conn) *script {
	s := &script{t: t, conn: c}
	s.fr = http2.NewFramer(sender{c}, nil)
	s.fr.AllowIllegalWrites = true
	s.enc = hpack.NewEncoder(&s.blk)
	s.dec = hpack.NewDecoder(4096, nil)
	return s
}

// block encodes "name=value" words.
func (s *script) block(words []string) []byte {
	s.blk.Reset()
	for _, w := range words {
		i := strings.Index(w[1:], "=") + 1
		_ = s.enc.WriteField(hpack.HeaderField{Name: w[:i], Value: w[i+1:]})
	}
	return bytes.Clone(s.blk.Bytes())
}

func num(s string) uint32 {
	n, err := strconv.ParseUint(s, 0, 32)
	if err != nil {
		panic(err)
	}
	return uint32(n)
}

// send sends a line's frame.
func (s *script) send(line string) {
	w := strings.Fields(line)
	id, flags := uint32(0), map[string]bool{}
	rest := w[1:]
	if len(rest) > 0 && w[0] != "settings" && w[0] != "raw" && w[0] != "ping" {
		id, rest = num(rest[0]), rest[1:]
	}
	for len(rest) > 0 && (rest[0] == "end" || rest[0] == "more" || rest[0] == "self") {
		flags[rest[0]] = true
		rest = rest[1:]
	}
	switch w[0] {
	case "preface":
		_, _ = s.conn.Write([]byte(http2.ClientPreface))
		_ = s.fr.WriteSettings()
	case "settings":
		var list []http2.Setting
		for _, kv := range rest {
			k, v, _ := strings.Cut(kv, "=")
			list = append(list, http2.Setting{ID: http2.SettingID(num(k)), Val: num(v)})
		}
		_ = s.fr.WriteSettings(list...)
	case "headers":
		p := http2.HeadersFrameParam{StreamID: id, EndStream: flags["end"], EndHeaders: !flags["more"]}
		if flags["self"] {
			p.Priority.StreamDep = id
		}
		p.BlockFragment = s.block(rest)
		_ = s.fr.WriteHeaders(p)
	case "continuation":
		_ = s.fr.WriteContinuation(id, !flags["more"], s.block(rest))
	case "data":
		var pad []byte
		if len(rest) > 1 {
			pad = make([]byte, num(rest[1]))
		}
		_ = s.fr.WriteDataPadded(id, flags["end"], bytes.Repeat([]byte("x"), int(num(rest[0]))), pad)
	case "rst":
		_ = s.fr.WriteRSTStream(id, http2.ErrCode(num(rest[0])))
	case "window":
		_ = s.fr.WriteWindowUpdate(id, num(rest[0]))
	case "priority":
		_ = s.fr.WritePriority(id, http2.PriorityParam{StreamDep: num(rest[0])})
	case "ping":
		_ = s.fr.WritePing(false, [8]byte{1, 2, 3})
	case "drain":
		s.drain()
	case "pong":
		_ = s.fr.WritePing(true, pingDrain)
	case "goaway":
		_ = s.fr.WriteGoAway(id, http2.ErrCode(num(rest[0])), nil)
	case "raw":
		b, err := hex.DecodeString(strings.Join(rest, ""))
		if err != nil {
			s.t.Fatal(err)
		}
		_, _ = s.conn.Write(b)
	default:
		s.t.Fatalf("%q is no command", w[0])
	}
}

// answer tells the frames that came.
func (s *script) answer() string {
	synctest.Wait()
	var out strings.Builder
	closed := ""
	p := make([]byte, 1<<20)
	for {
		_ = s.conn.SetReadDeadline(soon())
		n, err := s.conn.Read(p)
		s.in.Write(p[:n])
		if err != nil {
			if !isTimeout(err) {
				closed = "  closed\n"
			}
			break
		}
	}
	fr := http2.NewFramer(nil, &s.in)
	for s.in.Len() >= 9 {
		f, err := fr.ReadFrame()
		if err != nil {
			fmt.Fprintf(&out, "  unreadable: %v\n", err)
			break
		}
		s.tell(&out, f)
	}
	return out.String() + closed
}

func (s *script) tell(out *strings.Builder, f http2.Frame) {
	h := f.Header()
	fmt.Fprintf(out, "  %v", h.Type)
	if h.StreamID > 0 {
		fmt.Fprintf(out, " %d", h.StreamID)
	}
	switch f := f.(type) {
	case *http2.SettingsFrame:
		if f.IsAck() {
			out.WriteString(" ack")
		}
		_ = f.ForeachSetting(func(s http2.Setting) error {
			fmt.Fprintf(out, " %v=%d", s.ID, s.Val)
			return nil
		})
	case *http2.HeadersFrame:
		if f.StreamEnded() {
			out.WriteString(" end")
		}
		list, err := s.dec.DecodeFull(f.HeaderBlockFragment())
		for _, kv := range list {
			fmt.Fprintf(out, " %s=%s", kv.Name, kv.Value)
		}
		if err != nil {
			fmt.Fprintf(out, " %v", err)
		}
	case *http2.DataFrame:
		if f.StreamEnded() {
			out.WriteString(" end")
		}
		fmt.Fprintf(out, " %d bytes", len(f.Data()))
	case *http2.RSTStreamFrame:
		fmt.Fprintf(out, " %v", f.ErrCode)
	case *http2.GoAwayFrame:
		fmt.Fprintf(out, " last=%d %v %q", f.LastStreamID, f.ErrCode, f.DebugData())
	case *http2.WindowUpdateFrame:
		fmt.Fprintf(out, " %d", f.Increment)
	case *http2.PingFrame:
		if f.IsAck() {
			out.WriteString(" ack")
		}
	}
	out.WriteString("\n")
}

// run plays a script and gives it with the answers that came.
func (s *script) run(text string) string {
	var out strings.Builder
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		switch {
		case strings.HasPrefix(line, "  "):
		case line == "" || line[0] == '#':
			out.WriteString(line + "\n")
		default:
			out.WriteString(line + "\n")
			s.send(line)
			if !strings.Contains(line, " &") {
				out.WriteString(s.answer())
			}
		}
	}
	return out.String()
}

// TestServerScripts plays every script against a Server whose handler answers by
// path: /hang never, /stall does not even read, /early before it reads, the others once they have the body.
func TestServerScripts(t *testing.T) {
	files, _ := filepath.Glob("testdata/server/*.txt")
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			must(t, err)
			var got string
			synctest.Test(t, func(t *testing.T) { got = playServer(t, string(text)) })
			if *rewrite {
				must(t, os.WriteFile(file, []byte(got), 0o644))
			} else if got != string(text) {
				t.Errorf("got:\n%s\nwant:\n%s", got, text)
			}
		})
	}
}

// playServer plays a script. Its first line may say options: "# options: …".
func playServer(t *testing.T, text string) string {
	o := &Options{MaxConcurrentStreams: 2, InitialStreamWindow: 70000, InitialConnWindow: 70000, StreamErrorOnInvalid: true}
	if strings.HasPrefix(text, "# options: strict") {
		o.StreamErrorOnInvalid = false
	}
	if strings.HasPrefix(text, "# options: wide") {
		o.InitialConnWindow = 1 << 20
	}
	if strings.Contains(text[:min(len(text), 100)], "resets=3") {
		o.MaxResetsPerWindow = 3
	}
	a, b := netio.Pipe(4 << 20)
	r := serve(a, b, o, serving(byPath), 0, 0)
	sc := newScript(t, b)
	sc.drain = r.c.StartDrain
	got := sc.run(text)
	_ = b.Close()
	<-r.done
	return got
}

func byPath(r *request) {
	switch path := string(r.h.Value(header.Path)); path {
	case "/hang":
		for {
			if _, end, err := r.ReadBody(); err != nil || end {
				return
			}
		}
	case "/stall":
		gone := make(chan struct{})
		r.SetGone(func() { close(gone) })
		<-gone
	case "/early":
		answer(r)
	default:
		if _, err := bodyOf(r.ReadBody); err == nil {
			answer(r)
		}
	}
}
