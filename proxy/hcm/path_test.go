package hcm

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/weirproxy/weir/proxy/header"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestCanonicalPath has what Envoy 1.40 made of the same paths.
func TestCanonicalPath(t *testing.T) {
	norm := &Config{NormalizePath: true, MergeSlashes: true}
	for in, want := range map[string]string{
		"/%zz": "/%zz", "/a/../b": "/b", "/%2e%2e/x": "/x", "/a//b": "/a/b", "/%41": "/A", `/a\b`: "/a/b",
		"/a%2fb": "/a%2fb", `/"<>`: "/%22%3C%3E", "/..": "/", "/a/.": "/a/", "/a/..": "/", "//..//x": "/x",
		"/a/b/../../../c": "/c", "/a;x/../b": "/b", "/%7e": "/~", "/%": "/%", "/a%2": "/a%2",
		"/a^b|c": "/a%5Eb%7Cc", "/a/b/..;/c": "/a/c", "/a/..;x=1/b": "/b", "/a/.;/b": "/a/b", "/a/..;": "/", "/a/;x/b": "/a/;x/b",
		"/a/...;/b": "/a/...;/b", "/a/..%3b/b": "/a/..%3b/b",
		"/a/%2e%2e;x/b": "/b", // Envoy leaves it as "..;x"
	} {
		out, redirect, ok := canonicalPath(nil, []byte(in), norm)
		if string(out) != want || redirect || !ok {
			t.Errorf("%s: %q %v %v, want %q", in, out, redirect, ok, want)
		}
		if in != want && !needsPathWork([]byte(in)) {
			t.Errorf("%s would be passed over", in)
		}
	}
	if _, _, ok := canonicalPath(nil, []byte("/%00"), norm); ok {
		t.Error("NUL accepted")
	}
	for a, want := range map[EscapedSlashes]string{KeepEscaped: "/a%2Fb", UnescapeAndForward: "/a/b", UnescapeAndRedirect: "/a/b", RejectEscaped: ""} {
		out, redirect, ok := canonicalPath(nil, []byte("/a%2Fb"), &Config{EscapedSlashes: a})
		if string(out) != want || redirect != (a == UnescapeAndRedirect) || ok != (a != RejectEscaped) {
			t.Errorf("%d: %q %v %v", a, out, redirect, ok)
		}
	}
}

func TestHop(t *testing.T) {
	for _, c := range []struct {
		xff  string
		n    int
		want string
	}{{"1.1.1.1", 0, "1.1.1.1"}, {"1.1.1.1, 2.2.2.2", 0, "2.2.2.2"}, {"1.1.1.1,2.2.2.2", 1, "1.1.1.1"}, {"1.1.1.1", 1, ""}, {"", 0, ""}, {"x", 0, ""}, {"::1", 0, "::1"}, {"fe80::1%eth0", 0, ""}} {
		a, ok := hop([]byte(c.xff), c.n)
		if ok != (c.want != "") || ok && a.String() != c.want {
			t.Errorf("%q %d: %v %v", c.xff, c.n, a, ok)
		}
	}
}

func TestSeveralXFFBecomeOne(t *testing.T) {
	var h header.Headers
	h.AddString(header.XForwardedFor, "1.1.1.1")
	h.AddString(header.XForwardedFor, "2.2.2.2")
	if v := oneXFF(&h); string(v) != "1.1.1.1,2.2.2.2" || h.Count(header.XForwardedFor) != 1 {
		t.Errorf("%q", v)
	}
	appendXFF(&h, []byte("3.3.3.3"))
	if v := h.Value(header.XForwardedFor); string(v) != "1.1.1.1,2.2.2.2,3.3.3.3" {
		t.Errorf("%q", v)
	}
}
