package parity

import (
	"bufio"
	"io"
	"net"
	"sync"
	"time"
)

// probeField marks the question whether a connection is open; it is no part of a
// case.
const probeField = "x-parity-probe"

// An origin answers the requests of one case from its script.
type origin struct {
	name string
	port int
	p    *play
	ln   *net.TCPListener
	wg   sync.WaitGroup
}

// received is a request that an origin has got.
type received struct {
	origin string
	m      *message
	raw    []byte // after an upgrade
	whole  bool
}

// listen is not called for an origin that refuses connections.
func (o *origin) listen() error {
	ln, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return err
	}
	o.ln, o.port = ln, ln.Addr().(*net.TCPAddr).Port
	o.wg.Go(func() {
		for {
			c, err := ln.AcceptTCP()
			if err != nil {
				return
			}
			if !o.p.adopt(c) {
				return
			}
			o.wg.Go(func() { o.serve(c); o.p.gone() })
		}
	})
	return nil
}

func (o *origin) serve(c *net.TCPConn) {
	defer c.Close()
	r := bufio.NewReader(c)
	for {
		m, err := readHead(r)
		if err != nil {
			return
		}
		if m.get(probeField) != "" {
			if _, err := io.WriteString(c, ok); err != nil {
				return
			}
			continue
		}
		rec := &received{origin: o.name, m: m}
		answer := o.p.arrived(rec)
		whole := func() {
			body := *m
			body.readRequestBody(r)
			o.p.update(func() { *m = body; rec.whole = true })
		}
		now := len(answer) > 0 && answer[0].event == "now"
		if !now {
			whole()
		}
		more := o.answer(c, r, rec, answer, whole)
		if now && more && !rec.whole {
			whole()
		}
		o.p.update(func() { o.p.busy-- })
		if !more {
			return
		}
	}
}

// ok is what an origin answers that has no script.
const ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

// answer plays an answer, and tells whether the connection goes on.
func (o *origin) answer(c *net.TCPConn, r *bufio.Reader, rec *received, answer []piece, whole func()) bool {
	if answer == nil {
		text := ok
		if len(rec.m.first) > 5 && rec.m.first[:5] == "HEAD " {
			text = ok[:len(ok)-2]
		}
		answer = []piece{{text: text}}
	}
	for _, a := range answer {
		switch a.event {
		case "":
			if _, err := io.WriteString(c, a.text); err != nil {
				return false
			}
		case "now":
		case "body":
			whole()
		case "wait":
			o.p.await()
		case "silent", "discard":
			_, _ = io.Copy(io.Discard, r)
			return false
		case "echo":
			buf := make([]byte, 4096)
			for {
				n, err := r.Read(buf)
				o.p.update(func() { rec.raw = append(rec.raw, buf[:n]...) })
				if _, werr := c.Write(buf[:n]); err != nil || werr != nil {
					return false
				}
			}
		case "fin":
			_ = c.CloseWrite()
		case "reset":
			_ = c.SetLinger(0)
			return false
		case "close":
			return false
		default:
			o.p.trouble("no event << !" + a.event)
		}
	}
	return true
}

// adopt notes a connection, to be ended with the case.
func (p *play) adopt(c *net.TCPConn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.over {
		c.Close()
		return false
	}
	p.conns = append(p.conns, c)
	return true
}

func (p *play) gone() { p.update(func() {}) }

// arrived notes a request and gives its answer.
func (p *play) arrived(rec *received) []piece {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := len(p.got)
	p.got = append(p.got, rec)
	p.busy++
	p.changed.Broadcast()
	if len(p.k.answers) == 0 {
		return nil
	}
	return p.k.answers[min(n, len(p.k.answers)-1)]
}

func (p *play) update(f func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f()
	p.changed.Broadcast()
}

// await lets an answer wait for the client's "go".
func (p *play) await() {
	p.mu.Lock()
	mine := p.waits
	p.waits++
	p.mu.Unlock()
	p.when(patience, func() bool { return p.goes > mine })
}

// when waits for a condition that update may change.
func (p *play) when(d time.Duration, cond func() bool) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	late := false
	t := time.AfterFunc(d, func() { p.update(func() { late = true }) })
	defer t.Stop()
	for !cond() && !late && !p.over {
		p.changed.Wait()
	}
	return cond()
}
