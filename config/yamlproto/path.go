package yamlproto

import (
	"strconv"
	"strings"
)

// Path writes the path of a field while a message is walked. It is one buffer: a step is appended and taken back. The zero Path
// is the message itself.
type Path struct{ buf []byte }

// Field goes to a field and returns what Back takes.
func (p *Path) Field(name string) (mark int) {
	mark = len(p.buf)
	if mark > 0 {
		p.buf = append(p.buf, '.')
	}
	p.buf = append(p.buf, name...)
	return mark
}

// Index goes to an item of a list.
func (p *Path) Index(i int) (mark int) {
	mark = len(p.buf)
	p.buf = append(strconv.AppendInt(append(p.buf, '['), int64(i), 10), ']')
	return mark
}

// Key goes to an entry of a map.
func (p *Path) Key(k string) (mark int) {
	mark = len(p.buf)
	p.buf = append(strconv.AppendQuote(append(p.buf, '['), k), ']')
	return mark
}

// Join goes to a field by a path that is relative to where p is.
func (p *Path) Join(path string) (mark int) {
	mark = len(p.buf)
	if mark > 0 && path != "" && path[0] != '[' {
		p.buf = append(p.buf, '.')
	}
	p.buf = append(p.buf, path...)
	return mark
}

// Back takes back every step since mark.
func (p *Path) Back(mark int) { p.buf = p.buf[:mark] }

// String returns the path as [Index.At] reads it.
func (p *Path) String() string { return string(p.buf) }

// step is one step of a path: a name or map key (index -1), or a list index.
type step struct {
	name  string
	index int
}

// nextStep splits the first step off a path. A malformed rest is one step that matches nothing.
func nextStep(path string) (step, string) {
	path = strings.TrimPrefix(path, ".")
	if path == "" {
		return step{index: -1}, ""
	}
	if path[0] == '[' {
		if strings.HasPrefix(path, `["`) {
			if q, err := strconv.QuotedPrefix(path[1:]); err == nil {
				if key, err := strconv.Unquote(q); err == nil {
					return step{name: key, index: -1}, strings.TrimPrefix(path[1+len(q):], "]")
				}
			}
			return step{name: path, index: -1}, ""
		}
		end := strings.IndexByte(path, ']')
		if end < 0 {
			return step{name: path, index: -1}, ""
		}
		if n, err := strconv.Atoi(path[1:end]); err == nil && n >= 0 {
			return step{name: path[1:end], index: n}, path[end+1:]
		}
		return step{name: path[1:end], index: -1}, path[end+1:]
	}
	end := strings.IndexAny(path, ".[")
	if end < 0 {
		return step{name: path, index: -1}, ""
	}
	return step{name: path[:end], index: -1}, path[end:]
}

func steps(path string) (n int) {
	for path != "" {
		_, path = nextStep(path)
		n++
	}
	return n
}

// Join puts a path that is relative to a message below the path of that message.
func Join(prefix, path string) string {
	switch {
	case prefix == "":
		return path
	case path == "" || path[0] == '[':
		return prefix + path
	default:
		return prefix + "." + path
	}
}
