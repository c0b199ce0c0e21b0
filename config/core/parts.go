package core

import (
	"bytes"

	"google.golang.org/protobuf/encoding/protowire"
)

// Parts are a message taken apart: the items of one repeated field, and all other bytes.
type Parts struct {
	Items [][]byte
	Rest  []byte
	OK    bool // it is a message
}

// TakeApart takes a message apart.
func TakeApart(raw []byte, want protowire.Number) (l Parts) {
	for b := raw; len(b) > 0; {
		num, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			return l
		}
		m := protowire.ConsumeFieldValue(num, typ, b[n:])
		if m < 0 {
			return l
		}
		if num == want && typ == protowire.BytesType {
			v, _ := protowire.ConsumeBytes(b[n:])
			l.Items = append(l.Items, v)
		} else {
			l.Rest = append(l.Rest, b[:n+m]...)
		}
		b = b[n+m:]
	}
	l.OK = true
	return l
}

// SameField tells whether two messages have the same bytes in a field.
func SameField(a, b []byte, num protowire.Number) bool {
	x, y := TakeApart(a, num), TakeApart(b, num)
	if !x.OK || !y.OK || len(x.Items) != len(y.Items) {
		return false
	}
	for i := range x.Items {
		if !bytes.Equal(x.Items[i], y.Items[i]) {
			return false
		}
	}
	return true
}

// A Pair says which item of the old list one of the new list is, or is another version of; -1 is none.
type Pair struct {
	Old  int
	Same bool // byte by byte
}

// Of gives the item that p is paired with, nil for none.
func (p Pair) Of(old [][]byte) []byte {
	if p.Old < 0 {
		return nil
	}
	return old[p.Old]
}

// Align pairs the items of two lists: those that are the same at the beginning and at the end, and of what lies between those in the
// same place if there are as many, else those that are the same.
func Align(old, now [][]byte) []Pair {
	out := make([]Pair, len(now))
	head := 0
	for head < len(old) && head < len(now) && bytes.Equal(old[head], now[head]) {
		out[head] = Pair{head, true}
		head++
	}
	tail := 0
	for tail < len(old)-head && tail < len(now)-head && bytes.Equal(old[len(old)-1-tail], now[len(now)-1-tail]) {
		tail++
		out[len(now)-tail] = Pair{len(old) - tail, true}
	}
	if len(old) == len(now) {
		for i := head; i < len(now)-tail; i++ {
			out[i] = Pair{i, bytes.Equal(old[i], now[i])}
		}
		return out
	}
	places := make(map[string]int, len(old)-tail-head)
	for i := head; i < len(old)-tail; i++ {
		places[string(old[i])] = i
	}
	for i := head; i < len(now)-tail; i++ {
		at, ok := places[string(now[i])]
		if !ok {
			at = -1
		}
		out[i] = Pair{at, ok}
	}
	return out
}
