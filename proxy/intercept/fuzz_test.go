package intercept

import (
	"encoding/json"
	"slices"
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
		marksOf(b)
		savedMarks(string(b))
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

// FuzzParseSave holds the reader of iptables-save to two things: nothing that it
// may print, others' rules included, makes it panic; and what it makes of its own
// rules is written and read back the same.
func FuzzParseSave(f *testing.F) {
	for _, p := range goldenPlans() {
		f.Add(restoreText(nil, compileIPTables(p, false)))
	}
	f.Add("*nat\n:POSTROUTING ACCEPT [0:0]\n:DOCKER - [0:0]\n[3:180] -A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE\nCOMMIT\n")
	f.Add("*mangle\n-A x --comment \"a \\\" b\nCOMMIT")
	f.Fuzz(func(t *testing.T, text string) {
		all := parseSave(text)
		_ = planNames(all)
		for _, table := range ours(all, DefaultName) {
			for _, c := range table.chains {
				for _, r := range c.rules {
					_, _ = r.comment(), r.target()
					if got := splitWords(r.String()); !slices.Equal(got, r.words) {
						t.Errorf("%q is read back as %q", r.words, got)
					}
				}
			}
		}
	})
}

// FuzzRecentFresh holds the reader of xt_recent's file to not panicking.
func FuzzRecentFresh(f *testing.F) {
	f.Add("src=0.0.0.0 ttl: 0 last_seen: 4303421739 oldest_pkt: 1 4303421739\nsrc=255.255.255.255 ttl: 0 last_seen: 4303421800 oldest_pkt: 1 4303421800\n", int64(34000e9))
	f.Add("src= ttl", int64(0))
	f.Fuzz(func(t *testing.T, text string, monotonic int64) {
		_ = recentFresh(text, monotonic)
	})
}
