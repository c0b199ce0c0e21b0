package tree

import (
	"flag"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/weirproxy/weir/config/match"
	"github.com/weirproxy/weir/proxy/header"
	"github.com/weirproxy/weir/proxy/info"
)

var rewrite = flag.Bool("rewrite", false, "write what the scripts give into testdata")

// TestMatch runs the scripts of testdata/match: a matcher in YAML, "----", and questions with their answers:
//
//	NAME=VALUE … -> the action, "-" for none
//
// with names dst, src, direct, xff, sni, alpn (commas), transport, tls (no value), uri, dns, subject, h/NAME, r/NAME;
// "explain" before a question adds the trace.
func TestMatch(t *testing.T) {
	files, err := filepath.Glob("testdata/match/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := script(t, string(text))
			if *rewrite {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			} else if diff := cmp.Diff(string(text), got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func script(t *testing.T, text string) string {
	yaml, questions, ok := strings.Cut(text, "\n----\n")
	if !ok {
		t.Fatal("no ----")
	}
	tree := compile(t, yaml)
	var out strings.Builder
	out.WriteString(yaml + "\n----\n")
	in := &Input{} // one for all: its memory is used again
	for line := range strings.Lines(questions) {
		line = strings.TrimRight(line, "\n")
		q, _, isQuestion := strings.Cut(line, "->")
		switch {
		case strings.HasPrefix(line, "  "): // an old trace
			continue
		case !isQuestion:
			out.WriteString(line + "\n")
			continue
		}
		words := strings.Fields(q)
		var tr *match.Trace
		if len(words) > 0 && words[0] == "explain" {
			tr, words = &match.Trace{}, words[1:]
		}
		fill(t, in, words)
		var kept []string
		a, ok := tree.MatchEach(in, tr, func(a string) { kept = append(kept, a) })
		if !ok {
			a = "-"
		}
		for _, k := range kept {
			a += " (kept " + k + ")"
		}
		fmt.Fprintf(&out, "%s-> %s\n", q, a)
		if tr != nil {
			for _, s := range tr.Steps {
				fmt.Fprintf(&out, "  %-5v %s: %s\n", s.OK, s.Subject, s.Why)
			}
		}
	}
	return out.String()
}

// fill makes an input of words.
func fill(t testing.TB, in *Input, words []string) {
	in.Conn, in.Request, in.Response, in.Source = nil, nil, nil, netip.AddrPort{}
	conn := func() *info.Conn {
		if in.Conn == nil {
			in.Conn = &info.Conn{}
		}
		return in.Conn
	}
	peer := func() *info.Certificate {
		if conn().PeerCertificate == nil {
			in.Conn.PeerCertificate = &info.Certificate{}
		}
		return in.Conn.PeerCertificate
	}
	add := func(h **header.Headers, name, v string) {
		if *h == nil {
			*h = &header.Headers{}
		}
		(*h).AddString(header.Intern(name), v)
	}
	for _, w := range words {
		k, v, _ := strings.Cut(w, "=")
		switch name, field, _ := strings.Cut(k, "/"); name {
		case "conn":
			conn()
		case "dst":
			conn().Dest = address(t, v)
		case "src":
			conn().Source = address(t, v)
		case "direct":
			conn().DirectSource = address(t, v)
		case "xff":
			in.Source = address(t, v)
		case "sni":
			conn().ServerName = []byte(v)
		case "alpn":
			for p := range strings.SplitSeq(v, ",") {
				conn().ALPN = append(in.Conn.ALPN, []byte(p))
			}
		case "transport":
			conn().Transport = info.Transport(v)
		case "tls":
			conn().TLSVersion = "TLSv1.3"
		case "uri":
			peer().URIs = append(peer().URIs, v)
		case "dns":
			peer().DNSNames = append(peer().DNSNames, v)
		case "subject":
			peer().Subject = v
		case "h":
			add(&in.Request, field, v)
		case "r":
			add(&in.Response, field, v)
		default:
			t.Fatalf("unknown word %q", w)
		}
	}
}

func address(t testing.TB, s string) netip.AddrPort {
	if a, err := netip.ParseAddr(s); err == nil {
		return netip.AddrPortFrom(a, 1234)
	}
	a, err := netip.ParseAddrPort(s)
	if err != nil {
		t.Fatal(err)
	}
	return a
}
