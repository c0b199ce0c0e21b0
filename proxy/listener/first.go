package listener

import (
	"errors"
	"os"
	"time"

	"github.com/weirproxy/weir/filters"
	"github.com/weirproxy/weir/proxy/sniff"
)

// Who spoke first (info.Conn.FirstSpeaker).
const (
	firstClient = "client"
	firstServer = "server"
)

// plan decides, when nothing came from the client yet, what is done while it is waited for.
func (p *peeker) plan() error {
	l, s := p.l, p.s
	if !s.Info.Dest.IsValid() {
		return nil
	}
	port := sniff.ServerFirstPort(s.Info.Dest.Port())
	p.known = port || l.o.Speakers.SpeaksFirst(s.Info.Dest, time.Now())
	may, delay := l.mayRace(s, p.at), s.g.m.Sniffing.ServerFirst.Delay
	if may && !p.known && delay > 0 {
		p.dialAt, p.armed = s.started.Add(delay), false // which comes before the deadline that may be set
		return nil
	}
	if may {
		if err := p.arm(); err != nil { // before the server can speak
			return err
		}
		p.race()
	}
	p.known = p.known && s.Ahead != nil
	p.skip = port && s.Ahead == nil
	return nil
}

// after decides what a read of the client's bytes means that ended with err; again: read once more.
func (p *peeker) after(err error) (_ error, again bool) {
	s := p.s
	timeout := errors.Is(err, os.ErrDeadlineExceeded)
	switch {
	case timeout && s.Ahead != nil && s.Ahead.Spoke():
		if s.Info.FirstSpeaker == "" {
			return p.serverSpoke(), false
		}
	case timeout && !p.dialAt.IsZero() && (p.until.IsZero() || time.Now().Before(p.until)):
		// The deadline was that of the dialling. It is set anew first: the server may speak at any time from then on.
		p.dialAt = time.Time{}
		if err := s.SetReadDeadline(p.until); err != nil {
			return err, false
		}
		if s.In.Len() == 0 {
			p.race()
		}
		return nil, true
	}
	if s.Ahead != nil && s.Info.FirstSpeaker == "" {
		s.Ahead.Settle()
		if err == nil {
			s.Info.FirstSpeaker = firstClient
			p.l.o.Speakers.Client(s.Info.Dest)
			err = s.SetReadDeadline(p.until) // the server may have ended it at the last moment
		}
	}
	return err, false
}

// serverSpoke records that the server was the first to speak.
func (p *peeker) serverSpoke() error {
	s := p.s
	s.Ahead.Settle()
	s.Info.FirstSpeaker = firstServer
	if said := s.Ahead.Said(); len(said) > 0 {
		s.Info.ServerProtocol = sniff.ServerLabel(said)
		p.l.o.Speakers.Server(s.Info.Dest, s.Info.ServerProtocol, time.Now())
	}
	return errServerFirst
}

// mayRace tells whether the original destination may be connected to while the client is silent, as far as can be told at no
// cost: the destination is one that the client chose, no listener filter is to come that changes where the connection goes, and the
// connection does not take the client's own port.
func (l *Listener) mayRace(s *session, at int) bool {
	if s.g.m.Sniffing.ServerFirst.Off || at < s.g.lookers {
		return false
	}
	i := &s.Info
	return (i.Intercepted || i.DestRestored) && !i.SpoofPort // a port that one connection has is not the next one's
}

// race connects to the original destination, if that is where a client that says nothing goes.
func (p *peeker) race() {
	s := p.s
	o := p.l.opener(s)
	if o == nil {
		return
	}
	a := o.OpenAhead(s.Conn, func() { _ = s.raw.SetReadDeadline(time.Unix(1, 0)) })
	if a == nil {
		return
	}
	p.l.stats.Ahead.Inc()
	s.Ahead, p.armed = a, true // the waking is a deadline too
}

// opener gives the filter that would serve a client that says nothing, when nothing has to be asked before it connects.
func (l *Listener) opener(s *session) filters.AheadOpener {
	if s.g.m.UseOriginalDst && !s.given && l.o.Find != nil && l.o.Find(s.Info.Dest) != nil {
		return nil // another listener serves it
	}
	m := s.g.m.Selector.Select(&s.Info, nil)
	if m == nil || l.o.OwnListeners != nil && !named(m, s.Info.Dest) && ours(l.o.OwnListeners(), s.Info.Dest, s.at.ns) {
		return nil
	}
	c := s.g.chains[m]
	n := c.now.Load()
	if n.missing || c.tls != nil || len(n.admission)+len(n.filters) > 0 {
		return nil
	}
	o, _ := n.terminal.(filters.AheadOpener)
	return o
}
