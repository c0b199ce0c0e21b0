package admin

import (
	"html"
	"net/url"
	"slices"
	"strings"

	"github.com/weirproxy/weir/proxy/stats"
)

// refreshEvery is how often a page of format=active-html loads itself anew, in
// seconds.
const refreshEvery = "5"

// statsPage is /stats for people: a form with the parameters, and the statistics.
// format=active-html is the same page, which refreshes itself. No script runs.
func (s *Server) statsPage(p *reply, q url.Values, f stats.Filter) {
	var text strings.Builder
	_ = s.o.Stats.WriteText(&text, f)
	var b strings.Builder
	b.WriteString("<!DOCTYPE html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\"><title>weir stats</title>\n")
	if q.Get("format") == "active-html" {
		b.WriteString(`<meta http-equiv="refresh" content="` + refreshEvery + "\">\n")
	}
	b.WriteString("<style>body{font:14px sans-serif;margin:2em}form{margin-bottom:1em}label{margin-right:1em}</style></head>\n<body>\n" +
		"<h1>stats</h1>\n<form action=\"/stats\" method=\"get\">\n")
	box := func(name, label string) {
		checked := ""
		if q.Has(name) {
			checked = " checked"
		}
		b.WriteString(`<label><input type="checkbox" name="` + name + `"` + checked + "> " + label + "</label>\n")
	}
	choice := func(name string, values ...string) {
		b.WriteString("<label>" + name + ` <select name="` + name + "\">")
		i := max(slices.IndexFunc(values, func(v string) bool { return strings.EqualFold(v, q.Get(name)) }), 0)
		for j, v := range values {
			selected := ""
			if i == j {
				selected = " selected"
			}
			b.WriteString("<option" + selected + ">" + v + "</option>")
		}
		b.WriteString("</select></label>\n")
	}
	box("usedonly", "used only")
	b.WriteString(`<label>filter <input name="filter" value="` + html.EscapeString(q.Get("filter")) + "\"></label>\n")
	box("invert_filter", "invert")
	choice("format", "html", "active-html", "text", "json", "prometheus")
	choice("type", "All", "Counters", "Gauges", "Histograms", "TextReadouts")
	choice("histogram_buckets", "summary", "cumulative", "disjoint", "detailed")
	b.WriteString("<button>show</button>\n</form>\n<pre>\n" + html.EscapeString(text.String()) + "</pre>\n</body>\n</html>\n")
	s.page(p, b.String())
}

// page answers with a page that may load and run nothing.
func (s *Server) page(p *reply, text string) {
	p.w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'")
	p.bytes(typeHTML, []byte(text))
}
