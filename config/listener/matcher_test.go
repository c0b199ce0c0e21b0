package listener_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	"github.com/google/go-cmp/cmp"
	"github.com/weirproxy/weir/config/extension"
	"github.com/weirproxy/weir/config/listener"
	"github.com/weirproxy/weir/config/match"
	"github.com/weirproxy/weir/proxy/info"
)

// matched makes a listener with chains of these names ("default:x" is the default one) and a filter_chain_matcher in YAML.
func matched(t *testing.T, chains, matcher string) *listenerv3.Listener {
	p := read(t, "filter_chain_matcher:\n  "+strings.ReplaceAll(matcher, "\n", "\n  "))
	e := emptyListener()
	p.Name, p.Address = e.Name, e.Address
	for _, name := range strings.Fields(chains) {
		if d, ok := strings.CutPrefix(name, "default:"); ok {
			p.DefaultFilterChain = scriptChain(t, d, nil)
		} else {
			p.FilterChains = append(p.FilterChains, scriptChain(t, name, nil))
		}
	}
	return p
}

// TestFilterChainMatcher runs the scripts of testdata/matcher: the names of the chains, the matcher in YAML, "----", and conn and
// explain commands as in testdata/select with their answers.
func TestFilterChainMatcher(t *testing.T) {
	files, err := filepath.Glob("testdata/matcher/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			head, commands, _ := strings.Cut(string(b), "----\n")
			chains, yaml, _ := strings.Cut(head, "\n")
			out := strings.Builder{}
			out.WriteString(head + "----\n")
			l, err := listener.Decode(matched(t, chains, yaml), extension.NewContext(registry(), "in"))
			if err != nil {
				t.Fatal(err)
			}
			for line := range strings.Lines(commands) {
				words := strings.Fields(line)
				switch {
				case strings.HasPrefix(line, "  "): // an old answer
				case len(words) == 0 || words[0] != "conn" && words[0] != "explain":
					out.WriteString(line)
				default:
					c := scriptConn(t, words[1:])
					fmt.Fprintf(&out, "%s  %s\n", line, selected(l, c))
					if words[0] == "explain" {
						var tr match.Trace
						l.Selector.Select(c, &tr)
						for _, s := range tr.Steps {
							fmt.Fprintf(&out, "  %-5v %s: %s\n", s.OK, s.Subject, s.Why)
						}
					}
					if n := testing.AllocsPerRun(20, func() { l.Selector.Select(c, nil) }); n != 0 && !racing {
						t.Errorf("%s: %v allocations", line, n)
					}
				}
			}
			if *rewrite {
				if err := os.WriteFile(file, []byte(out.String()), 0o644); err != nil {
					t.Fatal(err)
				}
			} else if diff := cmp.Diff(string(b), out.String()); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func TestFilterChainMatcherErrors(t *testing.T) {
	const (
		sni  = `{name: i, typed_config: {"@type": type.googleapis.com/envoy.extensions.matching.common_inputs.network.v3.ServerNameInput}}`
		head = "matcher_tree: {input: " + sni + ", exact_match_map: {map: {a: {action: {name: x, typed_config: "
		at   = `filter_chain_matcher.matcher_tree.exact_match_map.map["a"].action.typed_config: `
	)
	for _, c := range []struct{ chains, yaml, want string }{
		{"a", head + `{"@type": type.googleapis.com/google.protobuf.StringValue, value: b}}}}}}`, at + `no filter chain is named "b"`},
		{"default:a", head + `{"@type": type.googleapis.com/google.protobuf.StringValue, value: a}}}}}}`, at + `no filter chain is named "a"`},
		{
			"a", head + `{"@type": type.googleapis.com/google.protobuf.BoolValue, value: true}}}}}}`,
			at + "unsupported action google.protobuf.BoolValue (supported: google.protobuf.StringValue, the name of a filter chain)",
		},
		{"a - a", "on_no_match: {matcher: {}}", "filter_chains[1].name: empty: filter_chain_matcher finds filter chains by name\n" +
			`filter_chains[2].name: "a" is there already: filter_chain_matcher finds filter chains by name`},
		{"a", "on_no_match: {keep_matching: true, matcher: {}}", "filter_chain_matcher.on_no_match.keep_matching: not supported here: one action is taken"},
		{
			"a", `matcher_tree: {input: {name: i, typed_config: {"@type": type.googleapis.com/envoy.type.matcher.v3.HttpRequestHeaderMatchInput, header_name: a}}, exact_match_map: {map: {a: {matcher: {}}}}}`,
			"filter_chain_matcher.matcher_tree.input.typed_config: envoy.type.matcher.v3.HttpRequestHeaderMatchInput is not known here",
		},
	} {
		_, err := listener.Decode(matched(t, c.chains, c.yaml), extension.NewContext(registry(), "in"))
		if err == nil || err.Error() != c.want {
			t.Errorf("got  %v\nwant %s", err, c.want)
		}
	}
	p := matched(t, "a", "on_no_match: {matcher: {}}")
	p.FilterChains[0].FilterChainMatch = &listenerv3.FilterChainMatch{ServerNames: []string{"a"}}
	const want = "filter_chains[0].filter_chain_match: has no effect beside filter_chain_matcher"
	if _, err := listener.Decode(p, extension.NewContext(registry(), "in")); err == nil || err.Error() != want {
		t.Errorf("got %v", err)
	}
}

// TestFilterChainMatcherAtOnce asks one matcher from several goroutines: each gets the answer to its own question. 421 goes by the
// matcher, too.
func TestFilterChainMatcherAtOnce(t *testing.T) {
	entry := func(name string) string {
		return name + `: {action: {name: a, typed_config: {"@type": type.googleapis.com/google.protobuf.StringValue, value: ` + name + `}}}`
	}
	l, err := listener.Decode(matched(t, "a b", `matcher_tree:
  input: {name: i, typed_config: {"@type": type.googleapis.com/envoy.extensions.matching.common_inputs.network.v3.ServerNameInput}}
  exact_match_map: {map: {`+entry("a")+", "+entry("b")+`}}`), extension.NewContext(registry(), "in"))
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for _, name := range []string{"a", "b", "a", "b"} {
		wg.Go(func() {
			c := &info.Conn{ServerName: []byte(name)}
			for range 500 {
				if f := l.Selector.Select(c, nil); f == nil || f.Name != name {
					t.Errorf("%s: %v", name, f)
					return
				}
			}
			other := map[string]string{"a": "b", "b": "a"}[name]
			chosen := l.Selector.Select(c, nil)
			if !l.Selector.Misdirected(c, chosen, []byte(other)) || l.Selector.Misdirected(c, chosen, []byte("c")) {
				t.Errorf("%s: misdirected", name)
			}
		})
	}
	wg.Wait()
}
