package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/weirproxy/weir/proxy/flows"
)

// flowsFlags are what of the flows is asked for.
type flowsFlags struct {
	admin        string
	follow, json bool
	reveal       bool
	live, ended  bool
	failed       bool
	limit        int
	texts        map[string]*string // parameters of /flows, by name
	ids          []string
	slow         time.Duration
}

const flowsHelp = `Show the connections and requests that pass through a running Weir, and those that passed a moment ago: the newest first. With --follow
each is shown as it ends.

A flow's id is its connection's number (%CONNECTION_ID% of access logs), and of a request its number on the connection after a dot;
--id takes these, and request ids (%STREAM_ID%) as well. "weir explain --flow ID" says why a flow went where it went.

--client, --dest and --host take an address, a net, a port or address:port; names take * for anything.`

func flowsCommand() *cobra.Command {
	o := &flowsFlags{texts: map[string]*string{}}
	c := &cobra.Command{
		Use: "flows", Short: "Show what passes through, follow it, or end a flow", Long: flowsHelp, Args: cobra.NoArgs,
		Example: `  weir flows --admin 127.0.0.1:9901 --authority '*.example.com' --code 5xx
  weir flows --admin /run/weir/admin.sock --follow --client 10.0.0.0/8
  weir flows --admin 127.0.0.1:9901 kill 17.3`,
		RunE: func(c *cobra.Command, _ []string) error { return o.show(c.Context(), c.OutOrStdout(), c.ErrOrStderr()) },
	}
	c.PersistentFlags().StringVar(&o.admin, "admin", "", "the admin interface of the Weir that is asked: `address`, or path of its unix socket")
	_ = c.MarkPersistentFlagRequired("admin")
	f := c.Flags()
	for _, x := range [][2]string{
		{"client", "`address` of the client"},
		{"dest", "`address` where the client wanted to go"},
		{"host", "`address` of the upstream host"},
		{"sni", "server `name` of the TLS handshake"},
		{"authority", "host `name` of the request"},
		{"method", "`method` of the request"},
		{"path", "`path` of the request, as it is shown"},
		{"listener", "`name` of the listener"},
		{"chain", "`name` of the filter chain"},
		{"route", "`name` of the route"},
		{"cluster", "`name` of the cluster"},
		{"code", "response `code`: 503, 5xx or 500-504"},
		{"flags", "any of these response `flags`, as UF,URX"},
		{"kind", "request or connection"},
	} {
		o.texts[x[0]] = f.String(x[0], "", x[1])
	}
	f.StringSliceVar(&o.ids, "id", nil, "`id` of a flow, of a connection with its requests, or of a request")
	f.BoolVar(&o.live, "live", false, "those that go on")
	f.BoolVar(&o.ended, "ended", false, "those that ended")
	f.BoolVar(&o.failed, "failed", false, "those with a code of 500 or more, a response flag or a failed try")
	f.DurationVar(&o.slow, "slow", 0, "those that took this `long` or longer")
	f.IntVar(&o.limit, "limit", 50, "at most this many")
	f.BoolVarP(&o.follow, "follow", "f", false, "show flows as they end, until interrupted")
	f.BoolVar(&o.json, "json", false, "print JSON, one flow a line")
	f.BoolVar(&o.reveal, "reveal", false, "show the values in queries; needs a Weir that was started with --flows full")
	kill := &cobra.Command{
		Use: "kill ID", Short: "End a live flow: a connection, or a request of it", Args: cobra.ExactArgs(1),
		Long: `End a live flow. A connection is reset. A request of HTTP/2 is reset alone; one of HTTP/1 goes with its connection.`,
		RunE: func(c *cobra.Command, args []string) error {
			b, err := askAdmin(c.Context(), o.admin, http.MethodPost, "/flows/kill?id="+url.QueryEscape(args[0]), nil)
			if err == nil {
				_, _ = c.OutOrStdout().Write(b)
			}
			return err
		},
	}
	c.AddCommand(kill)
	return c
}

// query makes the parameters of /flows.
func (o *flowsFlags) query() url.Values {
	q := url.Values{}
	for name, v := range o.texts {
		if *v != "" {
			q.Set(name, *v)
		}
	}
	for name, v := range map[string]bool{"live": o.live, "ended": o.ended, "failed": o.failed, "reveal": o.reveal, "follow": o.follow} {
		if v {
			q.Set(name, "")
		}
	}
	if len(o.ids) > 0 {
		q["id"] = o.ids
	}
	if o.slow > 0 {
		q.Set("slow", fmt.Sprint(float64(o.slow.Microseconds())/1000))
	}
	if !o.follow {
		q.Set("limit", fmt.Sprint(o.limit))
	}
	return q
}

func (o *flowsFlags) show(ctx context.Context, out, errs io.Writer) error {
	path := "/flows?" + o.query().Encode()
	if o.follow {
		return o.followed(ctx, path, out, errs)
	}
	var l struct {
		Flows     []flows.Flow `json:"flows"`
		Matched   int          `json:"matched"`
		Untracked uint64       `json:"untracked"`
	}
	if err := getAdmin(ctx, o.admin, path, &l); err != nil {
		return err
	}
	if o.json {
		e := json.NewEncoder(out)
		for i := range l.Flows {
			if err := e.Encode(&l.Flows[i]); err != nil {
				return err
			}
		}
		return nil
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, flowHead)
	for i := range l.Flows {
		fmt.Fprintln(w, flowLine(&l.Flows[i]))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if more := l.Matched - len(l.Flows); more > 0 {
		fmt.Fprintf(errs, "and %d more: --limit\n", more)
	}
	if l.Untracked > 0 {
		fmt.Fprintf(errs, "%d flows were not noted since the start: too many were live at once\n", l.Untracked)
	}
	return nil
}

// followed prints flows as the events come.
func (o *flowsFlags) followed(ctx context.Context, path string, out, errs io.Writer) error {
	body, err := openAdmin(ctx, o.admin, path)
	if err != nil {
		return err
	}
	defer func() { _ = body.Close() }()
	// A table whose columns grow would need its future: these are wide enough for most.
	w := tabwriter.NewWriter(out, 12, 0, 2, ' ', 0)
	if !o.json {
		fmt.Fprintln(w, flowHead)
	}
	in := bufio.NewScanner(body)
	in.Buffer(nil, 1<<20)
	event := ""
	for in.Scan() {
		line := in.Bytes()
		if v, ok := bytes.CutPrefix(line, []byte("event: ")); ok {
			event = string(v)
			continue
		}
		data, ok := bytes.CutPrefix(line, []byte("data: "))
		switch {
		case !ok:
		case event == "missed":
			fmt.Fprintf(errs, "missed flows: %s\n", data)
		case o.json:
			fmt.Fprintf(out, "%s\n", data)
		default:
			var f flows.Flow
			if err := json.Unmarshal(data, &f); err != nil {
				return fmt.Errorf("admin interface %s: %w", o.admin, err)
			}
			fmt.Fprintln(w, flowLine(&f))
			_ = w.Flush()
		}
	}
	if err := in.Err(); err != nil && ctx.Err() == nil && !os.IsTimeout(err) {
		return fmt.Errorf("admin interface %s: %w", o.admin, err)
	}
	return nil
}

const flowHead = "ID\tSTATE\tAGE\tTOOK\tCLIENT\tDESTINATION\tWHAT\tCODE\tFLAGS\tCLUSTER\tHOST\tTRIES\tIN\tOUT"

// flowLine is a flow in a table.
func flowLine(f *flows.Flow) string {
	none := func(s string) string {
		if s == "" {
			return "-"
		}
		return s
	}
	host, code, dest, tries := "-", "-", "-", "-"
	if f.Host.IsValid() {
		host = f.Host.String()
	}
	if f.Destination.IsValid() {
		dest = f.Destination.String()
	}
	if f.Code > 0 {
		code = fmt.Sprint(f.Code)
	}
	if f.Attempts > 0 {
		tries = fmt.Sprint(f.Attempts)
	}
	flags := f.Flags
	if flags == "" && f.State == "ended" && f.Details != "" && f.Details != "via_upstream" {
		flags = f.Details
	}
	return strings.Join([]string{
		f.ID, f.State, short(time.Since(f.Start)), short(time.Duration(f.Duration * float64(time.Millisecond))), f.Client.String(), dest,
		flowSubject(f), code, none(flags), none(f.Cluster), host, tries, fmt.Sprint(f.Received), fmt.Sprint(f.Sent),
	}, "\t")
}

// flowSubject says what a flow is.
func flowSubject(f *flows.Flow) string {
	switch {
	case f.Kind == "request" && f.Method != "":
		return f.Method + " " + f.Authority + f.Path
	case f.Kind == "request":
		return "request without a head"
	}
	what := "tcp"
	if f.Transport != "" && f.Transport != "raw_buffer" {
		what = f.Transport
	}
	if f.ServerName != "" {
		what += " " + f.ServerName
	}
	if len(f.ALPN) > 0 {
		what += " (" + strings.Join(f.ALPN, ",") + ")"
	}
	return what
}

// short is a duration for people.
func short(d time.Duration) string {
	switch {
	case d >= time.Minute:
		return d.Round(time.Second).String()
	case d >= time.Second:
		return d.Round(100 * time.Millisecond).String()
	case d >= time.Millisecond:
		return d.Round(100 * time.Microsecond).String()
	}
	return d.Round(time.Microsecond).String()
}
