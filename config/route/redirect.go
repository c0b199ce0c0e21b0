package route

import (
	"bytes"
	"slices"
	"strconv"
	"strings"

	"github.com/weirproxy/weir/config/match"
	"github.com/weirproxy/weir/proxy/header"
)

// AppendLocation writes the Location of the answer to a request (Envoy:
// RedirectAction). It allocates nothing but for a regex.
func (d *Redirect) AppendLocation(dst []byte, r *Request) []byte {
	came := requestScheme(r)
	scheme := came
	switch {
	case d.HTTPS:
		scheme = "https"
	case d.Scheme != "":
		scheme = d.Scheme
	}
	dst = append(append(dst, scheme...), "://"...)
	if d.Host != "" {
		dst = append(dst, d.Host...)
	} else {
		dst = append(dst, redirectHost(r.Authority, came, scheme, d.Port != 0)...)
	}
	if d.Port != 0 {
		dst = strconv.AppendUint(append(dst, ':'), uint64(d.Port), 10)
	}
	return d.appendPath(dst, r.Path)
}

// appendPath writes path and query. A path_redirect with a query of its own has
// precedence over the request's, strip_query or not.
func (d *Redirect) appendPath(dst, path []byte) []byte {
	head, query := match.SplitPath(path)
	if d.StripQuery {
		query = nil
	}
	if d.Path != "" {
		if d.Path[0] != '/' { // the host would go on into the path
			dst = append(dst, '/')
		}
		dst = append(dst, d.Path...)
		if strings.IndexByte(d.Path, '?') >= 0 {
			return dst
		}
		return append(dst, query...)
	}
	from := len(dst)
	if d.PrefixSet || d.Regex != nil {
		dst = d.criteria.rewrite(dst, head, d.PrefixSet, d.Prefix, d.Regex)
	}
	switch {
	case len(dst) == from:
		dst = append(dst, head...)
	case dst[from] != '/':
		dst = slices.Insert(dst, from, '/')
	}
	return append(dst, query...)
}

// requestScheme is what the client used: x-forwarded-proto knows it behind a
// proxy that terminated TLS.
func requestScheme(r *Request) string {
	v, ok := r.Headers.Get(header.XForwardedProto)
	if !ok {
		v = r.Headers.Value(header.Scheme)
	}
	switch {
	case string(v) == "https":
		return "https"
	case string(v) == "http":
		return "http"
	case r.TLS:
		return "https"
	}
	return "http"
}

// redirectHost drops the request's port when another one is configured, and the
// default port of a scheme that changes (Envoy: processRequestHost).
func redirectHost(host []byte, came, scheme string, newPort bool) []byte {
	bare := StripPort(host)
	if len(bare) == len(host) {
		return host
	}
	port := host[len(bare):]
	if newPort || came != scheme &&
		(came == "https" && bytes.Equal(port, []byte(":443")) || came == "http" && bytes.Equal(port, []byte(":80"))) {
		return bare
	}
	return host
}
