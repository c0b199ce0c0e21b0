package watchdog

import (
	"testing"
	"time"
)

func TestVigil(t *testing.T) {
	const interval = 100 * time.Millisecond
	type turns struct {
		n int // of the same
		sight
		cpuEach time.Duration
	}
	for _, c := range []struct {
		name string
		in   []turns
		at   int // turn, from 1, at which it judges; 0: never
		want verdict
	}{
		{"beats", []turns{{n: 1000, sight: sight{beats: 1}}}, 0, alive},
		{"a late beat", []turns{{n: Beats - 1, sight: sight{state: 'S'}}, {n: 1, sight: sight{beats: 3}}, {n: Beats - 1, sight: sight{state: 'S'}}}, 0, alive},
		{"silent", []turns{{n: 1, sight: sight{beats: 1}}, {n: Beats, sight: sight{state: 'S'}}}, Beats + 1, stuck},
		{"in the kernel", []turns{{n: Beats, sight: sight{state: 'D'}}}, Beats, stuck},
		{"stopped", []turns{{n: Beats, sight: sight{state: 'T'}}}, Beats, stopped},
		{"traced", []turns{{n: Beats, sight: sight{state: 't'}}}, Beats, stopped},
		{"says so", []turns{{n: 1, sight: sight{beats: 2, stuck: true}}}, 1, stuck},
		{"idle but for a little", []turns{{n: Beats, sight: sight{state: 'S'}, cpuEach: interval / 10}}, Beats, stuck},
		{"busy", []turns{{n: BusyFactor * Beats, sight: sight{state: 'R'}, cpuEach: interval}}, BusyFactor * Beats, stuck},
		{"busy for a while", []turns{{n: BusyFactor*Beats - 1, sight: sight{state: 'R'}, cpuEach: interval}, {n: 1, sight: sight{beats: 1}}}, 0, alive},
		{"busy, then stopped", []turns{{n: 2 * Beats, sight: sight{state: 'R'}, cpuEach: interval}, {n: 1, sight: sight{state: 'T'}}}, 2*Beats + 1, stopped},
	} {
		t.Run(c.name, func(t *testing.T) {
			var v vigil
			var cpu time.Duration
			turn := 0
			for _, in := range c.in {
				for range in.n {
					turn++
					cpu += in.cpuEach
					s := in.sight
					s.cpu = cpu
					if got := v.look(s, interval); got != alive {
						if turn != c.at || got != c.want {
							t.Errorf("turn %d: %d, want %d in turn %d", turn, got, c.want, c.at)
						}
						return
					}
				}
			}
			if c.at != 0 {
				t.Errorf("never judged, want %d in turn %d", c.want, c.at)
			}
		})
	}
}

func TestParseStat(t *testing.T) {
	for _, c := range []struct {
		in    string
		state byte
		cpu   time.Duration
		ok    bool
	}{
		{"12 (weir) S 1 12 12 0 -1 4194560 1 2 3 4 150 50 0 0 20 0 9 0", 'S', 2 * time.Second, true},
		{"12 (a) b (c)) T 1 12 12 0 -1 4194560 1 2 3 4 0 1 0 0", 'T', 10 * time.Millisecond, true},
		{"12 (weir) S 1 12 12 0 -1 4194560 1 2 3 4 150", 0, 0, false},
		{"12 (weir) S 1 12 12 0 -1 4194560 1 2 3 4 x 50", 0, 0, false},
		{"12 (weir) S 1 12 12 0 -1 4194560 1 2 3 4 9223372036854775807 50", 0, 0, false},
		{"", 0, 0, false},
		{")", 0, 0, false},
	} {
		state, cpu, err := parseStat([]byte(c.in))
		if state != c.state || cpu != c.cpu || (err == nil) != c.ok {
			t.Errorf("%q: %c %s %v", c.in, state, cpu, err)
		}
	}
}

func FuzzParseStat(f *testing.F) {
	f.Add([]byte("12 (weir) S 1 12 12 0 -1 4194560 1 2 3 4 150 50 0 0 20 0 9 0"))
	f.Add([]byte("12 (a) b (c)) T"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, cpu, err := parseStat(b); err == nil && cpu < 0 {
			t.Errorf("%s", cpu)
		}
	})
}

func TestMonitor(t *testing.T) {
	const interval = 100 * time.Millisecond
	good, bad := &answering{}, mute{}
	for _, c := range []struct {
		name string
		late bool
		cpu  time.Duration // each turn, of two processors
		at   int           // turn in which bad is found; 0: not within 100
	}{
		{"idle", false, 0, Beats + 1},
		{"some work", false, interval, Beats + 1},
		{"all there is", false, 2 * interval, BusyFactor*Beats + 1},
		{"the machine is slow", true, 0, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			var m monitor
			for turn := 1; turn <= 100; turn++ {
				found := m.turn([]Pulse{good, bad}, c.late, time.Duration(turn)*c.cpu, interval, 2)
				if len(found) == 0 {
					continue
				}
				if turn != c.at || len(found) != 1 || found[0] != bad {
					t.Errorf("turn %d: %v, want bad in turn %d", turn, found, c.at)
				}
				return
			}
			if c.at != 0 {
				t.Error("not found")
			}
		})
	}
	var m monitor
	for turn := range 100 { // what leaves and comes back starts anew
		var ps []Pulse
		if turn%Beats != 0 {
			ps = append(ps, bad)
		}
		if found := m.turn(ps, false, 0, interval, 2); found != nil {
			t.Fatalf("turn %d: %v", turn, found)
		}
	}
}
