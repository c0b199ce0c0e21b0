package accesslog

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/weirproxy/weir/proxy/conn"
	"github.com/weirproxy/weir/proxy/header"
	"github.com/weirproxy/weir/proxy/stream"
)

// Which path is meant, in op.flag (Envoy: %PATH(X:Y)%).
const (
	origOrPath uint8 = iota // as it came, before a rewrite, else as it is
	origOnly
	pathOnly
	withoutQuery uint8 = 1 << 4
)

var originalPath = header.Intern("x-envoy-original-path")

func pathOf(s *stream.Stream, which uint8) []byte {
	switch which {
	case origOnly:
		return s.Request.Value(originalPath)
	case pathOnly:
		return s.Request.Value(header.Path)
	}
	if p, ok := s.Request.Get(originalPath); ok {
		return p
	}
	return s.Request.Value(header.Path)
}

func pathChoice(s string) (uint8, error) {
	switch s {
	case "", "ORIG_OR_PATH":
		return origOrPath, nil
	case "ORIG":
		return origOnly, nil
	case "PATH":
		return pathOnly, nil
	}
	return 0, fmt.Errorf("invalid path option %q (one of ORIG, PATH, ORIG_OR_PATH)", s)
}

// pathArgs reads "WQ|NQ[:ORIG|PATH|ORIG_OR_PATH]".
func pathArgs(o *op, args string) error {
	q, which, _ := strings.Cut(args, ":")
	f, err := pathChoice(which)
	if err != nil {
		return err
	}
	switch q {
	case "", "WQ":
	case "NQ":
		f |= withoutQuery
	default:
		return fmt.Errorf("invalid query option %q (one of WQ, NQ)", q)
	}
	o.flag = f
	return nil
}

func queryArgs(o *op, args string) (err error) {
	o.flag, err = pathChoice(args)
	return err
}

func path(dst []byte, o *op, _ *conn.Conn, s *stream.Stream) ([]byte, kind) {
	if s == nil {
		return dst, none
	}
	p := pathOf(s, o.flag&^withoutQuery)
	if o.flag&withoutQuery != 0 {
		p, _, _ = bytes.Cut(p, questionMark)
	}
	return appendText(dst, p)
}

var questionMark, ampersand, equals = []byte("?"), []byte("&"), []byte("=")

func queryOf(s *stream.Stream, which uint8) []byte {
	_, q, _ := bytes.Cut(pathOf(s, which), questionMark)
	q, _, _ = bytes.Cut(q, []byte("#"))
	return q
}

func query(dst []byte, o *op, _ *conn.Conn, s *stream.Stream) ([]byte, kind) {
	if s == nil {
		return dst, none
	}
	return appendText(dst, queryOf(s, o.flag))
}

// queryParam is the first parameter of that name, as it is written.
func queryParam(dst []byte, o *op, _ *conn.Conn, s *stream.Stream) ([]byte, kind) {
	if s == nil {
		return dst, none
	}
	for q := queryOf(s, pathOnly); len(q) > 0; {
		var one []byte
		one, q, _ = bytes.Cut(q, ampersand)
		if k, v, _ := bytes.Cut(one, equals); string(k) == o.text {
			return appendText(dst, v)
		}
	}
	return dst, none
}
