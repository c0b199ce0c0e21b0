package match

import (
	"bytes"
	"errors"
	"slices"
	"strconv"
	"strings"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"github.com/weirproxy/weir/config/fielderr"
	"github.com/weirproxy/weir/proxy/header"
)

// Scratch is memory that matchers reuse from one question to the next, so that
// asking allocates nothing: one lives with each stream. The zero value is ready.
// Where a *Scratch is asked for, nil is allowed and costs an allocation now and
// then. What a matcher left in it is of no use to anybody.
type Scratch struct{ buf []byte }

// Header is a compiled HeaderMatcher. It is immutable.
type Header struct {
	name         header.Name
	text         String // when neither present nor numeric
	present      bool   // asks only whether the header is there …
	want         bool   // … and wants this answer
	numeric      bool   // the value is a number in [start, end)
	start, end   int64
	anything     bool // deprecated exact_match of "": any value
	invert       bool
	missingEmpty bool
	joined       bool // several fields count as one
}

// NewHeader compiles a HeaderMatcher, deprecated forms included.
func NewHeader(m *routev3.HeaderMatcher) (Header, error) {
	if m == nil {
		return Header{}, errors.New("empty")
	}
	var errs fielderr.List
	h := Header{name: header.Intern(m.Name), invert: m.InvertMatch, missingEmpty: m.TreatMissingHeaderAsEmpty}
	_, h.joined = slices.BinarySearch(inline, h.name.String())
	errs.Add("name", HeaderName(m.Name))
	need := func(field, v string) {
		if v == "" {
			errs.Addf(field, "empty")
		}
	}
	switch s := m.HeaderMatchSpecifier.(type) {
	case nil:
		h.present, h.want = true, true
	case *routev3.HeaderMatcher_PresentMatch:
		h.present, h.want = true, s.PresentMatch
	case *routev3.HeaderMatcher_StringMatch:
		t, err := NewString(s.StringMatch)
		errs.Add("string_match", err)
		h.text = t
	case *routev3.HeaderMatcher_RangeMatch:
		h.numeric, h.start, h.end = true, s.RangeMatch.GetStart(), s.RangeMatch.GetEnd()
		if h.start >= h.end {
			errs.Addf("range_match", "[%d, %d) is empty", h.start, h.end)
		}
	case *routev3.HeaderMatcher_ExactMatch:
		h.text = Exact(s.ExactMatch)
		h.anything = s.ExactMatch == "" // Envoy: an empty exact_match is not compared
	case *routev3.HeaderMatcher_PrefixMatch:
		need("prefix_match", s.PrefixMatch)
		h.text = Prefix(s.PrefixMatch)
	case *routev3.HeaderMatcher_SuffixMatch:
		need("suffix_match", s.SuffixMatch)
		h.text = String{op: opSuffix, text: s.SuffixMatch}
	case *routev3.HeaderMatcher_ContainsMatch:
		need("contains_match", s.ContainsMatch)
		h.text = String{op: opContains, text: s.ContainsMatch}
	case *routev3.HeaderMatcher_SafeRegexMatch:
		re, err := NewRegex(s.SafeRegexMatch)
		errs.Add("safe_regex_match", err)
		h.text = String{op: opRegex, re: re}
	default:
		errs.Addf("", "unsupported header match")
	}
	if err := errs.Err(); err != nil {
		return Header{}, err
	}
	return h, nil
}

// NewHeaders compiles a list; field is the name of the list, for paths.
func NewHeaders(field string, l []*routev3.HeaderMatcher) ([]Header, error) {
	var errs fielderr.List
	out := make([]Header, 0, len(l))
	for i, m := range l {
		h, err := NewHeader(m)
		errs.Add(fielderr.Index(field, i), err)
		out = append(out, h)
	}
	return out, errs.Err()
}

// Name is the header that is looked at.
func (m *Header) Name() header.Name { return m.name }

// Match tells whether the fields match.
//
// Several fields of the name match when one of them does, and inverted when none
// does; the fields of a name that Envoy keeps in one place count as one whose
// value is theirs joined with ",". (Envoy 1.40, measured; older versions joined all.)
func (m *Header) Match(h *header.Headers, sc *Scratch, tr *Trace) bool {
	ok := m.decide(h, sc)
	if tr != nil {
		m.explain(h, ok, tr)
	}
	return ok
}

// MatchHeaders tells whether every matcher of a list matches.
func MatchHeaders(l []Header, h *header.Headers, sc *Scratch, tr *Trace) bool {
	for i := range l {
		if !l[i].Match(h, sc, tr) {
			return false
		}
	}
	return true
}

func (m *Header) decide(h *header.Headers, sc *Scratch) bool {
	i := h.Index(m.name, 0)
	switch {
	case i < 0 && !m.missingEmpty:
		// Envoy: an absent header matches nothing, inverted or not, but the
		// question whether it is there.
		return m.present && m.want == m.invert
	case m.present:
		return m.want != m.invert
	case i < 0:
		return m.value(nil) != m.invert
	case m.joined:
		return m.value(joined(h, m.name, sc)) != m.invert
	}
	for ; i >= 0; i = h.Index(m.name, i+1) {
		if _, v := h.At(i); m.value(v) {
			return !m.invert
		}
	}
	return m.invert
}

// value tells whether one value matches, inversion aside.
func (m *Header) value(v []byte) bool {
	if m.numeric {
		n, valid := parseInt(v)
		return valid && m.start <= n && n < m.end
	}
	return m.anything || m.text.Match(v)
}

func (m *Header) explain(h *header.Headers, ok bool, tr *Trace) {
	subject := "header " + m.name.String()
	var values []string
	for i := h.Index(m.name, 0); i >= 0; i = h.Index(m.name, i+1) {
		_, v := h.At(i)
		values = append(values, strconv.Quote(string(v)))
	}
	switch {
	case len(values) == 0:
		tr.Note(ok, subject, "is absent, wanted: %s", m.String())
	case len(values) > 1 && m.joined:
		tr.Note(ok, subject, "is %s, joined, wanted: %s", strings.Join(values, ", "), m.String())
	case len(values) > 1 && m.invert:
		tr.Note(ok, subject, "is %s, wanted of each: %s", strings.Join(values, " and "), m.String())
	default:
		tr.Note(ok, subject, "is %s, wanted: %s", strings.Join(values, " and "), m.String())
	}
}

// String says in words what matches.
func (m *Header) String() string {
	s := ""
	switch {
	case m.present && m.want:
		s = "present"
	case m.present:
		s = "absent"
	case m.numeric:
		s = "a number in [" + strconv.FormatInt(m.start, 10) + ", " + strconv.FormatInt(m.end, 10) + ")"
	case m.anything:
		s = "anything"
	default:
		s = m.text.String()
	}
	if m.invert {
		s = "not " + s
	}
	return s
}

// joined gives the value of all fields, in the scratch when there are several.
// Empty ones leave no comma (Envoy: HeaderMapImpl::appendToHeader).
func joined(h *header.Headers, n header.Name, sc *Scratch) []byte {
	first := h.Index(n, 0)
	_, v := h.At(first)
	i := h.Index(n, first+1)
	if i < 0 {
		return v
	}
	var own Scratch
	if sc == nil {
		sc = &own
	}
	sc.buf = append(sc.buf[:0], v...)
	for ; i >= 0; i = h.Index(n, i+1) {
		_, v := h.At(i)
		if len(sc.buf) > 0 && len(v) > 0 {
			sc.buf = append(sc.buf, ',')
		}
		sc.buf = append(sc.buf, v...)
	}
	return sc.buf
}

// inline are the names whose fields Envoy joins when it reads a request: those it
// has a place for ("inline" headers, as registered by the stock 1.40 binary).
var inline = []string{
	"accept", "accept-encoding", "access-control-request-headers", "access-control-request-method", "authorization",
	"cache-control", "connection", "content-encoding", "content-length", "content-type", "expect", "grpc-accept-encoding",
	"grpc-timeout", "if-match", "if-modified-since", "if-none-match", "if-range", "if-unmodified-since", "keep-alive",
	"origin", "pragma", "proxy-connection", "proxy-status", "referer", "te", "transfer-encoding", "upgrade", "user-agent",
	"via", "x-client-trace-id", "x-envoy-attempt-count", "x-envoy-downstream-service-cluster",
	"x-envoy-downstream-service-node", "x-envoy-external-address", "x-envoy-force-trace",
	"x-envoy-hedge-on-per-try-timeout", "x-envoy-ip-tags", "x-envoy-max-retries", "x-envoy-original-path",
	"x-envoy-retriable-header-names", "x-envoy-retriable-status-codes", "x-envoy-retry-grpc-on", "x-envoy-retry-on",
	"x-envoy-upstream-alt-stat-name", "x-envoy-upstream-rq-per-try-timeout-ms",
	"x-envoy-upstream-rq-timeout-alt-response", "x-envoy-upstream-rq-timeout-ms", "x-envoy-upstream-stream-duration-ms",
	"x-forwarded-client-cert", "x-forwarded-for", "x-forwarded-host", "x-forwarded-port", "x-forwarded-proto",
	"x-request-id",
}

// parseInt reads a decimal int64, with white space around it allowed, as Envoy's
// absl::SimpleAtoi does.
func parseInt(b []byte) (int64, bool) {
	b = bytes.TrimSpace(b)
	neg := false
	if len(b) > 0 && (b[0] == '-' || b[0] == '+') {
		neg = b[0] == '-'
		b = b[1:]
	}
	u, ok := ParseUint(b)
	switch {
	case !ok:
		return 0, false
	case neg && u <= 1<<63:
		return -int64(u), true // -(1<<63) is itself
	case !neg && u < 1<<63:
		return int64(u), true
	}
	return 0, false
}

// ParseUint reads a decimal uint64 of digits only.
func ParseUint(b []byte) (uint64, bool) {
	if len(b) == 0 {
		return 0, false
	}
	var n uint64
	for _, c := range b {
		d := uint64(c) - '0'
		if d > 9 || n > (1<<64-1-d)/10 {
			return 0, false
		}
		n = n*10 + d
	}
	return n, true
}

// HeaderName tells what is wrong with a header's name, a pseudo-header's colon
// aside (RFC 9110 §5.1: a token).
func HeaderName(name string) error {
	s := name
	if len(s) > 1 && s[0] == ':' {
		s = s[1:]
	}
	if s == "" {
		return errors.New("empty")
	}
	for i := 0; i < len(s); i++ {
		if !tchar[s[i]] {
			return errors.New("not a header name: " + strconv.Quote(name))
		}
	}
	if len(name) > 0xffff {
		return errors.New("longer than 65535 bytes")
	}
	return nil
}

// HeaderValue tells what is wrong with a header's value: NUL, CR and LF would
// end or split the field on the wire (RFC 9110 §5.5).
func HeaderValue(v string) error {
	for i := 0; i < len(v); i++ {
		if c := v[i]; c == 0 || c == '\r' || c == '\n' {
			return errors.New("NUL, CR or LF in a header value")
		}
	}
	return nil
}

// tchar is RFC 9110 §5.6.2.
var tchar = func() (t [256]bool) {
	for c := byte('0'); c <= '9'; c++ {
		t[c] = true
	}
	for c := byte('a'); c <= 'z'; c++ {
		t[c], t[c-'a'+'A'] = true, true
	}
	for _, c := range []byte("!#$%&'*+-.^_`|~") {
		t[c] = true
	}
	return t
}()
