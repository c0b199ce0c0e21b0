package speakers

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	start = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	mail  = netip.MustParseAddrPort("192.0.2.1:25")
	db    = netip.MustParseAddrPort("[2001:db8::1]:3306")
	files = netip.MustParseAddrPort("192.0.2.1:21")
)

func at(s int) time.Time { return start.Add(time.Duration(s) * time.Second) }

func TestTableRemembers(t *testing.T) {
	x := New(10, time.Minute)
	if x.SpeaksFirst(mail, at(0)) {
		t.Error("known before it was seen")
	}
	x.Server(mail, "smtp", at(0))
	x.Server(netip.MustParseAddrPort("[::ffff:192.0.2.1]:25"), "", at(10))
	x.Server(db, "mysql", at(20))
	x.Client(mail)
	x.Client(files)
	if !x.SpeaksFirst(mail, at(30)) || !x.SpeaksFirst(db, at(30)) || x.SpeaksFirst(files, at(30)) {
		t.Error("not what was seen")
	}
	want := []Entry{
		{Address: db, Protocol: "mysql", Learned: at(20), Seen: at(20), Times: 1},
		{Address: mail, Protocol: "smtp", Learned: at(0), Seen: at(10), Times: 2, Clients: 1},
	}
	if d := cmp.Diff(want, x.List(at(30)), cmpopts.IgnoreUnexported(Entry{}), cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })); d != "" {
		t.Error(d)
	}
}

func TestTableForgets(t *testing.T) {
	fill := func() *Table {
		x := New(2, time.Minute)
		x.Server(mail, "", at(0))
		x.Server(db, "", at(1))
		return x
	}
	f := func(name string, do func(*Table), now int, wantMail, wantDB bool) {
		t.Helper()
		x := fill()
		do(x)
		if m, d := x.SpeaksFirst(mail, at(now)), x.SpeaksFirst(db, at(now)); m != wantMail || d != wantDB {
			t.Errorf("%s: mail %v, db %v", name, m, d)
		}
	}
	f("nothing", func(*Table) {}, 60, true, true)
	f("what was not seen for the TTL", func(*Table) {}, 61, false, true)
	f("all", func(x *Table) {
		if n := x.ForgetAll(); n != 2 {
			t.Errorf("%d", n)
		}
	}, 2, false, false)
	f("one", func(x *Table) {
		if !x.Forget(db) || x.Forget(files) {
			t.Error("wrong answer")
		}
	}, 2, true, false)
	f("the one not asked for the longest", func(x *Table) { x.Server(files, "", at(2)) }, 2, false, true)
	f("not the one that was asked for", func(x *Table) { x.SpeaksFirst(mail, at(2)); x.Server(files, "", at(2)) }, 2, true, false)
	f("whose clients speak", func(x *Table) { x.Client(mail); x.Client(mail); x.Client(mail) }, 2, false, true)
	f("not whose clients do sometimes", func(x *Table) {
		x.Client(mail)
		x.Client(mail)
		x.Server(mail, "", at(2))
		x.Client(mail)
		x.Client(mail)
	}, 2, true, true)
}

func TestNoTableRemembersNothing(t *testing.T) {
	var x *Table
	x.Server(mail, "", at(0))
	x.Client(mail)
	if x.SpeaksFirst(mail, at(0)) || x.Forget(mail) || x.ForgetAll() != 0 || len(x.List(at(0))) != 0 {
		t.Error("something")
	}
}

func TestAskingAllocatesNothing(t *testing.T) {
	x := New(10, time.Minute)
	ask := func() { x.SpeaksFirst(mail, start); x.Client(files) }
	if n := testing.AllocsPerRun(100, ask); n != 0 {
		t.Errorf("empty: %v allocations", n)
	}
	x.Server(mail, "", start)
	if n := testing.AllocsPerRun(100, ask); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
