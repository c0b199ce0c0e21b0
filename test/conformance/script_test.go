package conformance

import (
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// A script is one case: its configuration and its steps, in the order they stand.
//
//	== name
//	hcm {…}       fields of the HttpConnectionManager
//	route {…}     fields of the RouteAction, or routes […]: all routes
//	cluster {…}   fields of the Cluster
//	> text        a line the client sends
//	>> text       a line the origin must get
//	<< text       a line the origin sends
//	< text        a line the client must get
//	log …         the access log's status, flags and details
//	refused …     the same, of a request that the codec refuses: the client gets the
//	              status with its reason phrase as a body, and the connection ends
//	once          not repeated byte by byte
//
// A line ends with CRLF, unless its last byte is a backslash: then it goes on with
// the next. \r \n \0 \t and \xNN are bytes; {x*1000} is x a thousand times. Beside
// text there are events: "!fin", "!close", "!reset" of who sends, "!eof", "!broken"
// of who gets, ">> !new" takes a further connection.
type script struct {
	name                string
	hcm, route, cluster string
	routes              string
	once                bool
	steps               []step
	head                []string // the lines that are not steps, for -rewrite
}

// A step is a run of lines of one kind, or one event.
type step struct {
	kind  string // ">", ">>", "<<", "<", "log", "refused"
	lines []string
	event bool
}

// bytes is what the lines stand for.
func (s *step) bytes() string {
	var b strings.Builder
	for _, l := range s.lines {
		cut, open := strings.CutSuffix(l, `\`)
		b.WriteString(unescape(cut))
		if !open {
			b.WriteString("\r\n")
		}
	}
	return b.String()
}

var (
	repeat = regexp.MustCompile(`\{([^{}]+)\*(\d+)\}`)
	escape = regexp.MustCompile(`\\(r|n|t|0|\\|x[0-9a-fA-F]{2})`)
)

func unescape(s string) string {
	s = repeat.ReplaceAllStringFunc(s, func(m string) string {
		p := repeat.FindStringSubmatch(m)
		n, _ := strconv.Atoi(p[2])
		return strings.Repeat(p[1], n)
	})
	return escape.ReplaceAllStringFunc(s, func(m string) string {
		switch m[1] {
		case 'r':
			return "\r"
		case 'n':
			return "\n"
		case 't':
			return "\t"
		case '0':
			return "\x00"
		case '\\':
			return `\`
		}
		n, _ := strconv.ParseUint(m[2:], 16, 8)
		return string([]byte{byte(n)})
	})
}

// unbytes is the inverse of step.bytes, for -rewrite.
func unbytes(s string) []string {
	var lines []string
	for s != "" {
		l, rest, whole := strings.Cut(s, "\r\n")
		l = strings.ReplaceAll(l, `\`, `\\`)
		for i := range 256 {
			if i < ' ' && i != '\t' || i >= 0x7f {
				l = strings.ReplaceAll(l, string([]byte{byte(i)}), fmt.Sprintf(`\x%02x`, i))
			}
		}
		if !whole {
			l += `\`
		}
		lines = append(lines, l)
		s = rest
	}
	return lines
}

// parseScripts reads a file of cases.
func parseScripts(t testing.TB, path string) []*script {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var all []*script
	var s *script
	for n, l := range strings.Split(strings.TrimRight(string(b), "\n"), "\n") {
		word, rest, _ := strings.Cut(l, " ")
		if word == "==" {
			s = &script{name: rest}
			all = append(all, s)
			continue
		}
		if s == nil {
			s = &script{} // the file's comment
			all = append(all, s)
		}
		switch word {
		case "", "#", "hcm", "route", "routes", "cluster", "once":
			s.head = append(s.head, l)
		}
		switch word {
		case "", "#":
		case "hcm":
			s.hcm = rest
		case "route":
			s.route = rest
		case "routes":
			s.routes = rest
		case "cluster":
			s.cluster = rest
		case "once":
			s.once = true
		case ">", ">>", "<<", "<", "log", "refused":
			s.add(word, rest)
		default:
			t.Fatalf("%s:%d: %q", path, n+1, l)
		}
	}
	return all
}

func (s *script) add(kind, rest string) {
	event := strings.HasPrefix(rest, "!") || kind == "log" || kind == "refused"
	if k := len(s.steps); k > 0 && !event {
		if last := &s.steps[k-1]; last.kind == kind && !last.event {
			last.lines = append(last.lines, rest)
			return
		}
	}
	s.steps = append(s.steps, step{kind, []string{rest}, event})
}

// text is the script as it stands in its file.
func (s *script) text() string {
	var b strings.Builder
	if s.name != "" {
		fmt.Fprintf(&b, "== %s\n", s.name)
	}
	blank := 0
	for _, l := range s.head {
		if l == "" && s.name != "" {
			blank++
			continue
		}
		fmt.Fprintln(&b, l)
	}
	for i := range s.steps {
		for _, l := range s.steps[i].lines {
			fmt.Fprintln(&b, strings.TrimRight(s.steps[i].kind+" "+l, " "))
		}
	}
	if blank > 0 {
		fmt.Fprintln(&b)
	}
	return b.String()
}
