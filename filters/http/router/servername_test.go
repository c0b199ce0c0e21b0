package router

import "testing"

func TestHostOnly(t *testing.T) {
	for in, want := range map[string]string{
		"a.example": "a.example", "a.example:443": "a.example", "10.0.0.1": "10.0.0.1", "10.0.0.1:80": "10.0.0.1", "[::1]:80": "::1", "[::1]": "::1",
		"::1": "::1", "a1": "a1", "": "", ":80": "", "[::1": "[::1", "a:b": "a:b",
	} {
		if got := string(hostOnly([]byte(in))); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}
