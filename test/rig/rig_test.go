package rig_test

import (
	"fmt"
	"io"
	"net/http"
	"testing"

	"go.uber.org/goleak"

	"github.com/weirproxy/weir/test/rig"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestEndsUnderstandEachOther: clients and origins speak what they say, without
// Weir in between.
func TestEndsUnderstandEachOther(t *testing.T) {
	cert := rig.Certificate(t, "a.example")
	h := func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.Proto, " ", r.TLS != nil) }
	for _, c := range []struct {
		client *http.Client
		url    string
		want   string
	}{
		{rig.Client(t), "http://" + rig.Origin(t, h), "HTTP/1.1 false"},
		{rig.ClientH2C(t), "http://" + rig.OriginH2C(t, h), "HTTP/2.0 false"},
		{rig.ClientTLS(t, cert, "a.example", false), "https://" + rig.OriginTLS(t, cert, false, h), "HTTP/1.1 true"},
		{rig.ClientTLS(t, cert, "a.example", true), "https://" + rig.OriginTLS(t, cert, true, h), "HTTP/2.0 true"},
	} {
		resp, err := c.client.Get(c.url)
		if err != nil {
			t.Error(err)
			continue
		}
		b, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || string(b) != c.want {
			t.Errorf("%q, %v, want %q", b, err, c.want)
		}
	}
}

// TestApplyKeepsWhatDidNotChange: an update leaves a listener that did not change
// where it is.
func TestApplyKeepsWhatDidNotChange(t *testing.T) {
	say := func(name, what string) string {
		return fmt.Sprintf("- name: %s\n  address: {$loopback}\n  filter_chains: [{filters: [{name: say, typed_config: {$direct_response, response: {inline_string: %s}}}]}]\n", name, what)
	}
	r := rig.New(t, rig.Options{Config: "listeners:\n" + say("a", "one") + say("b", "two")})
	before := r.Addr
	r.Apply("listeners:\n" + say("a", "one") + say("c", "three"))
	if r.AddrOf("a") != before {
		t.Error("the listener moved")
	}
	for name, want := range map[string]string{"a": "one", "c": "three"} {
		if b, err := io.ReadAll(rig.Dial(t, r.AddrOf(name))); err != nil || string(b) != want {
			t.Errorf("%s: %q, %v", name, b, err)
		}
	}
}
