package e2e

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

// A storm is new connections at a steady rate, whose every one is followed to its end.
type storm struct {
	t     *testing.T
	stop  chan struct{}
	wg    sync.WaitGroup
	began time.Time

	mu   sync.Mutex
	seen []attempt // guarded by mu
}

// An attempt is one connection with one request.
type attempt struct {
	at   time.Time // when it began
	took time.Duration
	who  string // that answered; "" when nobody did
	err  error
}

const (
	stormRate    = 1000 // connections a second
	stormWorkers = 20
	stormPatient = 5 * time.Second // after which a connection counts as hanging
)

// startStorm opens connections to addr, an HTTP server, until end.
func (w *world) startStorm(addr string) *storm {
	s := &storm{t: w.t, stop: make(chan struct{}), began: time.Now()}
	for i := range stormWorkers {
		s.wg.Go(func() {
			_ = w.top.Client.Do(func() error { // sockets are of the namespace of the thread
				tick := time.NewTicker(stormWorkers * time.Second / stormRate)
				defer tick.Stop()
				for {
					select {
					case <-s.stop:
						return nil
					case <-tick.C:
						s.add(try(addr, i))
					}
				}
			})
		})
	}
	w.t.Cleanup(s.halt)
	return s
}

func (s *storm) halt() {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-s.stop:
	default:
		close(s.stop)
	}
}

// try is one connection.
func try(addr string, i int) (a attempt) {
	a.at = time.Now()
	defer func() { a.took = time.Since(a.at) }()
	d := net.Dialer{Deadline: a.at.Add(stormPatient)}
	c, err := d.DialContext(context.Background(), "tcp", addr)
	if err != nil {
		a.err = err
		return a
	}
	defer c.Close()
	_ = c.SetDeadline(a.at.Add(stormPatient))
	if _, err := fmt.Fprintf(c, "GET /%d HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", i); err != nil {
		a.err = err
		return a
	}
	b, err := io.ReadAll(c)
	for _, who := range []string{"v1", "direct"} {
		if strings.HasSuffix(string(b), "\r\n"+who) || strings.Contains(string(b), "\r\n"+who+"\r\n") {
			a.who = who
			return a
		}
	}
	a.err = fmt.Errorf("answer %.60q, %v", b, err)
	return a
}

func (s *storm) add(a attempt) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen = append(s.seen, a)
}

// served waits until n connections that began after a time were answered by who.
func (w *world) served(s *storm, who string, n int, after time.Time) {
	w.t.Helper()
	w.until(fmt.Sprintf("%s answers %d", who, n), func() error {
		s.mu.Lock()
		defer s.mu.Unlock()
		got := 0
		for _, a := range s.seen {
			if a.who == who && a.at.After(after) {
				got++
			}
		}
		if got < n {
			return fmt.Errorf("%d", got)
		}
		return nil
	})
}

// end stops, waits for what is under way, and gives all attempts.
func (s *storm) end() []attempt {
	s.halt()
	s.wg.Wait()
	s.t.Logf("%d connections in %s", len(s.seen), time.Since(s.began).Round(time.Millisecond))
	return s.seen
}

// hangs tells whether an attempt met nobody until its patience was over.
func (a attempt) hangs() bool {
	return a.err != nil && (os.IsTimeout(a.err) || a.took >= stormPatient)
}

// openFrom holds the attempts to this: none hangs, and those that end after a time
// all reached the server itself. It logs when the way became free.
func (w *world) openFrom(seen []attempt, fault, free time.Time) {
	w.t.Helper()
	var last attempt // that did not reach the server itself
	lost := 0
	for _, a := range seen {
		if a.hangs() {
			w.t.Errorf("%s after the fault: hung for %s: %v", a.at.Sub(fault), a.took, a.err)
		}
		if a.at.Before(fault) || a.who == "direct" {
			continue
		}
		if a.who == "" {
			lost++
		}
		if a.at.Add(a.took).After(last.at.Add(last.took)) {
			last = a
		}
		if a.at.Add(a.took).After(free) {
			w.t.Errorf("%s after the fault: %q, %v", a.at.Sub(fault), a.who, a.err)
		}
	}
	at := time.Duration(0)
	if !last.at.IsZero() {
		at = last.at.Add(last.took).Sub(fault)
	}
	w.t.Logf("the last that did not reach the server itself ended %s after the fault; %d connections were lost", at.Round(time.Millisecond), lost)
}
