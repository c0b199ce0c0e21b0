package xds

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/weirproxy/weir/config"
	"github.com/weirproxy/weir/config/turn"
	"google.golang.org/protobuf/types/known/anypb"
)

// response is a received response on its way through decoding.
type response struct {
	source  int
	epoch   uint64 // of the stream that brought it
	version string
	nonce   string
	delta   bool           // it tells differences
	removed []string       // by name
	seen    map[string]int // name → place in items
	where   func(i int, err error) error
	partial bool // absence of a name says nothing
	replay  bool // a file's content again, for the sake of names that were not asked for the first time
	items   []item
}

// errTwice marks a name that a response has more than once: neither is taken.
var errTwice = errors.New("listed twice in one response")

// errNames marks a resource whose wrapper has another name.
var errNames = errors.New("two names")

// errBoth marks a name that a response lists and removes: what is there stays.
var errBoth = errors.New("listed and removed in one response")

// item is one resource of a response.
type item struct {
	any       *anypb.Any
	name      string // "" when it cannot be read
	res       *config.Resource
	err       error
	cause     error         // err without lines
	version   string        // of the resource itself, in a delta response
	ttl       time.Duration // its time to live; 0 is for ever
	aliases   []string      // further names it was asked for by
	heartbeat bool          // nothing but the name came: what is there stays
	skip      bool          // not asked for, or told of by another item
	todo      bool          // to be decoded
	clashes   bool          // it is refused for what another has, see clash
}

// received takes in a response. Responses of a type are worked on one after the other.
func (s *Session) received(w Received) {
	if w.Response == nil {
		return
	}
	t, r := s.hear(w.Source, w.Response.GetTypeUrl(), w.Response.GetNonce(), w.Response.GetControlPlane(), false)
	if t == nil {
		return
	}
	r.version, r.where = w.Response.GetVersionInfo(), w.Where
	r.items = make([]item, 0, len(w.Response.GetResources()))
	for _, a := range w.Response.GetResources() {
		r.items = append(r.items, item{any: a})
	}
	s.errorsOf(t, r, w.Response.GetResourceErrors())
	if s.sources[w.Source].File {
		t.file = r
	}
	s.enqueue(t, r)
}

// hear finds out which type a response is of, and begins it. Nil is a response that is not looked at.
func (s *Session) hear(source int, url, nonce string, from *corev3.ControlPlane, delta bool) (*typeState, *response) {
	c := s.source(source)
	if c == nil || (!c.File && !c.connected) || c.Delta != delta {
		return nil, nil
	}
	t := s.served(source).find(url)
	if t == nil {
		s.log(Warn, "%s: response of type %q ignored: not subscribed", c.Name, url)
		return nil, nil
	}
	c.failures = 0
	if id := from.GetIdentifier(); id != "" {
		c.server = id
	}
	if c.File {
		if !c.connected {
			c.since = s.now
		}
		c.connected, c.err = true, ""
	}
	if !c.File && !t.asked {
		s.log(Warn, "%s: %s response ignored: nothing was asked for", c.Name, upper(t.short))
		return nil, nil
	}
	t.nonce = nonce
	t.counters.Attempt++
	return t, &response{source: source, epoch: c.epoch, nonce: nonce, delta: delta}
}

// errorsOf takes in the names that a server says it cannot give, and why. Such a name is as one that was removed.
func (s *Session) errorsOf(t *typeState, r *response, errs []*discoveryv3.ResourceError) {
	for _, e := range errs {
		name := e.GetResourceName().GetName()
		s.log(Warn, "%s: server has no %s %q: %s", s.typeWord(t), t.noun, name, e.GetErrorDetail().GetMessage())
		r.removed = append(r.removed, name)
	}
}

func (s *Session) enqueue(t *typeState, r *response) {
	t.queue = append(t.queue, r)
	if len(t.queue) == 1 {
		s.begin(t, r)
	}
}

// reread takes a file's content once more when names are asked for that were not when it was read: no request can bring them.
func (s *Session) reread(t *typeState) {
	if t.file == nil || len(t.queue) > 0 || slices.Equal(s.interest(t), t.names) {
		return
	}
	again := *t.file
	again.replay = true
	again.items = make([]item, len(t.file.items))
	for i := range again.items {
		if again.items[i].any = t.file.items[i].any; again.items[i].any == nil { // was a heartbeat
			again.items[i].skip = true
		}
	}
	s.enqueue(t, &again)
}

// begin finds out what of a response is new and has that decoded. What is not new costs a comparison of bytes.
func (s *Session) begin(t *typeState, r *response) {
	names := s.interest(t)
	if s.sources[r.source].File {
		t.names = names
	}
	r.seen = make(map[string]int, len(r.items))
	var now turn.Turn
	for i := range r.items {
		now.Pass()
		it := &r.items[i]
		if it.skip {
			continue
		}
		s.look(t, r, i, names)
		if it.err == nil {
			continue
		}
		// What is there under its name stays. Without one, or with two, nothing is said of what is not listed.
		if it.name == "" || errors.Is(it.err, errNames) {
			r.partial = true
		} else if _, listed := r.seen[it.name]; !listed {
			r.seen[it.name] = i
		}
	}
	s.removals(r)
	var todo []*anypb.Any
	var was []*config.Resource
	for i := range r.items {
		if it := &r.items[i]; it.todo {
			todo = append(todo, it.any)
			was = append(was, t.slots[it.name].here())
		}
	}
	if len(todo) == 0 {
		s.finish(t, r)
		return
	}
	s.seq++
	t.seq = s.seq
	s.do(DecodeItems{TypeURL: t.url, Seq: t.seq, Items: todo, Was: was})
}

// here gives what there is of a name, whether or not it serves; nil when there is nothing.
func (o *slot) here() *config.Resource {
	if o == nil {
		return nil
	}
	return o.want
}

// look finds out what one item is: not asked for, wrong, known, or to be decoded.
func (s *Session) look(t *typeState, r *response, i int, names []string) {
	it := &r.items[i]
	if !r.delta {
		it.err = it.unwrap()
	}
	if it.err != nil {
		return
	}
	if it.heartbeat {
		r.partial = true
		if t.k == vhds { // the answer to who asks for one that does not exist
			it.skip = true
			r.removed = append(r.removed, it.name)
		} else if o := t.slots[it.name]; o == nil && !t.wild {
			it.skip = true
		} else if o == nil || o.want == nil {
			it.err = errors.New("heartbeat for a resource that is not here")
		} else {
			it.res = o.want
		}
		return
	}
	if u := it.any.GetTypeUrl(); u != t.url {
		it.err = fmt.Errorf("type is %q, want %q", u, t.url)
		return
	}
	if it.err = it.identify(t); it.err != nil {
		return
	}
	if !t.wild {
		if _, asked := slices.BinarySearch(names, it.name); !asked {
			it.skip = true
			s.log(Debug, "%s: %s %q was not asked for", s.typeWord(t), t.noun, it.name)
			return
		}
	}
	if j, dup := r.seen[it.name]; dup { // one mistake: the first tells it
		r.items[j].err, r.items[j].todo = errTwice, false
		it.skip = true
		return
	}
	r.seen[it.name] = i
	s.known(t, it)
}

// identify finds the name of an item in its bytes. A wrapper must have the same.
func (it *item) identify(t *typeState) error {
	name, err := nameOf(it.any.GetValue())
	if err != nil {
		return err
	}
	wrapper := it.name
	if t.k == vhds && wrapper != "" { // a virtual host's own name is another thing
		return nil
	}
	if o := t.slots[string(name)]; o != nil {
		it.name = o.name
	} else {
		it.name = string(name)
	}
	if wrapper != "" && wrapper != it.name {
		return fmt.Errorf("discovery.v3.Resource: %w: it says %q, the resource %q", errNames, wrapper, it.name)
	}
	return nil
}

// removals refuses what a response both lists and removes.
func (s *Session) removals(r *response) {
	r.removed = slices.DeleteFunc(r.removed, func(name string) bool {
		i, listed := r.seen[name]
		if listed {
			r.items[i].err, r.items[i].todo = errBoth, false
		}
		return listed
	})
}

// known answers for an item without decoding it, if it can.
func (s *Session) known(t *typeState, it *item) {
	o := t.slots[it.name]
	switch {
	case o == nil:
		it.todo = true
	case o.want != nil && o.want.Static:
		it.err = fmt.Errorf("a static %s has this name", t.noun)
	case same(o.want, it.any):
		it.res = o.want
	case same(o.live, it.any): // taken back before it could change anything
		it.res = o.live
	case t.k == sds: // what it names on disk may have changed
		it.todo = true
	case o.bad != nil && o.bad.raw != nil && bytes.Equal(o.bad.raw, it.any.GetValue()):
		it.err = o.bad.err
	default:
		it.todo = true
	}
}

// same says that r was decoded from these bytes.
func same(r *config.Resource, a *anypb.Any) bool {
	return r != nil && bytes.Equal(r.Raw.GetValue(), a.GetValue())
}

// decoded takes the results of a DecodeItems.
func (s *Session) decoded(w Decoded) {
	i := slices.IndexFunc(s.types, func(t *typeState) bool {
		return t.url == w.TypeURL && t.seq == w.Seq && len(t.queue) > 0
	})
	if i < 0 {
		return
	}
	t, r, n := s.types[i], s.types[i].queue[0], 0
	for i := range r.items {
		it := &r.items[i]
		if !it.todo {
			continue
		}
		if n >= len(w.Results) {
			it.err = fmt.Errorf("not decoded")
			continue
		}
		res, err := w.Results[n].Resource, w.Results[n].Err
		n++
		switch {
		case err != nil:
			it.err = err
		case res == nil:
			it.err = fmt.Errorf("not decoded")
		case t.k != vhds && res.Name != it.name:
			it.err = fmt.Errorf("decoded under the name %q", res.Name)
		default:
			if res.Version, res.Static = r.version, false; r.delta {
				res.Version = it.version
			}
			if it.ttl > 0 && s.sources[r.source].File {
				res.Degraded = append(res.Degraded, "ttl: what a file holds does not expire")
			}
			if res.Raw == nil {
				res.Raw = it.any
			}
			res.Name, it.res = it.name, res
		}
	}
	s.finish(t, r)
}

// fileFailed keeps what a file held before.
func (s *Session) fileFailed(w FileFailed) {
	c := s.source(w.Source)
	if c == nil || w.Err == nil {
		return
	}
	if c.connected {
		c.since = s.now
	}
	c.connected, c.err = false, w.Err.Error()
	s.log(Error, "%s: %v", c.Name, w.Err)
	for _, t := range s.served(w.Source) {
		t.counters.Attempt++
		t.fail()
		t.nack = &NACK{At: s.now, Text: w.Err.Error(), Standing: true}
		if t.k == cds && !t.answered {
			t.answered = true
			if t.fetch > 0 {
				s.do(StopTimer{fetchTimer(t)})
			}
		}
	}
	s.settle()
}
