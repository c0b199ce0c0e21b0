package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

// askTimeout is how long the admin interface of another process may take to answer.
const askTimeout = time.Minute

// dialAdmin gives what speaks to the admin interface at addr, which is host:port or the path of a unix socket.
func dialAdmin(addr string) *http.Transport {
	network, to := "tcp", addr
	if strings.ContainsRune(addr, '/') {
		network, to = "unix", strings.TrimPrefix(addr, "unix:")
	}
	return &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, to)
	}}
}

// openAdmin begins an answer that has no end of its own; the caller closes it.
func openAdmin(ctx context.Context, addr, path string) (io.ReadCloser, error) {
	tr := dialAdmin(addr)
	tr.ResponseHeaderTimeout, tr.DisableKeepAlives = askTimeout, true
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://localhost"+path, nil)
	if err != nil {
		return nil, fmt.Errorf("admin interface %s: %w", addr, err)
	}
	resp, err := (&http.Client{Transport: tr}).Do(q)
	if err != nil {
		return nil, fmt.Errorf("admin interface %s: %w", addr, err)
	}
	if resp.StatusCode != http.StatusOK {
		defer func() { _ = resp.Body.Close() }()
		answer, _ := io.ReadAll(io.LimitReader(resp.Body, maxRefusal))
		return nil, fmt.Errorf("admin interface %s: %s: %s", addr, resp.Status, bytes.TrimSpace(answer))
	}
	return resp.Body, nil
}

// maxRefusal is how much of an error is read, in bytes.
const maxRefusal = 64 << 10

// askAdmin asks the admin interface at addr, which is host:port or the path of a unix socket, and gives what it answers.
func askAdmin(ctx context.Context, addr, method, path string, body []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	tr := dialAdmin(addr)
	defer tr.CloseIdleConnections()
	q, err := http.NewRequestWithContext(ctx, method, "http://localhost"+path, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("admin interface %s: %w", addr, err)
	}
	resp, err := (&http.Client{Transport: tr}).Do(q)
	if err != nil {
		return nil, fmt.Errorf("admin interface %s: %w", addr, err)
	}
	defer func() { _ = resp.Body.Close() }()
	answer, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("admin interface %s: %s: %s", addr, resp.Status, bytes.TrimSpace(answer))
	}
	return answer, err
}

// getAdmin asks for JSON and reads it into v.
func getAdmin(ctx context.Context, addr, path string, v any) error {
	b, err := askAdmin(ctx, addr, http.MethodGet, path, nil)
	if err != nil {
		return err
	}
	return json.Unmarshal(b, v)
}
