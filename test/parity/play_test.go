package parity

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// patience is how long a case waits for what should come.
const patience = 4 * time.Second

// A play is one run of a case through one proxy.
type play struct {
	k       *kase
	port    int // where the proxy listens for it
	held    []int
	log     string // the access log's path
	origins map[string]*origin

	out     []string // what was seen, told by the client
	client  connection
	socket  *net.TCPConn // below client
	in      *bufio.Reader
	h2      *h2Client
	methods []string // of requests whose responses were not read

	mu      sync.Mutex
	changed sync.Cond
	got     []*received
	conns   []*net.TCPConn
	busy    int // requests that an origin is at
	waits   int // "!wait" met
	goes    int // "go" said
	over    bool
	errs    []string
}

// newPlay takes the ports of a case.
func newPlay(t *testing.T, k *kase, dir string, i int) *play {
	t.Helper()
	p := &play{k: k, log: filepath.Join(dir, fmt.Sprintf("%d.log", i)), origins: map[string]*origin{}}
	p.changed.L = &p.mu
	p.port = p.hold(t, true)
	p.origins["origin"] = &origin{name: "origin", p: p}
	for name := range p.object("clusters") {
		p.origins[name] = &origin{name: name, p: p}
	}
	for name, o := range p.origins {
		if strings.HasPrefix(name, "dead") { // refuses connections
			o.port = p.hold(t, false)
			continue
		}
		if err := o.listen(); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(p.end)
	return p
}

// hold binds a port without listening, so that nobody else takes it before the
// proxy does (shared), or so that it refuses.
func (p *play) hold(t *testing.T, shared bool) int {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	p.held = append(p.held, fd)
	if shared {
		err = errors.Join(unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1),
			unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1))
	}
	err = errors.Join(err, unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}))
	a, nameErr := unix.Getsockname(fd)
	if err = errors.Join(err, nameErr); err != nil {
		t.Fatal(err)
	}
	return a.(*unix.SockaddrInet4).Port
}

// end closes everything; it may be called again.
func (p *play) end() {
	p.update(func() {
		p.over = true
		for _, c := range p.conns {
			c.Close()
		}
		for _, fd := range p.held {
			_ = unix.Close(fd)
		}
		p.held = nil
	})
	if p.socket != nil {
		p.socket.Close()
	}
	for _, o := range p.origins {
		if o.ln != nil {
			o.ln.Close()
		}
		o.wg.Wait()
	}
}

func (p *play) say(format string, args ...any) { p.out = append(p.out, fmt.Sprintf(format, args...)) }

func (p *play) trouble(s string) { p.update(func() { p.errs = append(p.errs, s) }) }

func (p *play) dial() bool {
	c, err := net.DialTCP("tcp", nil, &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: p.port})
	if err != nil {
		p.trouble(err.Error())
		return false
	}
	p.socket, p.client, p.methods = c, c, nil
	if p.k.tls != "" {
		t, ok := p.handshake(c)
		if !ok {
			return false
		}
		p.client = t
	}
	p.in = bufio.NewReader(p.client)
	if p.k.h2 {
		p.h2 = newH2Client(p)
	}
	return true
}

// run plays the case.
func (p *play) run() {
	if !p.dial() {
		if p.socket != nil {
			p.socket.Close()
		}
		return
	}
	heads, wholes := 0, 0
	for _, s := range p.k.steps {
		switch s.kind {
		case ">":
			if p.h2 == nil || !p.h2.send(s) {
				p.send(s)
			}
		case "<":
			if p.h2 != nil {
				p.h2.response()
			} else {
				p.read(s.arg)
			}
		case "go":
			p.update(func() { p.goes++ })
		case ">>":
			if p.h2 != nil {
				p.h2.flush()
			}
			wholes++
			if s.arg == "head" {
				heads, wholes = heads+1, wholes-1
			}
			if !p.when(patience, func() bool { return len(p.got) >= heads+wholes && p.wholes() >= wholes }) {
				p.say("the origin did not get a request")
			}
		}
	}
	switch {
	case p.k.without["probe"]:
	case p.h2 != nil:
		p.h2.probe()
	default:
		p.probe()
	}
	p.client.Close()
	p.when(time.Second, func() bool { return p.busy == 0 })
	p.update(func() {
		for _, c := range p.conns { // idle ones of the proxy's pool
			c.Close()
		}
	})
}

func (p *play) wholes() int {
	n := 0
	for _, r := range p.got {
		if r.whole {
			n++
		}
	}
	return n
}

var requestLine = regexp.MustCompile(`(?m)^([A-Z]+) \S+ HTTP/1\.[01]\r$`)

func (p *play) send(s step) {
	switch s.arg {
	case "":
		for _, m := range requestLine.FindAllStringSubmatch(s.text, -1) {
			p.methods = append(p.methods, m[1])
		}
		_, _ = io.WriteString(p.client, s.text) // a refused client may not take all
	case "fin":
		_ = p.client.CloseWrite()
	case "close":
		p.client.Close()
	case "reset":
		_ = p.socket.SetLinger(0)
		p.socket.Close()
	case "new":
		p.client.Close()
		p.dial()
	default:
		p.trouble("no event > !" + s.arg)
	}
}

// read takes a response, or a part of it.
func (p *play) read(what string) {
	_ = p.client.SetReadDeadline(time.Now().Add(patience))
	switch n, err := strconv.Atoi(what); {
	case err == nil:
		buf := make([]byte, n)
		got, err := io.ReadFull(p.in, buf)
		p.say("< [raw] %s", printable(string(buf[:got])))
		if err != nil {
			p.say("< [%s]", how(err))
		}
	case what == "end":
		b, err := io.ReadAll(p.in)
		if len(b) > 0 {
			p.say("< [raw] %s", short(b))
		}
		p.say("< [%s]", how(err))
	case what == "head":
		p.head()
	case what == "":
		p.response()
	default:
		p.trouble("nothing is read as " + what)
	}
}

func (p *play) head() *message {
	m, err := readHead(p.in)
	if err != nil {
		p.say("< [%s]", how(err))
		return nil
	}
	p.out = append(p.out, m.lines("<", p.k.exact)...)
	return m
}

func (p *play) response() {
	method := ""
	if len(p.methods) > 0 {
		method, p.methods = p.methods[0], p.methods[1:]
	}
	for {
		m, err := readHead(p.in)
		if err != nil {
			p.say("< [%s]", how(err))
			return
		}
		m.readResponseBody(p.in, method)
		if p.k.without["body"] {
			m.body = nil
		}
		p.out = append(p.out, m.lines("<", p.k.exact)...)
		if n := m.status(); n/100 != 1 || n == 101 {
			return
		}
	}
}

// how tells an end.
func how(err error) string {
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return "nothing came"
	case errors.Is(err, syscall.ECONNRESET):
		return "closed" // a reset or an end: it depends on what was unread
	}
	return "closed"
}

// probe asks once more, to see whether the connection is open.
func (p *play) probe() {
	_ = p.client.SetReadDeadline(time.Now().Add(patience))
	_, _ = io.WriteString(p.client, "GET /probe HTTP/1.1\r\nHost: probe\r\n"+probeField+": 1\r\n\r\n")
	m, err := readHead(p.in)
	switch {
	case err == nil && strings.HasPrefix(m.first, "HTTP/1.1 "):
		p.say("= open")
	case err == nil:
		p.say("= %s", printable(m.first))
	case errors.Is(err, os.ErrDeadlineExceeded):
		p.say("= silent")
	default:
		p.say("= closed")
	}
}

// transcript tells what was seen once the proxy has ended.
func (p *play) transcript() ([]string, error) {
	out := slices.Clone(p.out)
	if !p.k.without["origin"] {
		for _, r := range p.got {
			mark := ">>"
			if r.origin != "origin" {
				mark = ">> " + r.origin
			}
			out = append(out, r.m.lines(mark, p.k.exact)...)
			if len(r.raw) > 0 {
				out = append(out, mark+"   [raw] "+printable(string(r.raw)))
			}
		}
	}
	if !p.k.without["log"] {
		b, err := os.ReadFile(p.log)
		if err != nil && !os.IsNotExist(err) {
			return nil, err
		}
		for l := range strings.Lines(string(b)) {
			if rest, ours := strings.CutPrefix(strings.TrimSuffix(l, "\n"), "- "); ours {
				out = append(out, "log "+printable(rest))
			}
		}
	}
	for i := range out {
		out[i] = p.normal(out[i])
	}
	return out, nil
}
