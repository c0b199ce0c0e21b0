// Package accesslog writes access log lines: it compiles Envoy's text and JSON
// formats into lists of operators that append to a buffer, and the filters that
// decide what is logged.
package accesslog

import (
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"

	"github.com/weirproxy/weir/config/core"
	"github.com/weirproxy/weir/config/fielderr"
	"github.com/weirproxy/weir/proxy/conn"
	"github.com/weirproxy/weir/proxy/stream"
)

// Default is Envoy's format when none is configured.
const Default = `[%START_TIME%] "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%" ` +
	`%RESPONSE_CODE% %RESPONSE_FLAGS% %BYTES_RECEIVED% %BYTES_SENT% %DURATION% %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% ` +
	`"%REQ(X-FORWARDED-FOR)%" "%REQ(USER-AGENT)%" "%REQ(X-REQUEST-ID)%" "%REQ(:AUTHORITY)%" "%UPSTREAM_HOST%"` + "\n"

// maxFormat is the largest text format, in bytes.
const maxFormat = 64 << 10

// A Format is a compiled format of log lines. It is immutable.
type Format struct {
	ops  []op   // of a text format
	root node   // of a JSON format
	miss string // what a text operator without a value prints
}

// ParseFormat compiles a format; deflt is the text format that stands for an
// absent one (Envoy: SubstitutionFormatString).
func ParseFormat(m *corev3.SubstitutionFormatString, deflt string) (*Format, error) {
	if m == nil {
		return parseText(deflt, "-")
	}
	var l fielderr.List
	f := &Format{miss: "-"}
	if m.OmitEmptyValues {
		f.miss = ""
	}
	if len(m.Formatters) > 0 {
		l.Addf("formatters", "not supported")
	}
	text, field := deflt, ""
	switch s := m.Format.(type) {
	case *corev3.SubstitutionFormatString_TextFormat:
		text, field = s.TextFormat, "text_format"
	case *corev3.SubstitutionFormatString_TextFormatSource:
		b, err := core.ReadData(s.TextFormatSource, maxFormat, "")
		text = string(b)
		l.Add("text_format_source", err)
		field = "text_format_source"
	case *corev3.SubstitutionFormatString_JsonFormat:
		f.root = parseJSON(&l, "json_format", s.JsonFormat, f.miss, m.OmitEmptyValues)
		if err := l.Err(); err != nil {
			return nil, err
		}
		return f, nil
	default:
		l.Addf("format", "unset (one of text_format_source, json_format)")
	}
	t, err := parseText(text, f.miss)
	l.Add(field, err)
	if err := l.Err(); err != nil {
		return nil, err
	}
	return t, nil
}

func parseText(text, miss string) (*Format, error) {
	ops, err := parseOps(text)
	if err != nil {
		return nil, err
	}
	return &Format{ops: ops, miss: miss}, nil
}

// Append writes the line of a finished stream, or of a finished connection when
// s is nil, its line feed included. It allocates nothing beyond dst's growth.
func (f *Format) Append(dst []byte, c *conn.Conn, s *stream.Stream) []byte {
	if f.root.kind != 0 {
		return append(f.root.append(dst, c, s), '\n')
	}
	return appendOps(dst, f.ops, f.miss, textEscapes, c, s)
}

// appendOps writes text and operators one after the other, their values escaped.
func appendOps(dst []byte, ops []op, miss string, esc escapes, c *conn.Conn, s *stream.Stream) []byte {
	for i := range ops {
		o := &ops[i]
		if o.value == nil {
			dst = append(dst, o.text...)
			continue
		}
		from := len(dst)
		var k kind
		dst, k = o.value(dst, o, c, s)
		switch {
		case k == none:
			dst = append(dst[:from], miss...)
		case k == text:
			if o.max >= 0 && len(dst)-from > o.max {
				dst = dst[:from+o.max]
			}
			dst = escape(dst, from, esc)
		}
	}
	return dst
}
