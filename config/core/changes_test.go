package core_test

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/weirproxy/weir/config/core"
	"google.golang.org/protobuf/encoding/protowire"
)

// message writes items as field 2, each with a byte of another field before it when other is set.
func message(other bool, items ...string) (b []byte) {
	for _, it := range items {
		if other {
			b = protowire.AppendVarint(protowire.AppendTag(b, 5, protowire.VarintType), uint64(len(it)))
		}
		b = protowire.AppendString(protowire.AppendTag(b, 2, protowire.BytesType), it)
	}
	return b
}

// held holds what Compare says to what TakeApart reads of both.
func held(t *testing.T, was, is []byte) core.Changes {
	t.Helper()
	c := core.Compare(was, is, 2)
	before, after := core.TakeApart(was, 2), core.TakeApart(is, 2)
	if c.OK != (before.OK && after.OK) {
		t.Fatalf("ok %v, the messages are %v and %v", c.OK, before.OK, after.OK)
	}
	if !c.OK {
		return c
	}
	if c.OldItems() != len(before.Items) || c.NewItems() != len(after.Items) {
		t.Fatalf("%d and %d items, want %d and %d", c.OldItems(), c.NewItems(), len(before.Items), len(after.Items))
	}
	if !bytes.Equal(c.Rest, after.Rest) || c.SameRest != bytes.Equal(before.Rest, after.Rest) {
		t.Fatalf("rest %x (the same: %v), want %x, before %x", c.Rest, c.SameRest, after.Rest, before.Rest)
	}
	equal := func(what string, a, b [][]byte) {
		if !slices.EqualFunc(a, b, bytes.Equal) {
			t.Fatalf("%s: %q, want %q", what, a, b)
		}
	}
	equal("head", after.Items[:c.Head], before.Items[:c.Head])
	equal("tail", after.Items[len(after.Items)-c.Tail:], before.Items[len(before.Items)-c.Tail:])
	equal("old", c.Old, before.Items[c.Head:len(before.Items)-c.Tail])
	equal("now", c.Now, after.Items[c.Head:len(after.Items)-c.Tail])
	for i, p := range c.Pairs() {
		if p.Old >= 0 && !bytes.Equal(c.Of(p), before.Items[p.Old]) {
			t.Fatalf("the item of the pair of %d is not %q", i, before.Items[p.Old])
		}
		if p.Same && !bytes.Equal(c.Of(p), c.Now[i]) {
			t.Fatalf("%q is not %q", c.Of(p), c.Now[i])
		}
	}
	return c
}

func TestCompare(t *testing.T) {
	for _, tc := range []struct {
		name               string
		was, is            []string
		head, tail, before int
		now                []string
	}{
		{"nothing", nil, nil, 0, 0, 0, nil},
		{"the same", []string{"a", "b"}, []string{"a", "b"}, 2, 0, 0, nil},
		{"one of three", []string{"a", "b", "c"}, []string{"a", "x", "c"}, 1, 1, 1, []string{"x"}},
		{"one longer", []string{"a", "b", "c"}, []string{"a", "bb", "c"}, 1, 1, 1, []string{"bb"}},
		{"one more", []string{"a", "c"}, []string{"a", "b", "c"}, 1, 1, 0, []string{"b"}},
		{"one of equal ones more", []string{"a", "a"}, []string{"a", "a", "a"}, 2, 0, 0, []string{"a"}},
		{"one less", []string{"a", "b", "c"}, []string{"a", "c"}, 1, 1, 1, nil},
		{"one of equal ones less", []string{"a", "a", "a"}, []string{"a", "a"}, 2, 0, 1, nil},
		{"all go", []string{"a", "b"}, nil, 0, 0, 2, nil},
		{"all come", nil, []string{"a", "b"}, 0, 0, 0, []string{"a", "b"}},
		{"two", []string{"a", "b", "c", "d"}, []string{"x", "b", "c", "y"}, 0, 0, 4, []string{"x", "b", "c", "y"}},
	} {
		for _, other := range []bool{false, true} {
			t.Run(tc.name, func(t *testing.T) {
				c := held(t, message(other, tc.was...), message(other, tc.is...))
				got := make([]string, 0, len(c.Now))
				for _, it := range c.Now {
					got = append(got, string(it))
				}
				if c.Head != tc.head || c.Tail != tc.tail || len(c.Old) != tc.before || !slices.Equal(got, tc.now) {
					t.Errorf("head %d, tail %d, %d items before, now %q", c.Head, c.Tail, len(c.Old), got)
				}
			})
		}
	}
	if c := core.Compare([]byte{0x12}, []byte{0x12}, 2); c.OK {
		t.Error("half an item is a message")
	}
}

// TestCompareReadsWhatChanged: items that did not change take no memory.
func TestCompareReadsWhatChanged(t *testing.T) {
	items := make([]string, 10_000)
	for i := range items {
		items[i] = string(protowire.AppendVarint([]byte("service-"), uint64(i)))
	}
	was := message(false, items...)
	items[5000] = "changed"
	is := message(false, items...)
	if n := testing.AllocsPerRun(10, func() { core.Compare(was, is, 2) }); n > 2 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzCompare(f *testing.F) {
	f.Add(message(false, "a", "b", "c"), message(false, "a", "x", "c"))
	f.Add(message(true, "a", "b"), message(true, "b"))
	f.Add(message(false, "", "", ""), message(false, "", ""))
	f.Add([]byte{0x12, 5}, []byte{0x12})
	r := rand.New(rand.NewPCG(1, 2))
	for range 8 {
		var a, b []string
		for range r.IntN(2000) {
			it := string(rune('a' + r.IntN(3)))
			if a = append(a, it); r.IntN(500) > 0 {
				b = append(b, it)
			}
		}
		f.Add(message(false, a...), message(false, b...))
	}
	f.Fuzz(func(t *testing.T, was, is []byte) { held(t, was, is) })
}
