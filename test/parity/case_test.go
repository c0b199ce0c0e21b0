package parity

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// A kase is one case: what is configured, what the client does, what the origin
// answers. Its file is plain text:
//
//	hcm {…}        fields of the HttpConnectionManager, in YAML
//	filters […]    HTTP filters before the router
//	rds {…}        fields of the RouteConfiguration
//	vhost {…}      fields of its only virtual host; vhosts […] replaces it
//	routes […]     its routes; route {…}: fields of the only route's RouteAction
//	router {…}     fields of the router filter
//	cluster {…}    fields of the cluster "origin"
//	hostname …     the name of the endpoints
//	clusters {…}   further clusters by name, each with an origin of its own
//	listener {…}   fields of the listener
//	network […]    network filters before the HTTP connection manager
//	tls …          the client speaks TLS, with sni=, alpn=, max= (version), cert=; or "plain"
//	tlscontext {…} fields of the listener's DownstreamTlsContext
//	h2             the client speaks HTTP/2: see h2Client
//	without …      what is not compared: origin, log, body, probe
//	later …        why Weir cannot be asked yet: Envoy alone is recorded
//	exact          header fields are compared with their order and case
//	== name        a case begins; what stands before the first is for all
//	> text         a line the client sends
//	<              the client reads a response; "< head": its head alone;
//	               "< 5": five bytes; "< end": all until the connection ends
//	>>             waits until the origin has got a request; ">> head": its head
//	<< text        a line the origin answers
//	go             lets an origin go on that stands at "<< !wait"
//
// Settings go on in lines that begin with white space. Lines of text end and are
// escaped as in test/conformance, whose scripts are cases too. Events: "> !fin",
// "> !close", "> !reset", "> !new" (a further connection). The origin answers the
// n-th request with its n-th answer, and the last again and again; "<< !next"
// begins one, "<< !now" answers once there is a head ("<< !body" waits for
// the rest), "<< !wait" waits for "go", "<< !close", "<< !fin" and "<< !reset" end the connection, "<< !silent" says
// nothing more, "<< !echo" sends back what comes. A case that reads nothing reads
// one response at its end; then it looks whether the connection is open by asking
// once more.
type kase struct {
	file, name string
	set        settings
	steps      []step
	answers    [][]piece
	without    map[string]bool
	exact      bool
	tls        string // how the client speaks it; "" when it does not
	h2         bool   // the client speaks HTTP/2
	later      string // why Weir is not asked; "" when it is
	asked      bool   // while it is read: the next answer is another request's
}

func (k *kase) id() string { return k.file + "/" + k.name }

// settings are the configuration by key.
type settings map[string]any

// A step is something the client does.
type step struct {
	kind string // ">", "<", ">>", "go"
	arg  string // an event, or what is read
	text string // bytes to send
}

// A piece is bytes that the origin sends, or an event.
type piece struct{ text, event string }

var (
	repeat = regexp.MustCompile(`\{([^{}]+)\*(\d+)\}`)
	escape = regexp.MustCompile(`\\(r|n|t|0|\\|x[0-9a-fA-F]{2})`)
)

// line gives the bytes of a line of text.
func line(s string) string {
	s, open := strings.CutSuffix(s, `\`)
	s = repeat.ReplaceAllStringFunc(s, func(m string) string {
		p := repeat.FindStringSubmatch(m)
		n, _ := strconv.Atoi(p[2])
		return strings.Repeat(p[1], n)
	})
	s = escape.ReplaceAllStringFunc(s, func(m string) string {
		if i := strings.Index(`rnt0\`, m[1:2]); i >= 0 {
			return "\r\n\t\x00\\"[i : i+1]
		}
		n, _ := strconv.ParseUint(m[2:], 16, 8)
		return string([]byte{byte(n)})
	})
	if open {
		return s
	}
	return s + "\r\n"
}

// loadCases reads every file of a folder.
func loadCases(t *testing.T, pattern, prefix string) []*kase {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		t.Fatalf("no cases in %s: %v", pattern, err)
	}
	var all []*kase
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		cases, err := parseCases(prefix+strings.TrimSuffix(filepath.Base(f), ".txt"), string(b))
		if err != nil {
			t.Fatalf("%s: %v", f, err)
		}
		all = append(all, cases...)
	}
	return all
}

func parseCases(file, text string) ([]*kase, error) {
	base := &kase{file: file, set: settings{}, without: map[string]bool{}}
	if strings.HasPrefix(file, "conformance") {
		base.set["hcm"] = object{"codec_type": "HTTP1"}
	}
	if strings.HasPrefix(file, "conformance-refused") {
		base.without["origin"] = true // how much it got is a matter of time
	}
	k := base
	var all []*kase
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	for i := 0; i < len(lines); i++ {
		word, rest, _ := strings.Cut(lines[i], " ")
		if word == "==" {
			k = &kase{file: file, name: rest, set: settings{}, without: map[string]bool{}, exact: base.exact, tls: base.tls, h2: base.h2, later: base.later}
			merge(k.set, base.set)
			for w := range base.without {
				k.without[w] = true
			}
			all = append(all, k)
			continue
		}
		at := i + 1
		switch word {
		case "hcm", "filters", "rds", "vhost", "vhosts", "routes", "route", "router", "cluster", "clusters", "listener", "network", "tlscontext", "hostname":
			for i+1 < len(lines) && strings.HasPrefix(lines[i+1], " ") {
				i++
				rest += "\n" + lines[i]
			}
			var v any
			if err := yaml.Unmarshal([]byte(rest), &v); err != nil {
				return nil, fmt.Errorf("line %d: %w", at, err)
			}
			merge(k.set, settings{word: v})
		default:
			if err := k.line(word, rest); err != nil {
				return nil, fmt.Errorf("line %d: %w", at, err)
			}
		}
	}
	for _, k := range all {
		k.finish()
	}
	return all, nil
}

func (k *kase) line(word, rest string) error {
	event, isEvent := strings.CutPrefix(rest, "!")
	last := len(k.steps) - 1
	switch word {
	case "", "#", "once":
	case "log": // of a conformance script
	case "refused":
		k.steps = append(k.steps, step{kind: "<"})
	case "without":
		for _, w := range strings.Fields(rest) {
			k.without[w] = true
		}
	case "exact":
		k.exact = true
	case "tls":
		k.tls = rest + " "
	case "h2":
		k.h2 = true
	case "later":
		k.later = rest
	case "go":
		k.steps = append(k.steps, step{kind: "go"})
	case ">":
		switch {
		case isEvent:
			k.steps = append(k.steps, step{kind: ">", arg: event})
		case last >= 0 && k.steps[last].kind == ">" && k.steps[last].arg == "":
			k.steps[last].text += line(rest)
		default:
			k.steps = append(k.steps, step{kind: ">", text: line(rest)})
		}
	case "<", ">>":
		if conformance := strings.HasPrefix(k.file, "conformance"); conformance {
			rest = ""
			k.asked = k.asked || word == ">>" && len(k.answers) > 0
			if last >= 0 && k.steps[last].kind == word {
				return nil
			}
		}
		k.steps = append(k.steps, step{kind: word, arg: rest})
	case "<<":
		if len(k.answers) == 0 || event == "next" || k.asked {
			k.asked = false
			k.answers = append(k.answers, nil)
		}
		a := &k.answers[len(k.answers)-1]
		switch {
		case event == "next":
		case isEvent:
			*a = append(*a, piece{event: event})
		case len(*a) > 0 && (*a)[len(*a)-1].event == "":
			(*a)[len(*a)-1].text += line(rest)
		default:
			*a = append(*a, piece{text: line(rest)})
		}
	default:
		return fmt.Errorf("%q begins no line", word)
	}
	return nil
}

// finish adds what a case need not say.
func (k *kase) finish() {
	for _, s := range k.steps {
		if s.kind == "<" {
			return
		}
		if s.kind == ">" && (s.arg == "close" || s.arg == "reset") {
			k.without["probe"] = true
			return
		}
	}
	k.steps = append(k.steps, step{kind: "<"})
}

// merge lays fields over others; lists are replaced.
func merge(into, over map[string]any) {
	for key, v := range over {
		if m, ok := v.(map[string]any); ok {
			old, _ := into[key].(map[string]any)
			fresh := map[string]any{}
			merge(fresh, old)
			merge(fresh, m)
			v = fresh
		}
		into[key] = v
	}
}
