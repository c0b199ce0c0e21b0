package header

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// String prints the fields in wire order, for tests.
func (h *Headers) String() string {
	var b strings.Builder
	for i := range h.Len() {
		n, v := h.At(i)
		fmt.Fprintf(&b, "%s: %s\n", n, v)
	}
	return b.String()
}

func TestEveryWellKnownNameIsFound(t *testing.T) {
	for id := Other + 1; id < numIDs; id++ {
		name := wellKnown[id]
		if name == "" || name != strings.ToLower(name) {
			t.Errorf("%d: name %q", id, name)
		}
		for _, s := range []string{name, strings.ToUpper(name), strings.ToUpper(name[:1]) + name[1:]} {
			if got := Lookup([]byte(s)); got != id {
				t.Errorf("Lookup(%q) = %d, want %d", s, got, id)
			}
		}
		if Lookup([]byte(name+"x")) != Other || Lookup([]byte("x"+name)) != Other {
			t.Errorf("%q is found with a letter more", name)
		}
	}
	if Lookup([]byte("HOST")) != IDAuthority || Lookup([]byte(strings.Repeat("a", 100))) != Other {
		t.Error("host, or a long name")
	}
}

// ref is what Headers should do, written the slow way.
type ref [][2]string

func (r ref) String() string {
	var b strings.Builder
	for _, f := range r {
		fmt.Fprintf(&b, "%s: %s\n", f[0], f[1])
	}
	return b.String()
}

func (r ref) del(name string, from int) (out ref) {
	for i, f := range r {
		if i < from || !strings.EqualFold(f[0], name) {
			out = append(out, f)
		}
	}
	return out
}

func (r ref) index(name string) int {
	for i, f := range r {
		if strings.EqualFold(f[0], name) {
			return i
		}
	}
	return -1
}

// TestHeadersAgainstReference changes both at random and compares them.
func TestHeadersAgainstReference(t *testing.T) {
	names := []string{"Accept", "content-length", "X-Request-ID", "x-other", "Server", "Y"}
	rnd := rand.New(rand.NewPCG(1, 2))
	var h Headers
	for range 300 {
		h.Reset()
		var want ref
		var mark Mark
		var saved ref
		marked := false
		for range 40 {
			name, value := names[rnd.IntN(len(names))], fmt.Sprint(rnd.IntN(1000))
			n := Intern(name)
			switch rnd.IntN(7) {
			case 0:
				h.AddRaw([]byte(name), []byte(value))
				want = append(want, [2]string{name, value})
			case 1:
				h.Add(n, []byte(value))
				want = append(want, [2]string{n.String(), value})
			case 2:
				if i := want.index(name); i >= 0 {
					want[i][1] = value
					want = want.del(name, i+1)
				} else {
					want = append(want, [2]string{n.String(), value})
				}
				h.SetString(n, value)
			case 3:
				before := len(want)
				want = want.del(name, 0)
				if got := h.Del(n); got != before-len(want) {
					t.Fatalf("Del(%s) = %d, want %d", name, got, before-len(want))
				}
			case 4:
				mark, saved, marked = h.Mark(), append(ref(nil), want...), true
			case 5:
				if marked {
					h.Rewind(mark)
					want = append(ref(nil), saved...)
				}
			case 6:
				if len(want) > 0 {
					i := rnd.IntN(len(want))
					h.DelAt(i)
					want = append(want[:i:i], want[i+1:]...)
				}
			}
			if h.String() != want.String() {
				t.Fatalf("got\n%swant\n%s", h.String(), want)
			}
			i := want.index(name)
			v, ok := h.Get(n)
			if ok != (i >= 0) || ok && string(v) != want[i][1] || h.Has(n) != ok {
				t.Fatalf("Get(%s) = %q %v in\n%s", name, v, ok, want)
			}
		}
		var c Headers
		c.CopyFrom(&h)
		if c.String() != h.String() {
			t.Fatal("a copy differs")
		}
	}
}

func TestJoined(t *testing.T) {
	var h Headers
	via := Intern("via")
	if _, _, ok := h.Joined(via, nil); ok {
		t.Error("an absent field has a value")
	}
	h.AddString(Via, "a")
	if v, s, _ := h.Joined(via, nil); string(v) != "a" || s != nil {
		t.Errorf("%q, scratch %v", v, s)
	}
	h.AddString(Server, "x")
	h.AddString(Via, "b")
	if v, _, _ := h.Joined(via, nil); string(v) != "a,b" || h.Count(via) != 2 {
		t.Errorf("%q", v)
	}
}

// TestPoisonShows: what outlives a stream must not look like a value.
func TestPoisonShows(t *testing.T) {
	var h Headers
	h.AddString(Server, "abc")
	v := h.Value(Server)
	h.Poison()
	if string(v) != "\xaa\xaa\xaa" {
		t.Errorf("%q", v)
	}
}

func TestSteadyUseAllocatesNothing(t *testing.T) {
	var h Headers
	odd := Intern("x-odd")
	f := func() {
		h.Reset()
		for range 10 {
			h.AddRaw([]byte("Accept"), []byte("*/*"))
			h.AddString(odd, "1")
		}
		m := h.Mark()
		h.Set(odd, []byte("2"))
		h.SetInt(ContentLength, 12345)
		h.Del(Connection)
		h.Rewind(m)
	}
	f()
	if n := testing.AllocsPerRun(100, f); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
