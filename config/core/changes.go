package core

import (
	"bytes"

	"google.golang.org/protobuf/encoding/protowire"
)

// Changes are what two versions of a message differ in: of the items of one repeated field those between the ones that both begin
// and the ones that both end with, and all other bytes.
type Changes struct {
	Head, Tail int      // how many items are the same at the beginning and at the end
	Old, Now   [][]byte // the items between them
	// Rest is all other bytes of the new message, SameRest says that the old one has the same.
	Rest     []byte
	SameRest bool
	OK       bool // both are messages
}

// Compare finds out what changed from was to is. Where little changed it reads only the lengths of what did not: bytes are compared
// in long runs.
func Compare(was, is []byte, want protowire.Number) (c Changes) {
	same, end := commonPrefix(was, is), commonSuffix(was, is)
	var rest []byte // of was
	at := 0         // in both
	for at < same {
		f, ok := nextField(is[at:], want)
		if !ok {
			return Changes{}
		}
		if at+f.size > same {
			break
		}
		if f.item != nil {
			c.Head++
		} else {
			c.Rest = append(c.Rest, is[at:at+f.size]...)
		}
		at += f.size
	}
	rest = append(rest, c.Rest...)
	old, now := was[at:], is[at:]
	// From where both have as much left, and no more than their common end, they go on as one.
	for len(old) != len(now) || len(now) > end {
		b, to, other := &old, &c.Old, &rest
		if len(now) >= len(old) {
			b, to, other = &now, &c.Now, &c.Rest
		}
		f, ok := nextField(*b, want)
		if !ok {
			return Changes{}
		}
		if f.item != nil {
			*to = append(*to, f.item)
		} else {
			*other = append(*other, (*b)[:f.size]...)
		}
		*b = (*b)[f.size:]
	}
	for len(now) > 0 {
		f, ok := nextField(now, want)
		if !ok {
			return Changes{}
		}
		if f.item != nil {
			c.Tail++
		} else {
			c.Rest, rest = append(c.Rest, now[:f.size]...), append(rest, now[:f.size]...)
		}
		now = now[f.size:]
	}
	c.SameRest = bytes.Equal(rest, c.Rest)
	c.OK = true
	return c
}

// OldItems and NewItems are how many items the old and the new version have.
func (c *Changes) OldItems() int { return c.Head + len(c.Old) + c.Tail }

// NewItems is how many items the new version has.
func (c *Changes) NewItems() int { return c.Head + len(c.Now) + c.Tail }

// Pairs gives what Align does of the items between head and tail, with places counted from the beginning of both messages.
func (c *Changes) Pairs() []Pair {
	out := Align(c.Old, c.Now)
	for i := range out {
		if out[i].Old >= 0 {
			out[i].Old += c.Head
		}
	}
	return out
}

// Of gives the bytes of the old item that one of Pairs is paired with, nil for none.
func (c *Changes) Of(p Pair) []byte {
	if p.Old < 0 {
		return nil
	}
	return c.Old[p.Old-c.Head]
}

// field is the first of a message: an item of the field that is wanted, or another.
type field struct {
	item []byte // not nil
	size int    // of all of it
}

func nextField(b []byte, want protowire.Number) (f field, ok bool) {
	num, typ, n := protowire.ConsumeTag(b)
	if n < 0 {
		return f, false
	}
	if num == want && typ == protowire.BytesType {
		v, m := protowire.ConsumeBytes(b[n:])
		if m < 0 {
			return f, false
		}
		return field{v, n + m}, true
	}
	m := protowire.ConsumeFieldValue(num, typ, b[n:])
	if m < 0 {
		return f, false
	}
	return field{nil, n + m}, true
}

// run is how many bytes are compared at once.
const run = 1 << 10

func commonPrefix(a, b []byte) int {
	n, at := min(len(a), len(b)), 0
	for at+run <= n && bytes.Equal(a[at:at+run], b[at:at+run]) {
		at += run
	}
	for at < n && a[at] == b[at] {
		at++
	}
	return at
}

func commonSuffix(a, b []byte) int {
	n, at := min(len(a), len(b)), 0
	for at+run <= n && bytes.Equal(a[len(a)-at-run:len(a)-at], b[len(b)-at-run:len(b)-at]) {
		at += run
	}
	for at < n && a[len(a)-1-at] == b[len(b)-1-at] {
		at++
	}
	return at
}
