package listener

import (
	"errors"
	"io"
	"os"
	"time"

	"go.uber.org/zap"

	config "github.com/weirproxy/weir/config/listener"
	"github.com/weirproxy/weir/filters"
	"github.com/weirproxy/weir/proxy/info"
)

// A Closer is an inspection that counts connections whose client finished, or was
// waited for too long, before it was done.
type Closer interface {
	// Closed is called instead of a further Inspect; it says what err is, io.EOF
	// or os.ErrDeadlineExceeded.
	Closed(c *info.Conn, err error)
}

// A Requirer is an inspection without whose result a connection must not go on: a
// server-first port is no reason to skip it, nor is it passed over when its bytes
// do not come.
type Requirer interface {
	Required() bool
}

// What info.Conn.SniffNote says of connections that were not inspected to the end.
const (
	noteTimeout     = "timeout"
	noteClosed      = "closed"
	noteServerFirst = "server_first"
)

// inspect runs the listener filters; false says that the connection is refused.
func (l *Listener) inspect(s *session) bool {
	if len(s.g.filters) == 0 && s.g.m.Sniffing.Postgres == config.PostgresOff {
		return true
	}
	l.stats.PreCxActive.Inc()
	defer l.stats.PreCxActive.Dec()
	p := peeker{l: l, s: s}
	defer p.disarm()
	for i := range s.g.filters {
		p.at = i
		if i == s.g.lookers && !p.postgres() {
			return false
		}
		if p.found {
			return true // TLS and HTTP it is not
		}
		f := &s.g.filters[i]
		if f.disabledFor.Matches(&s.Info) {
			continue
		}
		lf := f.get()
		if lf == nil {
			l.stats.ConfigMissing.Inc()
			s.Info.Flags |= info.NoFilterConfig
			s.Info.Details = "listener_filter_config_missing"
			return false
		}
		in := lf.NewInspection(s.Conn)
		if in == nil {
			continue
		}
		if !p.run(in) {
			return false
		}
	}
	p.at = len(s.g.filters)
	return s.g.lookers < p.at || p.postgres()
}

// A peeker shows a connection's first bytes to its listener filters.
type peeker struct {
	l     *Listener
	s     *session
	until time.Time // when the filters' time is up; zero is never
	armed bool      // the read deadline was set
	over  error     // why no more bytes are waited for

	// Who speaks first (first.go).
	at      int       // which listener filter is at work
	planned bool      // plan was called
	skip    bool      // the client is not waited for
	found   bool      // PostgreSQL was recognised (postgres.go)
	known   bool      // the server is known to speak first, or its port is
	dialAt  time.Time // when the destination is to be connected to; zero: not, or it is
}

// run shows the bytes to one inspection until it is done.
func (p *peeker) run(in filters.Inspection) bool {
	s := p.s
	for {
		need, consume, err := in.Inspect(s.In.Bytes(), &s.Info)
		switch {
		case need == filters.Done:
			s.In.Consume(min(consume, s.In.Len()))
			if err != nil && s.Info.SniffNote == "" {
				s.Info.SniffNote = err.Error()
			}
			return true
		case need < 0:
			return p.refuse(err)
		}
		if err := p.more(in); err != nil {
			return p.without(in, err)
		}
	}
}

// more waits for more bytes.
func (p *peeker) more(in filters.Inspection) error {
	if p.over != nil {
		return p.over
	}
	if !p.planned && p.s.In.Len() == 0 && !required(in) {
		p.planned = true
		if err := p.plan(); err != nil {
			return err
		}
	}
	if p.skip && p.s.In.Len() == 0 && !required(in) {
		return errServerFirst
	}
	if err := p.arm(); err != nil {
		return err
	}
	for {
		_, err := p.s.ReadBuf(&p.s.In)
		again := false
		if err, again = p.after(err); !again {
			p.over = err
			return err
		}
	}
}

// arm sets the read deadline, once.
func (p *peeker) arm() error {
	if d := p.s.g.m.FiltersTimeout; d > 0 && p.until.IsZero() {
		p.until = p.s.started.Add(d)
	}
	if p.armed || p.until.IsZero() && p.dialAt.IsZero() {
		return nil
	}
	p.armed = true
	at := p.until
	if !p.dialAt.IsZero() && (at.IsZero() || p.dialAt.Before(at)) {
		at = p.dialAt
	}
	return p.s.SetReadDeadline(at)
}

var errServerFirst = errors.New("the server speaks first")

// without decides what becomes of a connection whose bytes do not come.
func (p *peeker) without(in filters.Inspection, err error) bool {
	s, st := p.s, p.l.stats
	if err == errServerFirst {
		if s.Info.SniffNote != noteServerFirst { // once a connection, not once a filter
			st.ServerFirst.Inc()
			s.Info.SniffNote = noteServerFirst
		}
		return true
	}
	timeout := errors.Is(err, os.ErrDeadlineExceeded)
	if timeout && p.known && s.In.Len() == 0 && s.Info.FirstSpeaker == "" && !required(in) {
		// Neither has spoken, on a port where clients wait: that is no failure.
		s.Info.SniffNote = noteTimeout
		return true
	}
	if (timeout || err == io.EOF) && s.Info.SniffNote == "" {
		if c, ok := in.(Closer); ok {
			c.Closed(&s.Info, err)
		}
		if timeout {
			st.PreCxTimeout.Inc()
			s.Info.SniffNote = noteTimeout
		} else {
			st.FilterRemoteClose.Inc()
			s.Info.SniffNote = noteClosed
		}
	}
	switch {
	case required(in):
		return p.refuse(err)
	case timeout:
		if !s.g.m.ContinueOnTimeout {
			s.Info.Details = "listener_filters_timeout"
		}
		return s.g.m.ContinueOnTimeout
	case err == io.EOF:
		// A client that only listens; or one that sent all it has.
		return true
	}
	return false // reset, or closed by us
}

// refuse ends a connection that a listener filter does not want.
func (p *peeker) refuse(err error) bool {
	s, l := p.s, p.l
	l.stats.FilterError.Inc()
	s.Info.Details = "listener_filter_closed"
	if err != nil {
		s.Info.SniffNote = err.Error()
		l.log.Debug("listener filter", zap.Uint64("connection", s.Info.ID), zap.Error(err))
	}
	return false
}

// disarm takes the read deadline back.
func (p *peeker) disarm() {
	if p.armed {
		_ = p.s.SetReadDeadline(time.Time{}) // closed meanwhile: the next read says so
	}
}

func required(in filters.Inspection) bool {
	r, ok := in.(Requirer)
	return ok && r.Required()
}
