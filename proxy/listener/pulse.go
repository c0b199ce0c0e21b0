package listener

import (
	"fmt"

	"github.com/weirproxy/weir/proxy/netio"
)

// Pulses are those of the goroutines that accept; none once accepting has stopped.
func (l *Listener) Pulses() []netio.Pulse {
	if !l.accepting.Load() || l.hasStopped() {
		return nil
	}
	sockets := l.sockets
	if l.stop.TryLock() { // else those elsewhere are just coming or going
		sockets = l.everySocket()
		l.stop.Unlock()
	}
	var out []netio.Pulse
	for _, s := range sockets {
		if s.in.CanAnswer() {
			out = append(out, s)
		}
	}
	return out
}

// Ask implements netio.Pulse. A goroutine that pauses since descriptors are
// missing is alive: it is answered for.
func (s *socket) Ask() {
	if s.pausing.Load() {
		s.paused.Add(1)
		return
	}
	s.in.Ask()
}

// Answers implements netio.Pulse.
func (s *socket) Answers() uint64 { return s.in.Answers() + s.paused.Load() }

// String implements netio.Pulse.
func (s *socket) String() string { return fmt.Sprintf("listener %q, accepting on %s", s.name, s.addr) }
