package admin

import (
	"fmt"
	"html"
	"net/http"
	"net/url"
	"strings"
)

// commands lists the endpoints as Envoy's /help does.
func (s *Server) commands() string {
	var b strings.Builder
	b.WriteString("admin commands are:\n")
	for i := range s.table {
		e := &s.table[i]
		b.WriteString("  " + e.path)
		if e.posts {
			b.WriteString(" (POST)")
		}
		b.WriteString(": " + e.help + "\n")
		for _, p := range e.params {
			b.WriteString("      " + p.name + ": " + p.help + "\n")
		}
	}
	return b.String()
}

func (s *Server) help(p *reply, _ *http.Request, _ url.Values) { p.text(http.StatusOK, s.commands()) }

// home is the page for people: links for what shows, buttons for what changes.
func (s *Server) home(p *reply, _ *http.Request, _ url.Values) {
	var b strings.Builder
	b.WriteString(`<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><title>weir admin</title>
<style>body{font:14px sans-serif;margin:2em}td{padding:.2em 1em .2em 0}form{margin:0}</style></head>
<body>
<h1>weir admin</h1>
<table>
`)
	for i := range s.table {
		e := &s.table[i]
		path := html.EscapeString(strings.TrimPrefix(e.path, "/"))
		what := fmt.Sprintf(`<a href="/%s">%s</a>`, path, html.EscapeString(e.path))
		if e.posts {
			what = fmt.Sprintf(`<form action="/%s" method="post"><button>%s</button></form>`, path, html.EscapeString(e.path))
		}
		fmt.Fprintf(&b, "<tr><td>%s</td><td>%s</td></tr>\n", what, html.EscapeString(e.help))
	}
	b.WriteString("</table>\n</body>\n</html>\n")
	s.page(p, b.String())
}
