package conformance

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/weirproxy/weir/test/rig"
)

var rewrite = flag.Bool("rewrite", false, "write what was seen into the scripts")

const (
	// patience is how long a script waits for what must come.
	patience = 5 * time.Second
	// quiet is how long -rewrite listens before it takes what it has.
	quiet = 200 * time.Millisecond
)

func TestScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/h1/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no scripts", err)
	}
	for _, f := range files {
		t.Run(strings.TrimSuffix(filepath.Base(f), ".txt"), func(t *testing.T) {
			all := parseScripts(t, f)
			for _, s := range all {
				if s.name == "" {
					continue
				}
				t.Run(s.name, func(t *testing.T) { play(t, s, false) })
				if !s.once && !*rewrite {
					t.Run(s.name+" byte by byte", func(t *testing.T) { play(t, s, true) })
				}
			}
			if *rewrite {
				var b strings.Builder
				for _, s := range all {
					b.WriteString(s.text())
				}
				if err := os.WriteFile(f, []byte(b.String()), 0o644); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// player runs one script.
type player struct {
	t        *testing.T
	w        *weir
	client   *net.TCPConn
	origins  *net.TCPListener
	up       *net.TCPConn
	bytewise bool
	over     bool // the client's side has ended
}

func play(t *testing.T, s *script, bytewise bool) {
	p := &player{t: t, origins: rig.Listen(t), bytewise: bytewise}
	defer p.origins.Close()
	p.w = newWeir(t, hcmConfig(t, s), clusterConfig(t, s, p.origins.Addr().(*net.TCPAddr).Port))
	c, err := net.Dial("tcp", p.w.Addr)
	if err != nil {
		t.Fatal(err)
	}
	p.client = c.(*net.TCPConn)
	defer func() { p.client.Close() }()
	defer func() {
		if p.up != nil {
			p.up.Close()
		}
	}()
	for i := range s.steps {
		if !p.step(&s.steps[i]) {
			return
		}
	}
	p.nothingMore()
}

// nothingMore checks that neither side has got more than the script says.
func (p *player) nothingMore() {
	if !p.over {
		_ = p.client.CloseWrite()
		if rest := normal(p.readAll(p.client)); rest != "" {
			p.t.Errorf("the client got more:\n%s", rest)
		}
	}
	if p.up != nil {
		p.client.Close()
		_ = p.up.CloseWrite()
		if rest := p.readAll(p.up); rest != "" {
			p.t.Errorf("the origin got more:\n%s", rest)
		}
	}
}

func (p *player) step(s *step) bool {
	switch {
	case s.kind == "log":
		return p.log(s)
	case s.kind == "refused":
		return p.refused(s)
	case s.event:
		return p.event(s.kind, strings.TrimPrefix(s.lines[0], "!"))
	case s.kind == ">":
		p.send(p.client, s.bytes())
		return true
	case s.kind == "<<":
		if p.up == nil && !p.accept() {
			return false
		}
		p.send(p.up, s.bytes())
		return true
	case s.kind == "<":
		return p.expect(p.client, s)
	}
	if p.up == nil && !p.accept() {
		return false
	}
	return p.expect(p.up, s)
}

func (p *player) event(kind, what string) bool {
	switch kind + what {
	case ">fin":
		_ = p.client.CloseWrite()
	case ">close":
		p.client.Close()
		p.over = true
	case ">reset":
		_ = p.client.SetLinger(0)
		p.client.Close()
		p.over = true
	case ">drain":
		p.w.Drain()
	case ">new":
		p.client.Close()
		c, err := net.Dial("tcp", p.w.Addr)
		if err != nil {
			p.t.Fatal(err)
		}
		p.client, p.over = c.(*net.TCPConn), false
	case ">>new":
		if p.up != nil {
			p.up.Close()
		}
		return p.accept()
	case "<<close":
		p.up.Close()
		p.up = nil
	case "<<fin":
		_ = p.up.CloseWrite()
	case "<<reset":
		_ = p.up.SetLinger(0)
		p.up.Close()
		p.up = nil
	case "<eof", "<broken":
		p.over = true
		return p.ends(p.client, what)
	case ">>eof", ">>broken":
		return p.ends(p.up, what)
	default:
		p.t.Fatalf("no event %s !%s", kind, what)
	}
	return true
}

// accept takes the origin's next connection.
func (p *player) accept() bool {
	_ = p.origins.SetDeadline(time.Now().Add(patience))
	c, err := p.origins.AcceptTCP()
	if err != nil {
		p.t.Errorf("the origin was not asked: %v", err)
		return false
	}
	p.up = c
	return true
}

func (p *player) send(c *net.TCPConn, s string) {
	if !p.bytewise {
		_, _ = io.WriteString(c, s) // a refused client may not take all
		return
	}
	for i := range len(s) {
		if _, err := io.WriteString(c, s[i:i+1]); err != nil {
			return
		}
	}
}

// expect reads what a step says must come.
func (p *player) expect(c *net.TCPConn, s *step) bool {
	want := s.bytes()
	var got []byte
	buf := make([]byte, 64<<10)
	end := time.Now().Add(patience)
	for *rewrite || normal(string(got)) != want {
		if *rewrite {
			end = time.Now().Add(quiet)
		}
		_ = c.SetReadDeadline(end)
		n, err := c.Read(buf)
		got = append(got, buf[:n]...)
		if err == nil && (*rewrite || len(got) <= len(want)+200) {
			continue
		}
		if *rewrite {
			s.lines = unbytes(normal(string(got)))
			return true
		}
		who := map[bool]string{true: "client", false: "origin"}[s.kind == "<"]
		p.t.Errorf("the %s got (%v):\n%s\nwant:\n%s", who, err, short(normal(string(got))), short(want))
		return false
	}
	return true
}

func short(s string) string {
	if len(s) > 4000 {
		return s[:2000] + "\n…\n" + s[len(s)-2000:]
	}
	return s
}

// ends waits for the end of a connection: an orderly one, or a break.
func (p *player) ends(c *net.TCPConn, how string) bool {
	_ = c.SetReadDeadline(time.Now().Add(patience))
	n, err := c.Read(make([]byte, 1))
	switch {
	case n > 0:
		p.t.Errorf("bytes instead of the end")
	case errors.Is(err, os.ErrDeadlineExceeded):
		p.t.Errorf("the connection did not end")
	case (err == io.EOF) != (how == "eof"):
		p.t.Errorf("the connection ended with %v, want %s", err, how)
	default:
		return true
	}
	return false
}

func (p *player) readAll(c *net.TCPConn) string {
	_ = c.SetReadDeadline(time.Now().Add(patience))
	b, err := io.ReadAll(c)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		p.t.Error("the connection did not end")
	}
	return string(b)
}

// log compares the next access log entry.
func (p *player) log(s *step) bool {
	t := time.NewTimer(patience)
	defer t.Stop()
	select {
	case l := <-p.w.log:
		got := strings.TrimSpace(fmt.Sprintf("%d %s %s", l.Code, l.Flags, l.Details))
		if *rewrite {
			s.lines[0] = got
		}
		if got != s.lines[0] {
			p.t.Errorf("log %q, want %q", got, s.lines[0])
		}
	case <-t.C:
		p.t.Error("nothing was logged")
		return false
	}
	return true
}

// refused expects the codec's own answer, the end, and the log.
func (p *player) refused(s *step) bool {
	code, _, _ := strings.Cut(s.lines[0], " ")
	n, _ := strconv.Atoi(code)
	body := http.StatusText(n)
	want := &step{kind: "<", lines: []string{
		"HTTP/1.1 " + code + " " + body, "content-length: " + strconv.Itoa(len(body)), "content-type: text/plain",
		"server: weir", "connection: close", "", body + "\\",
	}}
	if *rewrite {
		return p.event("<", "eof") || p.log(s)
	}
	return p.expect(p.client, want) && p.event("<", "eof") && p.log(s)
}

var dateLine = regexp.MustCompile(`(?m)^date: \w{3}, [^\r]* GMT\r\n`)

// normal drops what differs between runs.
func normal(s string) string { return dateLine.ReplaceAllString(s, "") }

func hcmConfig(t *testing.T, s *script) string {
	route := map[string]any{"cluster": "a"}
	merge(t, route, s.route)
	routes := []any{map[string]any{"match": map[string]any{"prefix": "/"}, "route": route}}
	if s.routes != "" {
		routes = nil
		if err := json.Unmarshal([]byte(s.routes), &routes); err != nil {
			t.Fatal(err)
		}
	}
	h := map[string]any{
		"stat_prefix": "test", "codec_type": "HTTP1", "generate_request_id": false,
		"http_filters": []any{map[string]any{"name": "router", "typed_config": map[string]any{
			"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router", "suppress_envoy_headers": true,
		}}},
		"route_config": map[string]any{"name": "r", "virtual_hosts": []any{map[string]any{"name": "v", "domains": []any{"*"}, "routes": routes}}},
	}
	merge(t, h, s.hcm)
	h["access_log"] = []any{map[string]any{"name": "test.recorder", "typed_config": map[string]any{"@type": "type.googleapis.com/google.protobuf.Empty"}}}
	return text(t, h)
}

func clusterConfig(t *testing.T, s *script, port int) string {
	c := map[string]any{
		"name": "a", "connect_timeout": "1s",
		"load_assignment": map[string]any{"cluster_name": "a", "endpoints": []any{map[string]any{"lb_endpoints": []any{
			map[string]any{"endpoint": map[string]any{"address": map[string]any{"socket_address": map[string]any{"address": "127.0.0.1", "port_value": port}}}},
		}}}},
	}
	merge(t, c, s.cluster)
	return text(t, c)
}

func merge(t *testing.T, into map[string]any, j string) {
	t.Helper()
	if j == "" {
		return
	}
	if err := json.Unmarshal([]byte(j), &into); err != nil {
		t.Fatalf("%v in %s", err, j)
	}
}

func text(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
