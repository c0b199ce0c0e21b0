package accesslog

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/weirproxy/weir/proxy/conn"
	"github.com/weirproxy/weir/proxy/info"
	"github.com/weirproxy/weir/proxy/stream"
)

func TestDefaultFormat(t *testing.T) {
	f, err := ParseFormat(nil, Default)
	if err != nil {
		t.Fatal(err)
	}
	c, s := record()
	want := `[2026-11-04T03:02:01.214Z] "GET /old?z=9#f HTTP/1.1" 503 UF,URX 5 1234567 100 44 "-" "curl/7.88.1" "211df2d0" "h.example" "10.9.2.2:80"` + "\n"
	if diff := cmp.Diff(want, string(f.Append(nil, c, s))); diff != "" {
		t.Errorf("request (-want +got)\n%s", diff)
	}
	want = `[2026-11-04T03:02:01.214Z] "- - -" 0 NR 1000 2000 1500 - "-" "-" "-" "-" "10.9.2.3:5432"` + "\n"
	if diff := cmp.Diff(want, string(f.Append(nil, c, nil))); diff != "" {
		t.Errorf("connection (-want +got)\n%s", diff)
	}
	// The line that Envoy 1.40 wrote for a request like this one.
	s = stream.New(stream.NewChain(nil, new(stream.Slots), nil))
	add(&s.Request, ":method", "GET", ":path", "/x", ":authority", "127.0.0.1:19080", "user-agent", "curl/7.88.1", "x-request-id", "211df2d0")
	add(&s.Response, "x-envoy-upstream-service-time", "0")
	s.Info = info.Stream{Protocol: info.HTTP11, Code: 200, BytesSent: 2, Start: start, End: start.Add(44e6), UpstreamHost: addr("127.0.0.1:19091")}
	want = `[2026-11-04T03:02:01.214Z] "GET /x HTTP/1.1" 200 - 0 2 44 0 "-" "curl/7.88.1" "211df2d0" "127.0.0.1:19080" "127.0.0.1:19091"` + "\n"
	if diff := cmp.Diff(want, string(f.Append([]byte("x")[:0], c, s))); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestFormats(t *testing.T) {
	file := filepath.Join(t.TempDir(), "format")
	if err := os.WriteFile(file, []byte("%PROTOCOL%;%REQ(x-none)%\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("WEIR_TEST_FORMAT", "%ROUTE_NAME%")
	for _, x := range []struct{ name, format, request, connection string }{
		{"text_format", `text_format: "%PROTOCOL% %REQ(x-none)%\n"`, "HTTP/1.1 -\n", "- -\n"},
		{"text, empty values", `{text_format: "<%PROTOCOL%%REQ(x-none)%>", omit_empty_values: true}`, "<HTTP/1.1>", "<>"},
		{"text, flags are a value", `{text_format: "<%RESPONSE_FLAGS%>", omit_empty_values: true}`, "<UF,URX>", "<NR>"},
		{"from a file", "text_format_source: {filename: " + file + "}", "HTTP/1.1;-\n", "-;-\n"},
		{"inline bytes", "text_format_source: {inline_bytes: JVBST1RPQ09MJQ==}", "HTTP/1.1", "-"},
		{"from the environment", "text_format_source: {environment_variable: WEIR_TEST_FORMAT}", "r1", "-"},
		{
			"json", `json_format: {b: "%PROTOCOL%", a: "%RESPONSE_CODE%", c: text, d: "", e: "%%"}`,
			`{"a":503,"b":"HTTP/1.1","c":"text","d":"","e":"%"}` + "\n", `{"a":0,"b":null,"c":"text","d":"","e":"%"}` + "\n",
		},
		{
			"json, types", `json_format: {n: 1.5, i: 7, t: true, z: null, l: ["%BYTES_SENT%", "%ROUTE_NAME%", {x: "%DURATION%"}]}`,
			`{"i":7,"l":[1234567,"r1",{"x":100}],"n":1.5,"t":true,"z":null}` + "\n", `{"i":7,"l":[2000,null,{"x":1500}],"n":1.5,"t":true,"z":null}` + "\n",
		},
		{
			"json, text and operators", `json_format: {k: "code=%RESPONSE_CODE% \"%ROUTE_NAME%\""}`,
			`{"k":"code=503 \"r1\""}` + "\n", `{"k":"code=0 \"-\""}` + "\n",
		},
		{
			"json, nested, empty values", `{json_format: {a: {r: "%ROUTE_NAME%", b: "%BYTES_SENT%"}, c: {r: "%ROUTE_NAME%"}, m: "x%ROUTE_NAME%"}, omit_empty_values: true}`,
			`{"a":{"b":1234567,"r":"r1"},"c":{"r":"r1"},"m":"xr1"}` + "\n", `{"a":{"b":2000},"c":{},"m":"x"}` + "\n",
		},
		{
			"json, escapes", `json_format: {"k\"\n": "%REQ(x-evil)%", m: "<%REQ(x-evil)%>"}`,
			`{"k\"\n":"a\n\"b\\\u0000\u001bé\ufffd","m":"<a\n\"b\\\u0000\u001bé\ufffd>"}` + "\n", `{"k\"\n":null,"m":"<->"}` + "\n",
		},
		{"json, length", `json_format: {k: "%REQ(user-agent):4%", e: "%REQ(x-evil):8%"}`, `{"e":"a\n\"b\\\u0000\u001b","k":"curl"}` + "\n", `{"e":null,"k":null}` + "\n"},
	} {
		t.Run(x.name, func(t *testing.T) {
			f, err := ParseFormat(format(t, x.format), Default)
			if err != nil {
				t.Fatal(err)
			}
			c, s := record()
			for i, want := range []string{x.request, x.connection} {
				if i == 1 {
					s = nil
				}
				got := f.Append(nil, c, s)
				if diff := cmp.Diff(want, string(got)); diff != "" {
					t.Errorf("(-want +got)\n%s", diff)
				}
				if strings.HasPrefix(x.name, "json") && !json.Valid(got) {
					t.Errorf("not JSON: %s", got)
				}
			}
		})
	}
}

func TestRefusedFormats(t *testing.T) {
	big := filepath.Join(t.TempDir(), "big")
	if err := os.WriteFile(big, make([]byte, maxFormat+1), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, x := range []struct{ format, want string }{
		{"{}", "format: unset"},
		{`text_format: "%NOPE%"`, "text_format: Not supported field in StreamInfo: NOPE"},
		{`text_format_source: {inline_string: "%NOPE%"}`, "text_format_source: Not supported field in StreamInfo: NOPE"},
		{"text_format_source: {filename: /dev/zero}", "text_format_source.filename: /dev/zero is not a regular file"},
		{"text_format_source: {filename: " + big + "}", "bytes, more than 65536"},
		{"text_format_source: {filename: /nowhere/at/all}", "text_format_source.filename: "},
		{"text_format_source: {environment_variable: WEIR_TEST_UNSET}", "text_format_source.environment_variable: WEIR_TEST_UNSET is not set"},
		{"text_format_source: {}", "text_format_source: unset"},
		{`json_format: {a: [x, {b: "%REQ%"}], c: "%NOPE%"}`, "json_format[\"a\"][1][\"b\"]: REQ requires parameters\njson_format[\"c\"]: Not supported"},
		{`{text_format: a, formatters: [{name: x}]}`, "formatters: not supported"},
	} {
		_, err := ParseFormat(format(t, x.format), Default)
		if err == nil || !strings.Contains(err.Error(), x.want) {
			t.Errorf("%s: error %v, wanted %q in it", x.format, err, x.want)
		}
	}
}

func TestLinesCostNoAllocation(t *testing.T) {
	c, s := record()
	all := "json_format:\n"
	for i, x := range operatorTests {
		all += "  k" + itoa(int64(i)) + ": \"" + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(x.format) + "\"\n"
	}
	for _, m := range []string{"", `text_format: "%UNIQUE_ID% %EMIT_TIME% %START_TIME_LOCAL%"`, all} {
		f, err := ParseFormat(nil, Default)
		if m != "" {
			f, err = ParseFormat(format(t, m), Default)
		}
		if err != nil {
			t.Fatal(err)
		}
		// Not through a Logger: under the race detector its pool forgets at random.
		line := f.Append(nil, c, s)
		if n := leastAllocs(func() { line = f.Append(line[:0], c, s) }); n > 0 {
			t.Errorf("%.40q: %v allocations a line", m, n)
		}
		if n := leastAllocs(func() { line = f.Append(line[:0], c, nil) }); n > 0 {
			t.Errorf("%.40q: %v allocations a connection", m, n)
		}
	}
}

// leastAllocs is how many allocations f makes. What the whole process allocates is counted, the runtime with it: the least of some
// rounds is f's own.
func leastAllocs(f func()) float64 {
	least := testing.AllocsPerRun(200, f)
	for range 9 {
		if least == 0 {
			break
		}
		least = min(least, testing.AllocsPerRun(200, f))
	}
	return least
}

func BenchmarkDefaultFormat(b *testing.B) {
	f, err := ParseFormat(nil, Default)
	if err != nil {
		b.Fatal(err)
	}
	c, s := record()
	l := NewLogger(f, discard{})
	b.ReportAllocs()
	for b.Loop() {
		l.Log(c, s)
	}
}

type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }

// FuzzFormat: no format and no value makes a second line, or JSON that is none.
func FuzzFormat(f *testing.F) {
	for _, x := range operatorTests {
		f.Add(x.format, "v")
	}
	f.Add("%REQ(x):1%", "\xc3\xa9\n")
	f.Add("%REQ(x", "\r\n\"\\")
	f.Fuzz(func(t *testing.T, text, value string) {
		c := conn.New(nil)
		c.Info.ServerName = []byte(value)
		s := stream.New(stream.NewChain(nil, new(stream.Slots), nil))
		s.Request.AddRaw([]byte("x"), []byte(value))
		s.Info.Details, s.Info.Start = value, start
		if tf, err := ParseFormat(inline(text), Default); err == nil {
			got := tf.Append(nil, c, s)
			if bytes.ContainsAny(got, "\n") && !strings.ContainsAny(text, "\n") && !strings.Contains(text, "%n") && !strings.Contains(text, "%t") {
				t.Errorf("%q with %q: %q", text, value, got)
			}
		}
		var l listOnly
		n := parseValue(&l.List, "k", l.value(text), "-", false)
		if l.Err() != nil {
			return
		}
		if got := n.append(nil, c, s); !json.Valid(got) || bytes.ContainsAny(got, "\n") {
			t.Errorf("%q with %q: %q", text, value, got)
		}
	})
}
