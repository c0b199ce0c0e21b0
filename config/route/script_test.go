package route

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"github.com/google/go-cmp/cmp"
	"github.com/weirproxy/weir/config/extension"
	"github.com/weirproxy/weir/config/fielderr"
	"github.com/weirproxy/weir/config/match"
	"github.com/weirproxy/weir/config/yamlproto"
	"github.com/weirproxy/weir/proxy/header"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var rewrite = flag.Bool("rewrite", false, "write what the code answers into the testdata")

// A script is a route configuration in YAML, then a line "---", then requests:
//
//	GET host /path [| header: value]... [| tls] [| rand=N] [| hash=N] [| trace]
//	  what happens
//
// A configuration that is refused has its errors instead of requests.
func TestScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, f := range files {
		t.Run(strings.TrimSuffix(filepath.Base(f), ".txt"), func(t *testing.T) { runScript(t, f) })
	}
}

func runScript(t *testing.T, file string) {
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	yaml, rest, ok := strings.Cut(string(text), "\n---\n")
	if !ok {
		t.Fatal("no line ---")
	}
	rc := &routev3.RouteConfiguration{}
	if _, err := yamlproto.Unmarshal([]byte(yaml), rc, yamlproto.Options{File: file}); err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	out.WriteString(yaml + "\n---\n")
	table, err := Decode(rc, extension.NewContext(testRegistry(), rc.Name))
	if err != nil {
		for _, e := range fielderr.All(err) {
			fmt.Fprintf(&out, "error %s\n", e)
		}
	} else {
		for _, l := range table.Lints {
			fmt.Fprintf(&out, "lint %s\n", l)
		}
		for line := range strings.SplitSeq(rest, "\n") {
			switch {
			case strings.HasPrefix(line, "  "), strings.HasPrefix(line, "error "), strings.HasPrefix(line, "lint "):
			case line == "", strings.HasPrefix(line, "#"):
				out.WriteString(line + "\n")
			default:
				out.WriteString(line + "\n" + ask(t, table, line))
			}
		}
	}
	got := strings.TrimRight(out.String(), "\n") + "\n"
	if *rewrite {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(string(text), got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// ask gives what the table makes of one request line.
func ask(t *testing.T, table *Table, line string) string {
	opts := strings.Split(line, " | ")
	f := strings.Fields(opts[0])
	if len(f) != 3 {
		t.Fatalf("not METHOD HOST PATH: %q", line)
	}
	var h header.Headers
	h.AddString(header.Method, f[0])
	h.AddString(header.Authority, f[1])
	if f[2] == "-" { // CONNECT has none
		f[2] = ""
	}
	h.AddString(header.Path, f[2])
	r := &Request{Method: []byte(f[0]), Authority: []byte(f[1]), Path: []byte(f[2]), Headers: &h}
	var hash uint64
	hasHash, traced := false, false
	for _, o := range opts[1:] {
		name, value, isHeader := strings.Cut(o, ": ")
		num, isNum := strings.CutPrefix(o, "rand=")
		switch {
		case isHeader:
			h.AddString(header.Intern(name), value)
		case o == "tls":
			r.TLS = true
		case o == "trace":
			traced = true
		case isNum:
			r.Rand = mustUint(t, num)
		case strings.HasPrefix(o, "hash="):
			hash, hasHash = mustUint(t, o[len("hash="):]), true
		default:
			t.Fatalf("unknown option %q", o)
		}
	}
	var out strings.Builder
	tr := &match.Trace{}
	rt := table.Match(r, tr)
	if plain := table.Match(r, nil); plain != rt {
		t.Errorf("%s: a trace changes the answer", line)
	}
	if traced {
		for _, s := range tr.Steps {
			fmt.Fprintf(&out, "  %v %s: %s\n", s.OK, s.Subject, s.Why)
		}
	}
	out.WriteString("  " + describe(rt, r, hash, hasHash) + "\n")
	return out.String()
}

func describe(rt *Route, r *Request, hash uint64, hasHash bool) string {
	if rt == nil {
		return "no route"
	}
	s := rt.VirtualHost.Name + "[" + strconv.Itoa(rt.Index) + "] "
	if rt.Name != "" {
		s += strconv.Quote(rt.Name) + " "
	}
	switch {
	case rt.Redirect != nil:
		return s + fmt.Sprintf("%d to %s", rt.Redirect.Code, rt.Redirect.AppendLocation(nil, r))
	case rt.Direct != nil:
		return s + fmt.Sprintf("%d %q", rt.Direct.Code, rt.Direct.Body)
	}
	name, dynamic, w := rt.Forward.Pick(r, hash, hasHash, nil)
	if name == "" {
		name = fmt.Sprintf("from header %q", dynamic)
	}
	s += "cluster " + name
	if p := rt.AppendPath(nil, r.Path); !bytes.Equal(p, r.Path) {
		s += " path " + string(p)
	}
	if h, ok := rt.Forward.AppendHost(nil, w, r); ok {
		s += " host " + string(h)
	}
	before := fields(r.Headers)
	var c header.Headers
	c.CopyFrom(r.Headers)
	rt.MutateRequest(w, &c, testVars(&c))
	if after := fields(&c); after != before {
		s += " headers" + after
	}
	var resp header.Headers
	resp.AddString(header.Intern("server"), "origin")
	rt.MutateResponse(w, &resp, testVars(&c))
	if after := fields(&resp); after != " server=origin" {
		s += " response" + after
	}
	return s
}

// fields lists the fields that are not pseudo-headers.
func fields(h *header.Headers) string {
	s := ""
	for i := range h.Len() {
		if n, v := h.At(i); n[0] != ':' {
			s += " " + string(n) + "=" + string(v)
		}
	}
	return s
}

func mustUint(t *testing.T, s string) uint64 {
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}
