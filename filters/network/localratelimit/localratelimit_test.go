package localratelimit_test

import (
	"io"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/weirproxy/weir/filters"
	"github.com/weirproxy/weir/test/rig"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// lines hands over what is logged.
type lines chan string

func (l lines) Write(p []byte) (int, error) {
	l <- string(p)
	return len(p), nil
}

// listener answers "ok" behind a local rate limit.
func listener(name, limit string) string {
	return `
- name: ` + name + `
  address: {$loopback}
  access_log:
  - name: log
    typed_config: {$file_log, path: log, log_format: {text_format_source: {inline_string: "%RESPONSE_FLAGS% %CONNECTION_TERMINATION_DETAILS%"}}}
  filter_chains:
  - filters:
    - {name: limit, typed_config: {$network_local_ratelimit, stat_prefix: ` + name + `, ` + limit + `}}
    - {name: say, typed_config: {$direct_response, response: {inline_string: ok}}}
`
}

func answers(t *testing.T, addr string) string {
	t.Helper()
	c := rig.Dial(t, addr)
	defer c.Close()
	_ = c.CloseWrite()
	b, _ := io.ReadAll(c) // the end of a refused connection may be a reset
	return string(b)
}

const two = "token_bucket: {max_tokens: 2, fill_interval: 3600s}"

func TestLimit(t *testing.T) {
	log := make(lines, 10)
	r := rig.New(t, rig.Options{
		Config:  "listeners:" + listener("a", two),
		Loggers: func(string) (filters.Sink, error) { return log, nil },
	})
	for i, want := range []string{"ok", "ok", "", ""} {
		if got := answers(t, r.Addr); got != want {
			t.Errorf("connection %d: %q, want %q", i, got, want)
		}
		want = map[string]string{"ok": "- direct_response", "": "RL local_ratelimit_close_over_limit"}[want]
		if got := <-log; got != want {
			t.Errorf("connection %d: logged %q, want %q", i, got, want)
		}
	}
	r.Await("local_rate_limit.a.rate_limited", 2)
}

func TestFills(t *testing.T) {
	r := rig.New(t, rig.Options{Config: "listeners:" + listener("a", "token_bucket: {max_tokens: 1, fill_interval: 0.05s}")})
	for i := range 3 {
		if !rig.Eventually(func() bool { return answers(t, r.Addr) == "ok" }) {
			t.Errorf("no token %d", i)
		}
	}
}

func TestSwitchedOff(t *testing.T) {
	r := rig.New(t, rig.Options{Config: "listeners:" + listener("a", two+", runtime_enabled: {default_value: false, runtime_key: k}")})
	for range 4 {
		if got := answers(t, r.Addr); got != "ok" {
			t.Errorf("got %q", got)
		}
	}
}

// TestShareKey: one bucket for filters whose key and bucket are equal.
func TestShareKey(t *testing.T) {
	const k, other = two + ", share_key: k", "token_bucket: {max_tokens: 3, fill_interval: 3600s}, share_key: k"
	r := rig.New(t, rig.Options{Config: "listeners:" + listener("a", k) + listener("b", k) + listener("c", two) + listener("d", other)})
	for i, x := range []struct{ listener, want string }{
		{"a", "ok"},
		{"b", "ok"},
		{"a", ""},
		{"b", ""},
		{"c", "ok"},
		{"c", "ok"},
		{"c", ""},
		{"d", "ok"},
		{"d", "ok"},
		{"d", "ok"},
		{"d", ""},
	} {
		if got := answers(t, r.AddrOf(x.listener)); got != x.want {
			t.Errorf("%d, %s: %q, want %q", i, x.listener, got, x.want)
		}
	}
}

// TestShareKeyOutlivesAnUpdate: tokens are not given back by a new configuration
// while another filter has the bucket.
func TestShareKeyOutlivesAnUpdate(t *testing.T) {
	const k = two + ", share_key: k"
	r := rig.New(t, rig.Options{Config: "listeners:" + listener("a", k) + listener("b", k)})
	for range 2 {
		if got := answers(t, r.AddrOf("a")); got != "ok" {
			t.Errorf("got %q", got)
		}
	}
	r.Apply("listeners:" + listener("b", k) + listener("c", k))
	if got := answers(t, r.AddrOf("c")); got != "" {
		t.Errorf("got %q", got)
	}
}

func TestMistakes(t *testing.T) {
	for text, want := range map[string]string{
		"runtime_enabled: {default_value: true, runtime_key: k}":               "token_bucket",
		"token_bucket: {max_tokens: 0, fill_interval: 1s}":                     "token_bucket.max_tokens",
		"token_bucket: {max_tokens: 1, fill_interval: 0.049s}":                 "token_bucket.fill_interval",
		"token_bucket: {max_tokens: 1}":                                        "token_bucket.fill_interval",
		"token_bucket: {max_tokens: 1, fill_interval: 1s, tokens_per_fill: 0}": "token_bucket.tokens_per_fill",
	} {
		err := rig.Check(rig.Options{Config: "listeners:" + listener("a", text)})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
}
