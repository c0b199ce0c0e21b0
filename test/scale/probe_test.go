package scale

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"testing"
	"time"
)

// origin answers every request with one word; it gives its port.
func origin(t *testing.T, word string) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	answer := []byte("HTTP/1.1 200 OK\r\ncontent-length: " + strconv.Itoa(len(word)) + "\r\n\r\n" + word)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				b := make([]byte, 4096)
				for n := 0; ; {
					m, err := c.Read(b[n:])
					if err != nil {
						return
					}
					if n += m; bytes.HasSuffix(b[:n], []byte("\r\n\r\n")) {
						n = 0
						if _, err := c.Write(answer); err != nil {
							return
						}
					}
				}
			}()
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
	return l.Addr().(*net.TCPAddr).Port
}

// A client is one kept connection to a listener. It connects when it must.
type client struct {
	c net.Conn
	r *bufio.Reader
	d int // port of c
}

// get asks once. An error closes the connection.
func (c *client) get(t target) (code int, body string, err error) {
	if c.c == nil || c.d != t.port {
		c.close()
		if c.c, err = net.DialTimeout("tcp", fmt.Sprintf("127.0.0.1:%d", t.port), time.Second); err != nil {
			c.c = nil
			return 0, "", err
		}
		c.r, c.d = bufio.NewReader(c.c), t.port
	}
	defer func() {
		if err != nil {
			c.close()
		}
	}()
	_ = c.c.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err = fmt.Fprintf(c.c, "GET %s HTTP/1.1\r\nhost: %s\r\n\r\n", t.path, t.host); err != nil {
		return 0, "", err
	}
	res, err := http.ReadResponse(c.r, nil)
	if err != nil {
		return 0, "", err
	}
	b, err := io.ReadAll(res.Body)
	if err == nil && res.Close {
		c.close()
	}
	return res.StatusCode, string(b), err
}

func (c *client) close() {
	if c.c != nil {
		_ = c.c.Close()
		c.c = nil
	}
}

// probeEvery is how long the probe rests between two looks: its share of a processor must not be what is measured.
const probeEvery = 500 * time.Microsecond

// until asks until the answer is the word, and tells how long that took from a moment on.
func (c *client) until(t *testing.T, p *process, at time.Time, tg target, word string, limit time.Duration) time.Duration {
	t.Helper()
	tick := time.NewTicker(probeEvery)
	defer tick.Stop()
	var code int
	var body string
	var err error
	for time.Since(at) < limit && !p.ended() {
		if code, body, err = c.get(tg); err == nil && code == http.StatusOK && body == word {
			return time.Since(at)
		}
		<-tick.C
	}
	t.Fatalf("%s: %s%s is not %q after %v: %d %q %v\n%s", p.name, tg.host, tg.path, word, time.Since(at), code, body, err, p.tail())
	return 0
}
