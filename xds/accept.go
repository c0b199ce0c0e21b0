package xds

import (
	"fmt"
	"strings"
	"time"

	"github.com/weirproxy/weir/config/turn"
)

// finish accepts a response resource by resource: good ones are taken, bad ones keep their last good version. Then it is ACKed,
// or NACKed with every error.
func (s *Session) finish(t *typeState, r *response) {
	t.queue = t.queue[1:]
	var errs []string
	var now turn.Turn
	for i := range r.items {
		now.Pass()
		it := &r.items[i]
		if it.cause = it.err; it.err != nil && r.where != nil {
			it.err = r.where(i, it.err)
		}
		if it.err == nil && !it.skip && it.res != nil {
			switch t.k {
			case ecds:
				it.err = s.misfit(t, it)
			case srds:
				it.err = s.clash(t, r, i)
				it.clashes = it.err != nil
			case rds:
				it.err = s.unanswerable(it)
			}
			if it.cause = it.err; it.err != nil {
				it.todo = false // it may fit another time
			}
		}
		switch {
		case it.skip:
		case it.err == nil:
			s.confirm(t, r, it)
			o := s.take(t, it)
			o.count(Counters{Attempt: 1, Success: 1})
			if !s.sources[r.source].File {
				s.lives(t, o, it.ttl)
			}
		case it.name == "":
			r.partial = true
			errs = append(errs, fmt.Sprintf("resources[%d]: %v", i, it.err))
		default:
			errs = append(errs, s.refuse(t, r, it))
		}
	}
	if t.full && !r.partial && !r.delta {
		s.drop(t, r.seen)
	}
	for _, name := range r.removed {
		s.remove(t, name)
	}
	s.replaced(t, r)
	s.verdict(t, r, errs)
	s.settle()
	if len(t.queue) > 0 {
		s.begin(t, t.queue[0])
	}
}

// take makes a resource the one to serve.
func (s *Session) take(t *typeState, it *item) *slot {
	r := it.res
	o := t.slots[r.Name]
	if o == nil {
		o = &slot{name: r.Name, since: s.now}
		t.slots[r.Name] = o
	}
	if o.want != r || o.live != r || o.bad != nil || o.spare != nil || o.gone || !o.heard {
		t.mark(o) // of a state of the world most are as they were
	}
	o.bad, o.spare, o.gone, o.heard = nil, nil, false, true
	for _, a := range it.aliases {
		if t.pins[a] != nil && a != r.Name {
			t.aliases[a] = r.Name
		}
	}
	if !it.heartbeat {
		o.version = it.version
	}
	if o.want == r {
		return o
	}
	o.restored = false
	if o.want == o.live || r == o.live { // it did not wait before, or no longer has to
		o.since, o.expired, o.waits = s.now, false, ""
	}
	s.changed(t, o, o.want, r)
	o.want = r
	if len(r.Degraded) > 0 {
		s.log(Warn, "%s: fields without effect: %s", quote(t.noun, r.Name), strings.Join(r.Degraded, ", "))
	}
	return o
}

// refuse records a bad resource and gives its part of the NACK.
func (s *Session) refuse(t *typeState, r *response, it *item) string {
	text := it.err.Error()
	o := t.slots[it.name]
	if o == nil {
		o = &slot{name: it.name, since: s.now}
		t.slots[it.name] = o
	}
	lines := strings.Split(text, "\n")
	for i, p := 0, quote(t.noun, it.name); i < len(lines); i++ {
		if !strings.HasPrefix(lines[i], p) {
			lines[i] = p + ": " + lines[i]
		}
	}
	text = strings.Join(lines, "\n")
	o.count(Counters{Attempt: 1, Rejected: 1})
	o.heard = true
	bad := &ResourceError{Version: r.version, At: s.now, Text: text, err: it.cause, nonce: r.nonce}
	if r.delta && it.version != "" {
		bad.Version = it.version
	}
	if it.todo || o.bad != nil && o.bad.err == it.cause { // the latter: known
		bad.raw = it.any.GetValue()
	}
	if o.bad, o.spare = bad, nil; it.clashes {
		o.spare = it.res
	}
	t.mark(o)
	return text
}

// refuses says that the version of some resource that was offered last is not used.
func (t *typeState) refuses() bool {
	for _, o := range t.slots {
		if o.bad != nil {
			return true
		}
	}
	return false
}

// drop removes what a full response no longer lists.
func (s *Session) drop(t *typeState, offered map[string]int) {
	for name, o := range t.slots {
		if _, ok := offered[name]; !ok {
			asked := o.want == nil && !o.gone // it may be on its way
			if s.remove(t, name); asked {
				o.gone = false
			}
		}
	}
}

// remove takes in that the server has no resource of a name. A listener or cluster goes. What others refer to is kept while they do
// (Envoy ignores such removals of endpoints, routes and secrets), and no longer waited for where Envoy does not wait.
func (s *Session) remove(t *typeState, name string) {
	o := t.slots[name]
	if o == nil {
		return
	}
	t.mark(o)
	if o.bad, o.spare = nil, nil; o.want != nil && o.want.Static {
		return
	}
	o.gone, o.heard, o.version, o.dies = true, true, "", time.Time{}
	if (t.full || t.leaves) && o.want != nil {
		s.changed(t, o, o.want, nil)
		o.want, o.since, o.expired, o.waits = nil, s.now, false, ""
	}
}

// The bounds of a NACK's text, in bytes.
const (
	maxDetail = 1 << 20 // in the message: far above any real one, below gRPC's limit of 4 MiB
	maxLogged = 4 << 10 // in the log, once a refused version
)

// bounded joins errors, one a line, and counts those that do not fit. The text is valid UTF-8, as the message must be.
func bounded(errs []string, limit int) string {
	var b strings.Builder
	for i, e := range errs {
		if e = strings.ToValidUTF8(e, "\uFFFD"); i > 0 && b.Len()+len(e) > limit {
			fmt.Fprintf(&b, "\n… and %d more", len(errs)-i)
			break
		}
		if i > 0 {
			b.WriteByte('\n')
		}
		if len(e) > limit {
			e = strings.ToValidUTF8(e[:limit], "") + "…"
		}
		b.WriteString(e)
	}
	return b.String()
}

// verdict decides between ACK and NACK. An answer that another response has overtaken is not sent: the server ignores old nonces.
func (s *Session) verdict(t *typeState, r *response, errs []string) {
	t.heard = true
	if !t.answered {
		t.answered = true
		if t.wild && t.fetch > 0 {
			s.do(StopTimer{fetchTimer(t)})
		}
	}
	s.release(t)
	if !r.delta {
		t.owed = nil
	}
	if r.replay && (len(errs) == 0 || (t.nack != nil && t.nack.Standing)) {
		return // nothing new is said
	}
	c := s.source(r.source)
	answer := !c.File && c.connected && c.epoch == r.epoch && (r.delta || r.nonce == t.nonce && len(t.queue) == 0)
	if len(errs) == 0 {
		t.version = r.version
		t.counters.Success++
		if t.nack != nil {
			t.nack.Standing = r.delta && t.refuses() // a delta response speaks for what it names only
		}
		if answer {
			t.owed = append(t.owed, owed{nonce: r.nonce})
		}
		s.log(Debug, "%s: version %q accepted, %d resources", s.typeWord(t), r.version, len(r.items))
		return
	}
	text := bounded(errs, maxDetail)
	again := t.nack != nil && t.nack.Standing
	if r.delta { // its version is that of the server, and may be anything
		again = again && t.nack.Text == text
	} else {
		again = again && t.nack.Version == r.version
	}
	t.counters.Rejected++
	t.nack = &NACK{Version: r.version, Nonce: r.nonce, At: s.now, Text: text, Standing: true}
	if !again {
		s.log(Error, "%s: version %q refused: %s", s.typeWord(t), r.version, bounded(errs, maxLogged))
	}
	if !answer {
		return
	}
	t.owed = append(t.owed, owed{r.nonce, text})
	if again && s.o.NACKPause > 0 { // a server that pushes the same again at once must not make a loop
		t.held = true
		s.do(StartTimer{nackTimer(t), s.o.NACKPause})
	}
}
