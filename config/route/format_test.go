package route

import (
	"strings"
	"testing"

	"github.com/weirproxy/weir/proxy/header"
)

func TestFormats(t *testing.T) {
	req := &header.Headers{}
	req.AddString(header.Authority, "h")
	req.AddString(header.Intern("x"), "value")
	req.AddString(header.Intern("x"), "second")
	for in, want := range map[string]string{
		"plain":                       "plain",
		"":                            "",
		"100%%":                       "100%",
		"%%%%":                        "%%",
		"a%%%PROTOCOL%b":              "a%HTTP/1.1b",
		"%REQ(X)%":                    "value",
		"%REQ(:AUTHORITY)%":           "h",
		"%REQ(none?x):3%":             "val",
		"[%REQ(none)%]":               "[]",
		"%RESP(x)%":                   "",
		"%DOWNSTREAM_REMOTE_ADDRESS%": "10.0.0.1:4321",
		"%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%": "10.0.0.1",
		"%DOWNSTREAM_REMOTE_PORT%":                 "4321",
		"%DOWNSTREAM_DIRECT_REMOTE_ADDRESS%":       "10.9.9.9:1",
		"%DOWNSTREAM_LOCAL_ADDRESS%":               "[2001:db8::1]:80",
		"%DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT%":  "2001:db8::1",
		"%DOWNSTREAM_LOCAL_PORT%":                  "80",
		"%REQUESTED_SERVER_NAME%":                  "sni.test",
		"%CONNECTION_ID% %FILTER_CHAIN_NAME%":      "7 main",
		"%DOWNSTREAM_TLS_VERSION%":                 "",
		"%UPSTREAM_HOST% %UPSTREAM_CLUSTER%":       "10.1.1.1:8080 c",
		"%UPSTREAM_REMOTE_ADDRESS%":                "10.1.1.1:8080",
		"%UPSTREAM_LOCAL_ADDRESS%":                 "",
		"%ROUTE_NAME% %HOSTNAME%":                  "r gateway-1",
		"%RESPONSE_CODE% %RESPONSE_CODE_DETAILS%":  "200 via_upstream",
		"%RESPONSE_FLAGS%":                         "-",
		"%BYTES_RECEIVED%/%BYTES_SENT%":            "3/0",
		"%REQUEST_DURATION%ms":                     "12ms",
		"%UPSTREAM_REQUEST_ATTEMPT_COUNT%":         "1",
		"%START_TIME%":                             "2026-11-24T06:07:08.123Z",
		"%START_TIME(%Y/%m/%d %T.%6f %z)%":         "2026/11/24 06:07:08.123456 +0000",
		"%START_TIME(%s.%3f)%":                     "1795500428.123",
		"%START_TIME(%a, %d %b %Y 100%%)%":         "Tue, 24 Nov 2026 100%",
		"%START_TIME(%f)%":                         "123456789",
	} {
		f, err := ParseFormat(in)
		if err != nil {
			t.Errorf("%s: %v", in, err)
			continue
		}
		if got := string(f.Append(nil, testVars(req))); got != want {
			t.Errorf("%s: %q, want %q", in, got, want)
		}
	}
}

func TestOperatorsWithoutASourceAreEmpty(t *testing.T) {
	for op := opText + 1; op < numOperators; op++ {
		in := "%" + operatorNames[op] + "%"
		if op == opReq || op == opResp {
			in = "%" + operatorNames[op] + "(x)%"
		}
		f, err := ParseFormat(in)
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range []*Vars{nil, {}} {
			if got := f.Append(nil, v); len(got) != 0 {
				t.Errorf("%s without facts: %q", in, got)
			}
		}
	}
}

func TestFormatErrors(t *testing.T) {
	for in, want := range map[string]string{
		"50%":                   "a single % begins an operator",
		"%PROTOCOL":             "a single % begins an operator",
		"% %":                   "a single % begins an operator",
		"%REQ(x%":               "%REQ: parenthesis not closed",
		"%REQ%":                 "%REQ%: wants a header name",
		"%REQ(x?)%":             "%REQ%: wants a header name",
		"%REQ(x):0%":            `%REQ%: not a length: "0"`,
		"%REQ(x):9":             "%REQ: closing % not found",
		"%PROTOKOLL%":           "unknown operator %PROTOKOLL%",
		"%UPSTREM_HOST%":        `unknown operator %UPSTREM_HOST% (did you mean "UPSTREAM_HOST"?)`,
		"%DYNAMIC_METADATA(a)%": "unknown operator %DYNAMIC_METADATA%",
		"%PROTOCOL(x)%":         "%PROTOCOL%: takes no arguments",
		"%START_TIME(%)%":       "ends in %",
		"%START_TIME(%E0S)%":    "unknown verb %E",
	} {
		if _, err := ParseFormat(in); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", in, err, want)
		}
	}
}

func FuzzFormat(f *testing.F) {
	for _, s := range []string{"%REQ(a?b):3%", "%START_TIME(%Y%3f%E9S)%", "100%%", "%RESP(x)%%PROTOCOL%"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p, err := ParseFormat(s)
		if err != nil {
			return
		}
		p.Append(nil, nil)
		got := p.Append([]byte("kept"), testVars(&header.Headers{}))
		if !strings.HasPrefix(string(got), "kept") {
			t.Fatalf("%q overwrites what was there: %q", s, got)
		}
		if text, ok := p.Static(); ok && !strings.Contains(s, "%") && text != s {
			t.Fatalf("%q became %q", s, text)
		}
	})
}
