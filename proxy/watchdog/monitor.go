// Package watchdog ends a process that has got stuck, so that the kernel takes back
// what it held: listening sockets, in which connections would wait for ever, and
// the interception rules that lead to them.
//
//  1. [Start] starts the guard, a small process of its own, and tells it every
//     [Beats]th part of the limit that all is well. The guard has a hold on the
//     process itself (a pidfd), not on its number.
//  2. Each time, everything that takes connections is asked for a sign of life
//     ([Pulse]); what gives none for the limit is stuck, and the guard is told so.
//  3. The guard, when it is told so or hears nothing for the limit, asks the process
//     for its stacks (SIGQUIT) and, [Grace] later, kills it (SIGKILL). One that is
//     stopped, and could show nothing, is killed at once.
//  4. The guard ends when the process does.
//
// Time is counted in turns of the own clock, never read from it: a machine that was
// suspended, or a container that was frozen, comes back to nothing missed. A process
// that uses the processor has [BusyFactor] times as long: being slow under load is
// no reason to lose every connection.
package watchdog

import "time"

const (
	// Beats is how many signs of life there are within the limit.
	Beats = 8
	// BusyFactor is how many limits a process may be silent that uses the processor.
	BusyFactor = 6
	// Grace is how long a stuck process has for printing its stacks.
	Grace = 250 * time.Millisecond
	// MinLimit keeps beats apart.
	MinLimit = 80 * time.Millisecond
)

// A Pulse can be asked for a sign of life.
type Pulse interface {
	// Ask asks for one; it does not wait.
	Ask()
	// Answers is how many signs there have been.
	Answers() uint64
	// String names what is asked.
	String() string
}

// A monitor counts for how many turns each pulse has not answered.
type monitor struct{ of map[Pulse]*silence }

type silence struct {
	answers uint64
	turns   int
	cpu     time.Duration // that the process had used when the silence began
}

// turn looks at all pulses, and asks them again. late says that this turn came so
// late that it proves nothing. cpu is what the process has used of the processor,
// and interval the time of a turn. It returns those that are stuck.
func (m *monitor) turn(pulses []Pulse, late bool, cpu, interval time.Duration, processors int) (stuck []Pulse) {
	now := make(map[Pulse]*silence, len(pulses))
	for _, p := range pulses {
		n := p.Answers()
		s := m.of[p]
		switch {
		case s == nil || s.answers != n:
			s = &silence{answers: n, cpu: cpu}
		case !late:
			s.turns++
		}
		now[p] = s
		// Busy is here when more than half of all processors is used: with others
		// running as they like, one that is not is stuck.
		limit := Beats
		if (cpu-s.cpu)*2 > time.Duration(s.turns*processors)*interval {
			limit *= BusyFactor
		}
		if s.turns >= limit {
			stuck = append(stuck, p)
		}
		p.Ask()
	}
	m.of = now
	return stuck
}
