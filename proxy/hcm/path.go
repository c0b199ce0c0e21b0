package hcm

import "bytes"

// canonicalPath appends the canonical form of an absolute path, without query:
// RFC 3986 dot segments removed and escapes of unreserved bytes undone
// (normalize_path), "//" merged (merge_slashes), and %2F and %5C treated as
// configured. redirect asks for a redirect to the result; !ok refuses the path.
func canonicalPath(dst, p []byte, cfg *Config) (out []byte, redirect, ok bool) {
	out = dst
	for i := 0; i < len(p); i++ {
		c := p[i]
		if c != '%' {
			switch {
			case !cfg.NormalizePath:
				out = append(out, c)
			case c == '\\':
				out = append(out, '/')
			case escaped(c):
				out = append(out, '%', upperHex[c>>4], upperHex[c&15])
			default:
				out = append(out, c)
			}
			continue
		}
		if i+2 >= len(p) || unhex(p[i+1]) < 0 || unhex(p[i+2]) < 0 {
			out = append(out, c) // left alone, as Envoy does
			continue
		}
		b := byte(unhex(p[i+1])<<4 | unhex(p[i+2]))
		switch {
		case b == 0 && cfg.NormalizePath:
			return nil, false, false
		case b == '/' || b == '\\':
			switch cfg.EscapedSlashes {
			case RejectEscaped:
				return nil, false, false
			case UnescapeAndRedirect, UnescapeAndForward:
				redirect = redirect || cfg.EscapedSlashes == UnescapeAndRedirect
				out = append(out, '/')
			default:
				out = append(out, p[i:i+3]...)
			}
		case cfg.NormalizePath && unreserved(b):
			out = append(out, b)
		default:
			out = append(out, p[i:i+3]...)
		}
		i += 2
	}
	start := len(dst)
	if cfg.NormalizePath {
		out = removeDots(out, start)
	}
	if cfg.MergeSlashes {
		out = mergeSlashes(out, start)
	}
	return out, redirect, true
}

// removeDots removes "." and ".." segments in place (RFC 3986 §5.2.4), also those
// with parameters, as "..;a=b": servers that know parameters take them for ".."
// (RFC 3986 §3.3; Envoy: CVE-2026-73551).
func removeDots(b []byte, start int) []byte {
	w := start
	for i := start; i < len(b); {
		// b[i] is '/': take the segment up to the next one.
		j := i + 1
		for j < len(b) && b[j] != '/' {
			j++
		}
		last := j == len(b)
		name, _, _ := bytes.Cut(b[i+1:j], []byte{';'})
		switch string(name) {
		case ".":
			if last {
				b[w] = '/'
				w++
			}
		case "..":
			for w > start {
				w--
				if b[w] == '/' {
					break
				}
			}
			if last {
				b[w] = '/'
				w++
			}
		default:
			w += copy(b[w:], b[i:j])
		}
		i = j
	}
	if w == start {
		return append(b[:start], '/')
	}
	return b[:w]
}

func mergeSlashes(b []byte, start int) []byte {
	w := start
	for i := start; i < len(b); i++ {
		if b[i] == '/' && w > start && b[w-1] == '/' {
			continue
		}
		b[w] = b[i]
		w++
	}
	return b[:w]
}

// escaped tells whether c is no byte of a path (RFC 3986 §3.3) although request
// targets with it are seen: it is escaped, as Envoy does.
func escaped(c byte) bool {
	switch c {
	case '"', '<', '>', '^', '`', '{', '|', '}':
		return true
	}
	return false
}

const upperHex = "0123456789ABCDEF"

func unreserved(c byte) bool {
	switch {
	case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		return true
	}
	return c == '-' || c == '.' || c == '_' || c == '~'
}

func unhex(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= c && c <= 'f':
		return int(c-'a') + 10
	case 'A' <= c && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}
