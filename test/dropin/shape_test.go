package dropin

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"
)

// shapeOf is what is compared of an answer: the status, the fields that are no
// dates or lengths, and the shape of the body.
func shapeOf(status int, h http.Header, body string) seen {
	lines := []string{fmt.Sprintf("status %d", status)}
	for name, values := range h {
		switch name {
		case "Date", "Content-Length", "Transfer-Encoding":
			continue
		}
		lines = append(lines, "header "+strings.ToLower(name)+": "+strings.Join(values, ", "))
	}
	var v any
	switch {
	case strings.HasPrefix(h.Get("Content-Type"), "application/json") && json.Unmarshal([]byte(body), &v) == nil:
		lines = append(lines, jsonShape("", v)...)
	case strings.HasPrefix(h.Get("Content-Type"), "text/html"):
		lines = append(lines, "html")
	case !utf8.ValidString(body) || strings.ContainsRune(body, 0):
		lines = append(lines, "binary")
	default:
		for l := range strings.Lines(body) {
			lines = append(lines, textShape(l))
		}
	}
	return sortedSet(lines)
}

// jsonShape lists the leaves of a document by path with their types. An entry of
// a list that has a @type is named by it.
func jsonShape(path string, v any) (lines []string) {
	switch v := v.(type) {
	case map[string]any:
		if len(v) == 0 {
			return []string{path + " {}"}
		}
		if t, ok := v["@type"].(string); ok {
			path += "<" + t[strings.LastIndexByte(t, '.')+1:] + ">"
		}
		for name, x := range v {
			if name != "@type" {
				lines = append(lines, jsonShape(path+"."+name, x)...)
			}
		}
	case []any:
		if len(v) == 0 {
			return []string{path + " []"}
		}
		for _, x := range v {
			lines = append(lines, jsonShape(path+"[]", x)...)
		}
	case string:
		return []string{path + " " + stringShape(v)}
	case float64:
		if strings.HasSuffix(path, ".values[].interval") { // of a histogram: null when nothing came in the last five seconds
			return []string{path + " null"}
		}
		return []string{path + " number"}
	case bool:
		return []string{path + " bool"}
	default:
		return []string{path + " null"}
	}
	return lines
}

var (
	digits   = regexp.MustCompile(`^-?\d+$`)
	duration = regexp.MustCompile(`^\d+(\.\d+)?s$`)
	instant  = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$`)
)

func stringShape(s string) string {
	switch {
	case digits.MatchString(s):
		return "digits"
	case duration.MatchString(s):
		return "duration"
	case instant.MatchString(s):
		return "time"
	}
	return "string"
}

var number = regexp.MustCompile(`\b\d+(\.\d+)?(e[-+]?\d+)?\b`)

// textShape is a line with N for numbers.
func textShape(l string) string {
	l = strings.TrimRight(l, "\n")
	l = bins.ReplaceAllString(number.ReplaceAllString(l, "N"), "")
	return strings.ReplaceAll(l, "(nan,N)", "(N,N)") // nothing came in the last five seconds
}

// bins are those of a histogram after the first.
var bins = regexp.MustCompile(`(, N,N:N)+`)

func TestShapes(t *testing.T) {
	got := strings.Join(shapeOf(200, http.Header{"Content-Type": {"application/json"}, "Date": {"now"}},
		`{"a":[{"@type":"x/y.Z","n":"1","t":"2026-01-02T03:04:05Z"},{"n":"1s"}],"b":{},"c":[null,1.5,true]}`), "\n")
	want := `.a[].n duration
.a[]<Z>.n digits
.a[]<Z>.t time
.b {}
.c[] bool
.c[] null
.c[] number
header content-type: application/json
status 200`
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if got, want := textShape("a.b_2: P0(nan,1.5) P99.5(1,2)\n"), "a.b_2: P0(N,N) P99.N(N,N)"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
