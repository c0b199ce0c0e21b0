package router

import (
	"bytes"
	"math/bits"
	"net/netip"
	"strconv"

	"github.com/cespare/xxhash/v2"

	"github.com/weirproxy/weir/config/match"
	"github.com/weirproxy/weir/config/route"
	"github.com/weirproxy/weir/proxy/header"
)

// hash combines the route's hash policies in order; the first terminal one that
// gives a hash ends it (Envoy: HashPolicyImpl::generateHash).
func (e *exchange) hash() (sum uint64, ok bool) {
	for i := range e.fw.HashPolicy {
		p := &e.fw.HashPolicy[i]
		if x, has := e.hashOne(p); has {
			sum, ok = bits.RotateLeft64(sum, 1)^x, true
			if p.Terminal {
				break
			}
		}
	}
	return sum, ok
}

func (e *exchange) hashOne(p *route.HashPolicy) (uint64, bool) {
	h := &e.s.Request
	switch {
	case p.Header != header.Name{}:
		v, ok := h.Get(p.Header)
		if !ok {
			return 0, false
		}
		if p.HeaderRegex != nil {
			v = p.HeaderRegex.Append(nil, v)
		}
		return xxhash.Sum64(v), true
	case p.Cookie != "":
		if v, ok := match.FindCookie(h, p.Cookie); ok && len(v) > 0 {
			return xxhash.Sum64(v), true
		}
		if !p.CookieTTLSet {
			return 0, false
		}
		// The value that setCookie will send is made of the request's number.
		var b [16]byte
		return xxhash.Sum64(strconv.AppendUint(b[:0], e.s.Rand(), 16)), true
	case p.SourceIP:
		a := e.s.Conn.Info.Source.Addr()
		if !a.IsValid() {
			return 0, false
		}
		var b [48]byte
		return xxhash.Sum64(a.AppendTo(b[:0])), true
	case p.QueryParam != "":
		v, ok := queryParam(e.s.Path, p.QueryParam)
		return xxhash.Sum64(v), ok
	}
	return 0, false
}

func queryParam(path []byte, name string) ([]byte, bool) {
	_, q, _ := bytes.Cut(path, []byte("?"))
	for len(q) > 0 {
		var kv []byte
		kv, q, _ = bytes.Cut(q, []byte("&"))
		k, v, _ := bytes.Cut(kv, []byte("="))
		if string(k) == name {
			return v, true
		}
	}
	return nil, false
}

var setCookieName = header.Intern("set-cookie")

// setCookie gives the client the cookie that a hash policy made up for it.
func (e *exchange) setCookie(h *header.Headers) {
	for i := range e.fw.HashPolicy {
		p := &e.fw.HashPolicy[i]
		if p.Cookie == "" || !p.CookieTTLSet {
			continue
		}
		if v, ok := match.FindCookie(&e.s.Request, p.Cookie); ok && len(v) > 0 {
			continue
		}
		b := append([]byte(p.Cookie), '=', '"')
		b = append(strconv.AppendUint(b, e.s.Rand(), 16), '"')
		if p.CookieTTL > 0 {
			b = append(b, "; Max-Age="...)
			b = strconv.AppendInt(b, int64(p.CookieTTL.Seconds()), 10)
		}
		if p.CookiePath != "" {
			b = append(append(b, "; Path="...), p.CookiePath...)
		}
		h.Add(setCookieName, append(b, "; HttpOnly"...))
	}
}

// originalDst takes the destination from a request header where the cluster says
// so (Envoy: OriginalDstLbConfig.use_http_header).
func (e *exchange) originalDst() {
	o := &e.cl.Config().Original
	if !o.UseHeader {
		return
	}
	if v, ok := e.s.Request.Get(e.cl.OriginalDstHeader()); ok {
		if a, err := netip.ParseAddrPort(string(v)); err == nil {
			e.pick.Dest = a
		}
	}
}
