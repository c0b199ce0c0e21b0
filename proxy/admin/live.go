package admin

import (
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
)

//go:embed live
var liveFiles embed.FS

// livePage puts the page together, and the policy that lets it run its own script and style and speak to this interface only.
func livePage() (page, policy string) {
	read := func(name string) string {
		b, _ := liveFiles.ReadFile("live/" + name) // it is embedded
		return string(b)
	}
	css, js := read("live.css"), read("live.js")
	hash := func(s string) string {
		h := sha256.Sum256([]byte(s))
		return "'sha256-" + base64.StdEncoding.EncodeToString(h[:]) + "'"
	}
	page = strings.NewReplacer("{{STYLE}}", css, "{{SCRIPT}}", js).Replace(read("live.html"))
	policy = "default-src 'none'; script-src " + hash(js) + "; style-src " + hash(css) +
		"; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
	return page, policy
}

// live is the page that shows flows, listeners, clusters and warnings as they are.
func (s *Server) live(p *reply, _ *http.Request, _ url.Values) {
	page, policy := livePage()
	p.w.Header().Set("Content-Security-Policy", policy)
	p.w.Header().Set("Referrer-Policy", "no-referrer")
	p.bytes(typeHTML, []byte(page))
}
