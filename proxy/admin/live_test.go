package admin

import (
	"crypto/sha256"
	"encoding/base64"
	"regexp"
	"strings"
	"testing"
)

// TestLivePage: the page runs its own script and style only, and asks nobody else.
func TestLivePage(t *testing.T) {
	w := newWorld(t, "", Options{})
	code, h, page := w.ask(t, "GET /live")
	if code != 200 || h.Get("Content-Type") != "text/html; charset=UTF-8" {
		t.Fatalf("%d %v", code, h)
	}
	policy := h.Get("Content-Security-Policy")
	if !strings.HasPrefix(policy, "default-src 'none'; ") || strings.Contains(policy, "unsafe") {
		t.Errorf("policy %s", policy)
	}
	for _, tag := range []string{"script", "style"} {
		m := regexp.MustCompile(`(?s)<`+tag+`>(.*?)</`+tag+`>`).FindAllStringSubmatch(page, -1)
		if len(m) != 1 {
			t.Fatalf("%d elements %s", len(m), tag)
		}
		sum := sha256.Sum256([]byte(m[0][1]))
		if want := tag + "-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"; !strings.Contains(policy, want) {
			t.Errorf("policy %s\nhas not %s", policy, want)
		}
	}
	for _, bad := range []string{"://", "{{", " style=", "innerHTML", " onclick=", "src="} {
		if strings.Contains(page, bad) {
			t.Errorf("the page has %q", bad)
		}
	}
}

// TestFlowsMistakes: what is asked wrongly is said, and nothing is shown.
func TestFlowsMistakes(t *testing.T) {
	w := newWorld(t, "", Options{})
	for ask, want := range map[string]int{
		"GET /flows":                    200,
		"GET /flows?limit=0":            400,
		"GET /flows?limit=10001":        400,
		"GET /flows?code=x":             400,
		"GET /flows?reveal":             403,
		"GET /flows/kill?id=1":          405,
		"POST /flows/kill?id=1":         404,
		"POST /flows/kill?id=1.1":       404,
		"POST /flows/kill":              400,
		"GET /explain?flow=1":           404,
		"GET /explain?flow=1&flow=<b>a": 404,
	} {
		if code, _, body := w.ask(t, ask); code != want {
			t.Errorf("%s: %d, want %d: %s", ask, code, want, body)
		}
	}
}
