package e2e

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"testing"
)

// bulk is 100 MB.
const bulk = 100 << 20

// noise gives n bytes that a seed decides, and sums what was read of them.
func noise(seed byte, n int64) (io.Reader, hash.Hash) {
	sum := sha256.New()
	return io.TeeReader(io.LimitReader(rand.NewChaCha8([32]byte{seed}), n), sum), sum
}

func hexSum(h hash.Hash) string { return hex.EncodeToString(h.Sum(nil)) }

func TestBulkOverHTTP(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	sums := make(chan string, 1)
	w.serveHTTP(w.at4("80"), func(rw http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			h := sha256.New()
			_, _ = io.Copy(h, r.Body)
			fmt.Fprint(rw, hexSum(h))
			return
		}
		body, h := noise(1, bulk)
		if r.URL.Path == "/length" {
			rw.Header().Set("content-length", fmt.Sprint(bulk))
		}
		_, _ = io.Copy(rw, body)
		sums <- hexSum(h)
	})
	w.start(passthrough, takeAll...)
	c := w.client()
	for _, path := range []string{"/length", "/chunked"} {
		resp, err := c.Get("http://" + w.at4("80") + path)
		if err != nil {
			t.Fatal(err)
		}
		h := sha256.New()
		n, err := io.Copy(h, resp.Body)
		resp.Body.Close()
		if want := <-sums; err != nil || n != bulk || hexSum(h) != want {
			t.Errorf("GET %s: %d bytes %s, want %s, %v", path, n, hexSum(h), want, err)
		}
	}
	for _, length := range []int64{bulk, -1} {
		body, h := noise(2, bulk)
		req, err := http.NewRequest(http.MethodPost, "http://"+w.at4("80")+"/", body)
		if err != nil {
			t.Fatal(err)
		}
		req.ContentLength = length
		resp, err := c.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || string(got) != hexSum(h) {
			t.Errorf("POST with length %d: %s, want %s, %v", length, got, hexSum(h), err)
		}
	}
}

func TestBulkOverOpaqueTCP(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	type result struct {
		got, sent string
		err       error
	}
	served := make(chan result, 1)
	w.serveTCP(w.at4("7001"), func(c net.Conn) {
		body, out := noise(3, bulk)
		written := make(chan error, 1)
		go func() {
			_, err := io.Copy(c, body)
			if err == nil {
				err = c.(*net.TCPConn).CloseWrite()
			}
			written <- err
		}()
		in := sha256.New()
		_, err := io.Copy(in, c)
		if werr := <-written; err == nil {
			err = werr
		}
		served <- result{hexSum(in), hexSum(out), err}
	})
	w.start(passthrough, takeAll...)
	l := w.dial(w.at4("7001"))
	body, out := noise(4, bulk)
	written := make(chan error, 1)
	go func() {
		_, err := io.Copy(l.TCPConn, body)
		if err == nil {
			err = l.CloseWrite()
		}
		written <- err
	}()
	in := sha256.New()
	n, err := io.Copy(in, l.r)
	if err != nil || n != bulk {
		t.Errorf("read %d bytes, %v", n, err)
	}
	if err := <-written; err != nil {
		t.Error(err)
	}
	s := <-served
	if s.err != nil || s.got != hexSum(out) || s.sent != hexSum(in) {
		t.Errorf("server got %s of %s, client got %s of %s, %v", s.got, hexSum(out), hexSum(in), s.sent, s.err)
	}
}
