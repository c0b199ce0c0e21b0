package intercept

import (
	"encoding/json"
	"strings"
	"testing"
)

// FuzzObserved: whatever a kernel, or somebody's rules in our table, may contain,
// reading it must not fail badly.
func FuzzObserved(f *testing.F) {
	for _, p := range goldenPlans() {
		msgs, err := compile(p).messages(true)
		if err != nil {
			f.Fatal(err)
		}
		for _, m := range msgs {
			f.Add(m.Data[4:])
		}
	}
	for _, c := range compile(Plan{ListenPort: 1}).chains {
		for _, r := range c.rules {
			attrs, err := encodeExprs(r.exprs)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(encode(attrs...))
			f.Add(comment(r.comment))
		}
	}
	attrs, err := encodeExprs(tproxyTo(1).exprs)
	if err != nil {
		f.Fatal(err)
	}
	planned := encode(attrs...)
	f.Fuzz(func(t *testing.T, b []byte) {
		_, _, _ = splitExprs(b)
		_, _ = decodeElem(b)
		commentOf(b)
		sameExprs(planned, b)
		sameExprs(b, planned)
		sameAttrs(b, b, 0)
		r := observedRule{exprs: b}
		r.count()
		parseTableComment(string(b))
	})
}

// FuzzPlan: a plan that validates compiles, renders and encodes.
func FuzzPlan(f *testing.F) {
	for _, p := range goldenPlans() {
		b, err := json.Marshal(p)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add([]byte(`{"listen_port":1,"exclude_cidrs":["::/0","255.255.255.255/32"],"ports":[{"from":65535,"to":65535}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		var p Plan
		if json.Unmarshal(b, &p) != nil || p.Validate() != nil {
			return
		}
		if s := p.Render(); !strings.HasPrefix(s, "table inet weir-") {
			t.Errorf("render: %q", s)
		}
		msgs, err := compile(p).messages(false)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range msgs {
			if len(m.Data) > 1<<16 {
				t.Errorf("a message of %d bytes", len(m.Data))
			}
		}
		for _, s := range compile(p).sets {
			for _, e := range s.elems {
				if len(e.key) != int(s.kind.keyLen()) {
					t.Errorf("set %s: a key of %d bytes, want %d", s.name, len(e.key), s.kind.keyLen())
				}
			}
		}
	})
}
