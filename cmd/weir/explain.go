package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/weirproxy/weir/proxy/explain"
	"github.com/weirproxy/weir/proxy/upstream"
)

// explainFlags are a question as it is asked on the command line.
type explainFlags struct {
	flags   flags
	admin   string
	output  string
	source  string
	dest    string
	sni     string
	alpn    []string
	tls     bool
	headers []string
	draw    uint64
	flow    string
	q       explain.Question
}

const explainHelp = `Say where a connection, and a request on it, would go and why: listener, filter chain, virtual host, route, share of percentage
routing, cluster and hosts; at each step what won and why the others lost; timeouts, retries and circuit breakers.

With -c it reads a configuration; with --admin it asks a running Weir, whose control plane's resources, ejected hosts and open
breakers then count. The decisions are made by the same functions as those of real traffic. HTTP filters before the router are
not run; the answer names them.

A URL stands for --host, --path, --dest-port and, with https, --tls and --sni. Exit code 3 says that it would not arrive.`

func explainCommand() *cobra.Command {
	o := new(explainFlags)
	c := &cobra.Command{
		Use: "explain [URL]", Short: "Say where a request would go, and why", Long: explainHelp, Args: cobra.MaximumNArgs(1),
		Example: `  weir explain -c weir.yaml http://shop.example/cart --source 10.0.0.7:40000
  weir explain --admin 127.0.0.1:9901 --dest 203.0.113.5:443 --tls --sni shop.example
  weir explain --admin /run/weir/admin.sock https://shop.example/ -H 'x-version: 2' -o json`,
		RunE: func(c *cobra.Command, args []string) error {
			if o.flow != "" {
				return o.askFlow(c.Context(), c.OutOrStdout(), args)
			}
			q, err := o.question(args)
			if err != nil {
				return err
			}
			a, err := o.ask(c.Context(), q)
			if err != nil {
				return err
			}
			if o.output == "json" {
				b, err := json.MarshalIndent(a, "", "  ")
				if err != nil {
					return err
				}
				fmt.Fprintf(c.OutOrStdout(), "%s\n", b)
			} else {
				fmt.Fprint(c.OutOrStdout(), a.Text())
			}
			if !a.Reached {
				return problem{errors.New("it would not arrive")}
			}
			return nil
		},
	}
	f := c.Flags()
	f.StringVarP(&o.flags.configPath, "config-path", "c", "", "bootstrap `file` to read")
	f.StringVar(&o.flags.configYAML, "config-yaml", "", "bootstrap text, merged over the file")
	f.StringVar(&o.admin, "admin", "", "ask the Weir whose admin interface this is: `address`, or path of its unix socket")
	f.StringVar(&o.flow, "flow", "", "`id` of a live or recent flow, or a request id: where it went, and where it would go now; with --admin")
	f.StringVarP(&o.output, "output", "o", "text", "text or json")
	f.StringVar(&o.q.Listener, "listener", "", "`name` of the listener; default: found by the destination")
	f.StringVar(&o.source, "source", "192.0.2.1:50000", "`ip:port` of the client")
	f.StringVar(&o.dest, "dest", "", "`ip:port` that the client wants to reach; a port alone stands for any address")
	f.StringVar(&o.sni, "sni", "", "server `name` of the TLS handshake; says --tls")
	f.StringSliceVar(&o.alpn, "alpn", nil, "protocols of the TLS handshake")
	f.BoolVar(&o.tls, "tls", false, "the client speaks TLS")
	f.StringVarP(&o.q.Method, "method", "X", "", "request `method`; default: GET when there is a host or a path")
	f.StringVar(&o.q.Host, "host", "", "Host, or :authority")
	f.StringVar(&o.q.Path, "path", "", "path and query")
	f.StringArrayVarP(&o.headers, "header", "H", nil, "`name: value` of a field; repeat for more")
	f.BoolVar(&o.q.HTTP2, "http2", false, "the request is HTTP/2")
	f.Uint64Var(&o.draw, "draw", 0, "the request's random `number`; default: that of its x-request-id, else any")
	c.MarkFlagsMutuallyExclusive("admin", "config-path")
	c.PreRun = func(c *cobra.Command, _ []string) {
		if c.Flags().Changed("draw") {
			o.q.Draw = &o.draw
		}
	}
	return c
}

// askFlow asks about a flow.
func (o *explainFlags) askFlow(ctx context.Context, out io.Writer, args []string) error {
	switch {
	case o.admin == "":
		return errors.New("--flow: needs --admin: a flow is known to the Weir that it passed through")
	case len(args) > 0:
		return errors.New("--flow: a URL is another question")
	case o.output != "text" && o.output != "json":
		return fmt.Errorf("--output: %q, want text or json", o.output)
	}
	b, err := askAdmin(ctx, o.admin, http.MethodGet, "/explain?flow="+url.QueryEscape(o.flow)+"&format="+o.output, nil)
	if err == nil {
		_, err = out.Write(b)
	}
	return err
}

// question reads the flags.
func (o *explainFlags) question(args []string) (q explain.Question, err error) {
	q = o.q
	if o.output != "text" && o.output != "json" {
		return q, fmt.Errorf("--output: %q, want text or json", o.output)
	}
	port := ""
	if len(args) == 1 {
		if port, err = o.fromURL(&q, args[0]); err != nil {
			return q, err
		}
	}
	if o.sni != "" {
		q.ServerName = o.sni
	}
	q.TLS = q.TLS || o.tls || q.ServerName != ""
	if o.alpn != nil {
		q.ALPN = o.alpn
	}
	if q.Method == "" && (q.Host != "" || q.Path != "") {
		q.Method = "GET"
	}
	if q.Method != "" && q.Path == "" && q.Method != "CONNECT" {
		q.Path = "/"
	}
	for _, h := range o.headers {
		name, value, ok := strings.Cut(h, ":")
		if !ok || name == "" {
			return q, fmt.Errorf("--header %q: want \"name: value\"", h)
		}
		q.Headers = append(q.Headers, explain.Field{Name: name, Value: strings.TrimSpace(value)})
	}
	if q.Source, err = netip.ParseAddrPort(o.source); err != nil {
		return q, fmt.Errorf("--source: %w", err)
	}
	dest := o.dest
	if dest == "" {
		dest = port
	}
	if dest == "" {
		return q, nil
	}
	if n, err := strconv.ParseUint(dest, 10, 16); err == nil {
		q.Destination = netip.AddrPortFrom(netip.IPv4Unspecified(), uint16(n))
		return q, nil
	}
	if q.Destination, err = netip.ParseAddrPort(dest); err != nil {
		return q, fmt.Errorf("--dest: %w", err)
	}
	return q, nil
}

// fromURL takes from a URL what it stands for.
func (o *explainFlags) fromURL(q *explain.Question, s string) (port string, err error) {
	u, err := url.Parse(s)
	if err != nil {
		return "", err
	}
	switch u.Scheme {
	case "http":
		port = "80"
	case "https":
		port = "443"
		q.TLS, q.ServerName = true, u.Hostname()
	default:
		return "", fmt.Errorf("URL %q: want http:// or https://", s)
	}
	if u.Host == "" {
		return "", fmt.Errorf("URL %q: no host", s)
	}
	if p := u.Port(); p != "" {
		port = p
	}
	if a, err := netip.ParseAddr(u.Hostname()); err == nil {
		port = net.JoinHostPort(a.String(), port)
		q.ServerName = ""
	}
	q.Host, q.Path = u.Host, u.RequestURI()
	return port, nil
}

// ask asks a file or a running process.
func (o *explainFlags) ask(ctx context.Context, q explain.Question) (*explain.Answer, error) {
	if o.admin != "" {
		b, err := json.Marshal(q)
		if err != nil {
			return nil, err
		}
		a := new(explain.Answer)
		return a, getAdmin(ctx, o.admin, "/explain?q="+url.QueryEscape(string(b)), a)
	}
	l, err := load(&o.flags)
	if err != nil {
		return nil, err
	}
	s := l.snapshot()
	m := upstream.NewManager(upstream.Options{})
	if err := m.Apply(s); err != nil {
		return nil, err
	}
	return explain.World{Snapshot: s, Clusters: m, Offline: true}.Ask(q), nil
}
