package outlier

import (
	"time"

	"github.com/weirproxy/weir/config/cluster"
)

// A Detector decides for the hosts of one cluster. It is not safe for concurrent
// use: Step is called under its owner's lock.
type Detector struct {
	cfg    *cluster.Outlier // nil: detection is off
	hosts  []*Monitor
	active int // ejected hosts
}

// Kind is what happened.
type Kind uint8

// The kinds of event.
const (
	Configure Kind = iota // Config is in force from now on; nil turns detection off
	Add                   // Host joins the cluster
	Remove                // Host leaves
	Tripped               // Host reached the thresholds in Cause; Draw decides on enforcement
	Tick                  // the interval has passed
	Recovered             // Host passed an active health check
)

// An Event is one input.
type Event struct {
	Kind   Kind
	Host   *Monitor
	Cause  Cause
	Draw   uint32 // uniformly random in 0–99
	Config *cluster.Outlier
}

// Verb is what is to be done or counted.
type Verb uint8

// The verbs.
const (
	Detected Verb = iota // count a detection
	Eject                // take the host out; count an enforced ejection
	Overflow             // count: max_ejection_percent forbids it
	Uneject              // let the host back in
)

// An Action is one output.
type Action struct {
	Verb  Verb
	Host  *Monitor
	Cause Cause
}

// Active is the number of hosts that are ejected.
func (d *Detector) Active() int { return d.active }

// Ejections tells how often the host was ejected, and since when it is; zero when
// it is not.
func (m *Monitor) Ejections() (times uint64, since time.Time) {
	if !m.ejected {
		return m.times, time.Time{}
	}
	return m.times, m.since
}

// Step takes one event and says what follows from it.
func (d *Detector) Step(now time.Time, ev Event) []Action {
	switch ev.Kind {
	case Configure:
		d.cfg = ev.Config
		if d.cfg == nil {
			return d.unejectAll()
		}
	case Add:
		if !ev.Host.known {
			ev.Host.known, ev.Host.at = true, len(d.hosts)
			d.hosts = append(d.hosts, ev.Host)
		}
	case Remove:
		d.remove(ev.Host)
	case Tripped:
		return d.tripped(now, ev)
	case Tick:
		return d.tick(now)
	case Recovered:
		if d.cfg != nil && !d.cfg.KeepEjected && ev.Host.ejected {
			return []Action{d.uneject(ev.Host)}
		}
	}
	return nil
}

func (d *Detector) remove(m *Monitor) {
	if n := len(d.hosts) - 1; m.known { // the last one takes its place
		last := d.hosts[n]
		d.hosts[m.at], last.at = last, m.at
		d.hosts[n] = nil
		d.hosts = d.hosts[:n]
	}
	m.known = false
	if m.ejected {
		m.ejected = false
		d.active--
	}
}

func (d *Detector) tripped(now time.Time, ev Event) (out []Action) {
	m := ev.Host
	for _, c := range [...]Cause{Gateway, Server, Local} {
		// An ejection by another cause, or news of a host that has left, is no news.
		if ev.Cause&c == 0 || d.cfg == nil || !m.known || m.ejected {
			continue
		}
		out = append(out, Action{Detected, m, c})
		switch {
		case !d.mayEject():
			out = append(out, Action{Overflow, m, c})
		case ev.Draw < d.enforcing(c):
			d.eject(m, now)
			out = append(out, Action{Eject, m, c})
		}
		// Whatever was decided, the next threshold is a whole row away.
		switch c {
		case Gateway:
			m.gateway.Store(0)
		case Server:
			m.server.Store(0)
		case Local:
			m.local.Store(0)
		}
	}
	return out
}

func (d *Detector) enforcing(c Cause) uint32 {
	switch c {
	case Gateway:
		return d.cfg.EnforcingConsecutiveGateway
	case Server:
		return d.cfg.EnforcingConsecutive5xx
	}
	return d.cfg.EnforcingConsecutiveLocal
}

// mayEject tells whether one more host may go. The share of ejected hosts must not
// pass max_ejection_percent; always_eject_one_host allows the first one all the
// same. Without it the only host of a cluster stays, whatever the percentage:
// ejecting it helps nobody.
func (d *Detector) mayEject() bool {
	if d.active == 0 && d.cfg.AlwaysEjectOne {
		return true
	}
	if len(d.hosts) == 1 {
		return false
	}
	return (d.active+1)*100 <= int(min(d.cfg.MaxEjectionPercent, 100))*len(d.hosts)
}

func (d *Detector) eject(m *Monitor, now time.Time) {
	m.ejected, m.since = true, now
	m.times++
	d.active++
	// The time grows with every ejection, until it passes the maximum.
	if time.Duration(m.backoff)*d.cfg.BaseEjection < d.max()+d.cfg.BaseEjection {
		m.backoff++
	}
}

// max is max_ejection_time, but never below the base.
func (d *Detector) max() time.Duration { return max(d.cfg.MaxEjection, d.cfg.BaseEjection) }

// tick lets hosts back in whose time is over. For those that stayed in since the
// last tick, the next ejection is shorter again.
func (d *Detector) tick(now time.Time) (out []Action) {
	if d.cfg == nil {
		return nil
	}
	for _, m := range d.hosts {
		if !m.ejected {
			if m.backoff > 0 {
				m.backoff--
			}
			continue
		}
		if now.Sub(m.since) >= min(time.Duration(m.backoff)*d.cfg.BaseEjection, d.max()) {
			out = append(out, d.uneject(m))
		}
	}
	return out
}

func (d *Detector) uneject(m *Monitor) Action {
	m.ejected = false
	d.active--
	m.reset()
	return Action{Uneject, m, 0}
}

func (d *Detector) unejectAll() (out []Action) {
	for _, m := range d.hosts {
		if m.ejected {
			out = append(out, d.uneject(m))
		}
		m.backoff = 0
	}
	return out
}
