package lb

import (
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func some(weights ...float64) []Member {
	out := make([]Member, len(weights))
	for i, w := range weights {
		out[i] = Member{Addr: fmt.Sprintf("10.0.0.%d:80", i+1), Weight: w, Active: new(atomic.Int64)}
	}
	return out
}

func same(n int) []Member {
	w := make([]float64, n)
	for i := range w {
		w[i] = 1
	}
	return some(w...)
}

func count(p Policy, n, picks int, seed uint64) []int {
	r := rand.New(rand.NewPCG(seed, 0))
	out := make([]int, n)
	for range picks {
		v := r.Uint64()
		out[p.Pick(Pick{Rand: v, Hash: v})]++
	}
	return out
}

func TestRoundRobinIsExact(t *testing.T) {
	for _, tc := range []struct {
		weights []float64
		picks   int
		want    []int
	}{
		{[]float64{1, 1, 1}, 9, []int{3, 3, 3}},
		{[]float64{5, 1, 1}, 70, []int{50, 10, 10}},
		{[]float64{90, 10}, 1000, []int{900, 100}},
		{[]float64{1, 2, 3, 4}, 100, []int{10, 20, 30, 40}},
		{[]float64{1000, 1}, 1001, []int{1000, 1}},
	} {
		got := count(NewRoundRobin(some(tc.weights...), 0), len(tc.weights), tc.picks, 1)
		for i := range got {
			if d := got[i] - tc.want[i]; d < -1 || d > 1 || len(tc.weights) == 3 && tc.weights[0] == 1 && d != 0 {
				t.Errorf("weights %v: %d picks gave %v, want %v", tc.weights, tc.picks, got, tc.want)
				break
			}
		}
	}
}

func TestWeightedRoundRobinIsSmooth(t *testing.T) {
	p := NewRoundRobin(some(3, 1), 0)
	run, longest, last := 0, 0, -1
	for range 400 {
		i := p.Pick(Pick{})
		if i == last {
			run++
		} else {
			run, last = 1, i
		}
		longest = max(longest, run)
	}
	if longest > 4 {
		t.Errorf("one member came %d times in a row, want at most 4", longest)
	}
}

func TestRoundRobinBeginsAnywhere(t *testing.T) {
	begins := map[int]bool{}
	for seed := range uint64(5) {
		begins[NewRoundRobin(same(5), seed).Pick(Pick{})] = true
	}
	if len(begins) != 5 {
		t.Errorf("5 seeds begin with %d members, want 5", len(begins))
	}
}

func TestEDFSurvivesRebase(t *testing.T) {
	e := newEDF(2, func(i int) float64 { return [...]float64{3, 1}[i] }, 0)
	for i := range e.heap {
		e.heap[i].deadline += rebase + 1
	}
	n := [2]int{}
	for range 4000 {
		n[e.next()]++
	}
	if n[0] != 3000 || n[1] != 1000 {
		t.Errorf("got %v, want 3000 and 1000", n)
	}
	if e.heap[0].deadline > 2000 {
		t.Errorf("deadlines were not moved back: %v", e.heap[0].deadline)
	}
}

func TestRandomFollowsWeights(t *testing.T) {
	const picks = 100000
	for _, w := range [][]float64{{1, 1, 1, 1}, {7, 2, 1}, {0.5, 0.25, 0.25}} {
		sum := 0.0
		for _, x := range w {
			sum += x
		}
		for i, n := range count(NewRandom(some(w...)), len(w), picks, 7) {
			want := w[i] / sum * picks
			if float64(n) < want*0.97 || float64(n) > want*1.03 {
				t.Errorf("weights %v: member %d got %d of %d, want about %.0f", w, i, n, picks, want)
			}
		}
	}
}

func TestLeastRequestPrefersTheIdle(t *testing.T) {
	m := same(2)
	m[0].Active.Store(10)
	p := NewLeastRequest(LeastRequest{Choices: 2, Bias: 1}, m, 0)
	if n := count(p, 2, 1000, 1); n[0] != 0 {
		t.Errorf("of two members the busy one was picked %d times, want never: each is compared with the other", n[0])
	}
	// With n members and two choices, the busiest is never picked, the idlest with
	// probability 2/n.
	m = same(10)
	for i := range m {
		m[i].Active.Store(int64(i))
	}
	n := count(NewLeastRequest(LeastRequest{Choices: 2, Bias: 1}, m, 0), 10, 100000, 2)
	if n[9] != 0 {
		t.Errorf("the busiest was picked %d times", n[9])
	}
	if n[0] < 19000 || n[0] > 21000 {
		t.Errorf("the idlest was picked %d times of 100000, want about 20000", n[0])
	}
	if n := count(NewLeastRequest(LeastRequest{FullScan: true}, m, 0), 10, 1000, 3); n[0] != 1000 {
		t.Errorf("full scan picked the idlest %d times of 1000", n[0])
	}
}

func TestLeastRequestWeighted(t *testing.T) {
	m := some(2, 1)
	p := NewLeastRequest(LeastRequest{Choices: 2, Bias: 1}, m, 0)
	if n := count(p, 2, 300, 1); n[0] < 199 || n[0] > 201 {
		t.Errorf("idle members with weights 2 and 1: %v, want 200 and 100", n)
	}
	m[0].Active.Store(3) // 2 / 4 against 1: half as often
	p = NewLeastRequest(LeastRequest{Choices: 2, Bias: 1}, m, 0)
	if n := count(p, 2, 300, 1); n[0] < 99 || n[0] > 101 {
		t.Errorf("with three requests on the first: %v, want 100 and 200", n)
	}
	p = NewLeastRequest(LeastRequest{Choices: 2, Bias: 0}, m, 0)
	if n := count(p, 2, 300, 1); n[0] < 199 || n[0] > 201 {
		t.Errorf("bias 0 ignores requests: %v, want 200 and 100", n)
	}
}

func TestAttemptsLeadElsewhere(t *testing.T) {
	m := same(20)
	for name, p := range map[string]Policy{
		"round robin": NewRoundRobin(m, 0), "random": NewRandom(m),
		"least request": NewLeastRequest(LeastRequest{Choices: 2, Bias: 1}, m, 0),
		"ring hash":     NewRingHash(RingHash{Min: 1024, Max: 1 << 20}, m),
		"maglev":        NewMaglev(Maglev{TableSize: 65537}, m),
	} {
		seen := map[int]bool{}
		for a := range uint32(8) {
			seen[p.Pick(Pick{Rand: 42, Hash: 42, Attempt: a})] = true
		}
		if len(seen) < 4 {
			t.Errorf("%s: 8 attempts found %d members", name, len(seen))
		}
	}
}

func TestPickAllocatesNothing(t *testing.T) {
	m, w := same(50), some(1, 2, 3)
	for name, p := range map[string]Policy{
		"round robin": NewRoundRobin(m, 0), "weighted": NewRoundRobin(w, 0), "random": NewRandom(w),
		"least request": NewLeastRequest(LeastRequest{Choices: 2, Bias: 1}, m, 0),
		"weighted lr":   NewLeastRequest(LeastRequest{Choices: 2, Bias: 1}, w, 0),
		"ring hash":     NewRingHash(RingHash{Min: 1024, Max: 1 << 20, BalancePercent: 150}, m),
		"maglev":        NewMaglev(Maglev{TableSize: 251, BalancePercent: 150}, m),
	} {
		r := uint64(1)
		if n := testing.AllocsPerRun(100, func() { r++; p.Pick(Pick{Rand: r, Hash: r}) }); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}
