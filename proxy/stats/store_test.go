package stats

import (
	"fmt"
	"strings"
	"sync"
	"testing"
)

func TestCounter(t *testing.T) {
	var c Counter
	if c.Used() {
		t.Error("new counter is used")
	}
	c.Inc()
	c.Add(41)
	if got := c.Value(); got != 42 {
		t.Errorf("got %d, want 42", got)
	}
	c.reset()
	if got := c.Value(); got != 0 || !c.Used() {
		t.Errorf("after reset: value %d, used %v; want 0, true", got, c.Used())
	}
	c.Inc()
	if got := c.Value(); got != 1 {
		t.Errorf("after reset and Inc: got %d, want 1", got)
	}
}

func TestGauge(t *testing.T) {
	var g Gauge
	f := func(op string, do func(), want int64) {
		t.Helper()
		do()
		if got := g.Value(); got != want {
			t.Errorf("%s: got %d, want %d", op, got, want)
		}
	}
	if g.Used() {
		t.Error("new gauge is used")
	}
	f("Inc", g.Inc, 1)
	f("Dec", g.Dec, 0)
	if !g.Used() {
		t.Error("gauge back at zero is not used")
	}
	f("Dec below zero", g.Dec, -1)
	f("Add(-4)", func() { g.Add(-4) }, -5)
	f("Set(-9)", func() { g.Set(-9) }, -9)
	f("Set(1<<61)", func() { g.Set(1 << 61) }, 1<<61)
	f("Add(10)", func() { g.Add(10) }, 1<<61+10)
}

func TestSameNameSharesStatistics(t *testing.T) {
	s := NewStore()
	a, b := s.Scope("cluster").Scope("a"), s.Scope("cluster").Scope("a")
	if a.Counter("x") != b.Counter("x") || a.Gauge("x") != b.Gauge("x") || a.Histogram("x") != b.Histogram("x") {
		t.Error("two scopes of one name have different statistics")
	}
	if a.Counter("x") == a.Counter("y") {
		t.Error("two names share a counter")
	}
	if Fill[clusterStats](a) != Fill[clusterStats](b) {
		t.Error("filling the same type twice made two structs")
	}
	if Fill[clusterStats](a).Total != b.Counter("upstream_rq_total") {
		t.Error("a filled counter and the one of that name differ")
	}
}

func TestFillSharesWithEarlierStatistics(t *testing.T) {
	type other struct {
		Total *Counter `stat:"upstream_rq_total"`
		Extra *Counter `stat:"extra"`
	}
	s := NewStore()
	sc := s.Scope("cluster.a")
	total := sc.Counter("upstream_rq_total")
	if Fill[clusterStats](sc).Total != total {
		t.Error("Fill did not take the counter that was there")
	}
	o := Fill[other](sc)
	if o.Total != total || o.Extra != sc.Counter("extra") || Fill[other](sc) != o {
		t.Error("a second struct does not share the counter, or is made anew")
	}
	if n := strings.Count(text(t, s, Filter{}), "upstream_rq_total:"); n != 1 {
		t.Errorf("upstream_rq_total is printed %d times", n)
	}
}

func TestManyStatisticsInOneScope(t *testing.T) {
	s := NewStore()
	sc := s.Scope("many")
	for range 2 {
		for i := range 3 * longScope {
			sc.Counter(fmt.Sprint(i)).Inc()
		}
	}
	for i := range 3 * longScope {
		if v, ok := s.Value(fmt.Sprintf("many.%d", i)); !ok || v != 2 {
			t.Fatalf("many.%d: got %d, %v; want 2", i, v, ok)
		}
	}
}

func TestCloseRemovesWhatNobodyHolds(t *testing.T) {
	s := NewStore()
	top := s.Scope("cluster")
	a, b := top.Scope("a"), top.Scope("a")
	a.Counter("x").Inc()
	held := a.Scope("deep").Counter("y")
	f := func(when, want string) {
		t.Helper()
		if got := text(t, s, Filter{}); got != want {
			t.Errorf("%s: got %q, want %q", when, got, want)
		}
	}
	f("both open", "cluster.a.deep.y: 0\ncluster.a.x: 1\n")
	a.Close()
	a.Close()
	f("one closed", "cluster.a.x: 1\n")
	b.Close()
	f("both closed", "")
	held.Inc() // harmless

	again := top.Scope("a")
	again.Counter("x")
	f("opened anew", "cluster.a.x: 0\n")
	late := a.Scope("late") // on a closed scope: works, unseen, releases nothing
	late.Counter("z").Inc()
	late.Close()
	f("after late scope", "cluster.a.x: 0\n")
	top.Close()
	f("parent closed", "")
	if len(s.root.children) != 0 {
		t.Errorf("%d nodes are left", len(s.root.children))
	}
}

func TestScopeOfSeveralNamesLeavesNothingBehind(t *testing.T) {
	s := NewStore()
	a := s.Scope("cluster", "a.b", "circuit_breakers.default")
	a.Gauge("cx_open").Inc()
	deep := a.Scope("x", "y")
	deep.Counter("z").Inc()
	if s.Scope("cluster").Scope("a.b").Scope("circuit_breakers.default").Gauge("cx_open") != a.Gauge("cx_open") {
		t.Error("one call and three make different scopes")
	}
	deep.Close()
	want := "cluster.a.b.circuit_breakers.default.cx_open: 1\n"
	if got := text(t, s, Filter{}); got != want {
		t.Errorf("got %q, want %q", got, want)
	}

	s = NewStore()
	a, b := s.Scope("cluster", "a"), s.Scope("cluster", "a", "http1")
	b.Counter("x")
	a.Close()
	b.Close()
	if len(s.root.children) != 0 {
		t.Errorf("%d nodes are left", len(s.root.children))
	}
}

func TestCloseInAnyOrder(t *testing.T) {
	s := NewStore()
	top := s.Scope("cluster")
	var open []*Scope
	for i := range 10 {
		sc := top.Scope(fmt.Sprint(i))
		sc.Counter("x")
		open = append(open, sc)
	}
	for _, i := range []int{3, 9, 0, 5, 4} {
		open[i].Close()
	}
	want := "cluster.1.x: 0\ncluster.2.x: 0\ncluster.6.x: 0\ncluster.7.x: 0\ncluster.8.x: 0\n"
	if got := text(t, s, Filter{}); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if len(top.derived) != 5 {
		t.Errorf("%d derived scopes are recorded, want 5", len(top.derived))
	}
}

func TestResetCounters(t *testing.T) {
	s := NewStore()
	sc := s.Scope("cluster.a")
	Fill[clusterStats](sc).Total.Add(5)
	sc.Counter("y").Add(6)
	sc.Counter("unused")
	sc.Gauge("g").Set(7)
	sc.Histogram("h").Record(8)
	s.ResetCounters()
	for name, want := range map[string]int64{"cluster.a.upstream_rq_total": 0, "cluster.a.y": 0, "cluster.a.g": 7} {
		if got, ok := s.Value(name); !ok || got != want {
			t.Errorf("%s: got %d, %v; want %d", name, got, ok, want)
		}
	}
	if sc.Histogram("h").Summary().Count != 1 {
		t.Error("a histogram was reset")
	}
	used := text(t, s, Filter{UsedOnly: true})
	if !strings.Contains(used, "cluster.a.y: 0\n") || strings.Contains(used, "unused") {
		t.Errorf("usedonly after reset: got %q", used)
	}
}

func TestFillPanicsOnWrongStruct(t *testing.T) {
	f := func(want string, fill func(*Scope)) {
		t.Helper()
		defer func() {
			t.Helper()
			if got := fmt.Sprint(recover()); !strings.Contains(got, want) {
				t.Errorf("got panic %q, want one with %q", got, want)
			}
		}()
		fill(NewStore().Scope("x"))
	}
	f("is not a struct", func(sc *Scope) { Fill[int](sc) })
	f("N is neither", func(sc *Scope) { Fill[struct{ N int }](sc) })
	f("C has no stat tag", func(sc *Scope) { Fill[struct{ C *Counter }](sc) })
	f("c is not exported", func(sc *Scope) {
		Fill[struct {
			c *Counter `stat:"c"`
		}](sc)
	})
	f("B repeats the name x", func(sc *Scope) {
		Fill[struct {
			A *Counter `stat:"x"`
			B *Counter `stat:"x"`
		}](sc)
	})
}

func TestNames(t *testing.T) {
	want := []Name{
		{KindCounter, "upstream_rq_total"},
		{KindGauge, "upstream_rq_active"},
		{KindHistogram, "upstream_rq_time"},
		{KindGauge, "circuit_breakers.default.cx_open"},
	}
	if got := Names[clusterStats](); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestConcurrentUse(t *testing.T) {
	const workers, rounds = 4, 300
	s := NewStore()
	keep := s.Scope("cluster").Scope("a")
	codes := NewCodes(keep, "upstream_rq")
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for i := range rounds {
				sc := s.Scope("cluster").Scope("a")
				Fill[clusterStats](sc).Total.Inc()
				sc.Gauge("g").Inc()
				sc.Histogram("h").Record(uint64(i) * uint64(w+1) * 100)
				codes.Count(200 + i%7)
				if i%50 == 0 {
					_ = text(t, s, Filter{})
				}
				sc.Close()
			}
		})
	}
	wg.Wait()
	for _, name := range []string{"upstream_rq_total", "g", "upstream_rq_completed", "upstream_rq_2xx"} {
		if got, _ := s.Value("cluster.a." + name); got != workers*rounds {
			t.Errorf("%s: got %d, want %d", name, got, workers*rounds)
		}
	}
	if got := keep.Histogram("h").Summary().Count; got != workers*rounds {
		t.Errorf("histogram: got %d values, want %d", got, workers*rounds)
	}
}

func TestHotPathDoesNotAllocate(t *testing.T) {
	sc := NewStore().Scope("cluster.a")
	st := Fill[clusterStats](sc)
	codes := NewCodes(sc, "upstream_rq")
	var v uint64
	run := func() {
		st.Total.Inc()
		st.Total.Add(3)
		st.Active.Inc()
		st.Active.Dec()
		st.Time.Record(v % 5000)
		codes.Count(200)
		v += 7
	}
	for range 1000 { // touch every decade below 5000
		run()
	}
	if n := testing.AllocsPerRun(1000, run); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
