package main

import (
	"context"
	"net"
	"net/http"
	"net/url"
	"os"

	"github.com/weirproxy/weir/proxy/stats"
)

func (p *process) admin(ctx context.Context) error {
	a := p.l.boot.Admin
	if a == nil {
		<-ctx.Done()
		return nil
	}
	if a.Network == "unix" {
		os.Remove(a.Address)
	}
	ln, err := net.Listen(a.Network, a.Address)
	if err != nil {
		return err
	}
	m := http.NewServeMux()
	m.HandleFunc("/ready", func(w http.ResponseWriter, r *http.Request) { w.Write([]byte(p.state.String() + "\n")) })
	m.HandleFunc("/stats", func(w http.ResponseWriter, r *http.Request) {
		f, _ := stats.ParseFilter(url.Values{})
		p.stats.WriteText(w, f)
	})
	s := &http.Server{Handler: m}
	go func() { <-ctx.Done(); s.Close() }()
	s.Serve(ln)
	return nil
}
