package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

// adminTimeout is how long the admin interface of another process may take to answer.
const adminTimeout = 10 * time.Second

// getAdmin asks the admin interface at addr, which is host:port or the path of a unix socket, and reads its JSON into v.
func getAdmin(ctx context.Context, addr, path string, v any) error {
	ctx, cancel := context.WithTimeout(ctx, adminTimeout)
	defer cancel()
	tr := &http.Transport{DisableKeepAlives: true}
	host := addr
	if strings.ContainsRune(addr, '/') {
		host = "localhost"
		tr.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", addr)
		}
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+host+path, nil)
	if err != nil {
		return fmt.Errorf("admin interface %s: %w", addr, err)
	}
	resp, err := (&http.Client{Transport: tr}).Do(r)
	if err != nil {
		return fmt.Errorf("admin interface %s: %w", addr, err)
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return fmt.Errorf("admin interface %s: %w", addr, err)
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("admin interface %s: %s: %s", addr, resp.Status, strings.TrimSpace(string(b)))
	}
	return json.Unmarshal(b, v)
}
