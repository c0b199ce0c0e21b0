package directresponse_test

import (
	"io"
	"os"
	"path/filepath"
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

func options(response string) rig.Options {
	return rig.Options{Config: `
listeners:
- name: in
  address: {$loopback}
  access_log:
  - name: log
    typed_config: {$file_log, path: log, log_format: {text_format_source: {inline_string: "%BYTES_SENT% %RESPONSE_FLAGS% %CONNECTION_TERMINATION_DETAILS%"}}}
  filter_chains:
  - filters: [{name: say, typed_config: {$direct_response` + response + `}}]
`}
}

func TestResponse(t *testing.T) {
	file := filepath.Join(t.TempDir(), "response")
	long := strings.Repeat("0123456789abcdef", 32<<10)
	if err := os.WriteFile(file, []byte(long), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ name, response, send, want, logged string }{
		{"text", `, response: {inline_string: "220 ready\r\n"}`, "", "220 ready\r\n", "11 - direct_response"},
		{"bytes", ", response: {inline_bytes: aGVsbG8=}", "", "hello", "5 - direct_response"},
		{"file", ", response: {filename: " + file + "}", "", long, "524288 - direct_response"},
		{"to a client that talks", ", response: {filename: " + file + "}", long, long, "524288 - direct_response"},
		{"none", "", "", "", "0 - direct_response"},
		{"empty", `, response: {inline_string: ""}`, "", "", "0 - direct_response"},
	} {
		t.Run(c.name, func(t *testing.T) {
			log := make(lines, 1)
			o := options(c.response)
			o.Loggers = func(string) (filters.Sink, error) { return log, nil }
			conn := rig.New(t, o).Dial()
			sent := make(chan struct{})
			go func() {
				defer close(sent)
				_, _ = io.WriteString(conn, c.send)
				_ = conn.CloseWrite()
			}()
			got, err := io.ReadAll(conn)
			<-sent
			if err != nil || string(got) != c.want {
				t.Errorf("%d bytes of %d, %v", len(got), len(c.want), err)
			}
			conn.Close()
			if l := <-log; l != c.logged {
				t.Errorf("logged %q, want %q", l, c.logged)
			}
		})
	}
}

func TestMistakes(t *testing.T) {
	huge := filepath.Join(t.TempDir(), "huge")
	if err := os.WriteFile(huge, make([]byte, 1<<20+1), 0o600); err != nil {
		t.Fatal(err)
	}
	for response, want := range map[string]string{
		", response: {}": "response: {}",
		", response: {filename: /nonexistent/file}":        "response.filename: stat /nonexistent/file",
		", response: {filename: " + huge + "}":             "response.filename: 1048577 bytes, more than 1048576",
		", response: {environment_variable: WEIR_NO_SUCH}": "response.environment_variable: WEIR_NO_SUCH is not set",
	} {
		if err := rig.Check(options(response)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", response, err, want)
		}
	}
}
