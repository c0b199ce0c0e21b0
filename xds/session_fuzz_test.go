package xds

import (
	"bytes"
	"encoding/binary"
	"errors"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/weirproxy/weir/config"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
)

// FuzzSession gives a session anything a server may send, in any order with what else may happen, and holds it to what must be true
// at all times. The input is a list of events: one byte says what, two give the length of a response, then the response.
func FuzzSession(f *testing.F) {
	for _, s := range fuzzSeeds() {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		newProbe(t, false).run(in)
		newProbe(t, true).run(in)
	})
}

// TestSessionAtRandom is the same with responses that are mostly right, so that it gets further into warming and removal.
func TestSessionAtRandom(t *testing.T) {
	for seed := range uint64(400) {
		r := rand.New(rand.NewPCG(seed, 1))
		p := newProbe(t, seed%2 == 1)
		for range 60 {
			p.do(byte(r.IntN(256)), randomResponse(r))
		}
		p.settles()
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

// settles: whatever happened before, when the server says clearly what there is and time passes, that is what serves, and nothing
// waits any more.
func (p *probe) settles() {
	p.step(Connected{})
	say := func(k kind, lines ...string) {
		r := &discoveryv3.DiscoveryResponse{TypeUrl: rows[k].url, VersionInfo: "last", Nonce: "last"}
		for _, l := range lines {
			pos, kv := split(fields(l))
			kv["rev"] = "last"
			r.Resources = append(r.Resources, fakeAny(rows[k].url, pos[0], nil, kv))
		}
		p.receive(0, r, true)
	}
	say(cds, "b eds=b", "c", "d eds=never")
	say(eds, "b")
	say(lds, "b rds=b uses=c", "c uses=d", "d rds=never")
	say(rds, "b uses=d")
	for range 4 {
		p.now = p.now.Add(20 * time.Second)
		for id := range p.timers {
			p.step(TimerFired{id})
		}
	}
	for what, m := range map[string]map[string]*config.Resource{
		"a b c d": p.snap.Clusters, "b": p.snap.Endpoints, "b c d": p.snap.Listeners, " b": p.snap.Routes,
	} {
		if got := strings.Join(slices.Sorted(maps.Keys(m)), " "); got != strings.TrimSpace(what) {
			p.t.Errorf("in the end %q serve, want %q", got, what)
		}
		for name, r := range m {
			if r.Version != "last" && !r.Static {
				p.t.Errorf("in the end %q serves version %q", name, r.Version)
			}
		}
	}
	if st := p.s.Status(); len(st.Warming) > 0 || !st.Ready {
		p.t.Errorf("in the end these wait: %+v", st.Warming)
	}
}

func fuzzSeeds() [][]byte {
	r := rand.New(rand.NewPCG(7, 7))
	var out [][]byte
	for range 8 {
		var in []byte
		for range 12 {
			b, _ := proto.Marshal(randomResponse(r))
			in = append(in, byte(r.IntN(256)))
			in = binary.BigEndian.AppendUint16(in, uint16(len(b)))
			in = append(in, b...)
		}
		out = append(out, in)
	}
	return out
}

// randomResponse makes a response of a few names, so that they meet.
func randomResponse(r *rand.Rand) *discoveryv3.DiscoveryResponse {
	k := kind(r.IntN(int(kinds)))
	name := func() string { return string("abcd"[r.IntN(4)]) }
	resp := &discoveryv3.DiscoveryResponse{
		TypeUrl: rows[k].url, VersionInfo: string("123"[r.IntN(3)]), Nonce: string("xyz"[r.IntN(3)]),
	}
	for _, n := range "abcd" {
		if r.IntN(3) == 0 {
			continue
		}
		kv := map[string]string{"rev": string("12"[r.IntN(2)])}
		switch k {
		case cds:
			if r.IntN(2) == 0 {
				kv["eds"] = name()
			}
			if r.IntN(4) == 0 {
				kv["sds"] = name()
			}
		case lds:
			if r.IntN(3) == 0 {
				kv["sds"] = name() + []string{"", "@/f", "@agent", "@static"}[r.IntN(4)]
			}
			if r.IntN(2) == 0 {
				kv["rds"] = name()
			}
			if r.IntN(3) == 0 {
				kv["srds"] = "*" + []string{"", ">agent", ">/f", "@agent>/f"}[r.IntN(4)]
			}
			kv["uses"] = name()
		case srds:
			kv["scope"], kv["rds"] = name(), name()
		case rds:
			kv["uses"] = name()
		}
		if r.IntN(8) == 0 {
			kv["bad"] = "no"
		}
		resp.Resources = append(resp.Resources, fakeAny(rows[k].url, string(n), nil, kv))
	}
	return resp
}

// probe is a session whose every step is checked.
type probe struct {
	steps    int
	t        *testing.T
	s        *Session
	now      time.Time
	timers   map[string]time.Duration
	snap     *config.Snapshot
	accepted map[string]string // version by type, as the server sees it
	opened   []int             // sources that references name
	delta    bool              // the main source speaks the incremental protocol
	nonces   int
	answers  map[string]int // by nonce: requests with it
	refusals map[string]int // by nonce: NACKs
}

func newProbe(t *testing.T, delta bool) *probe {
	st := fakeAny(ClusterType, "a", nil, nil)
	static, err := fakeDecode(ClusterType, st)
	if err != nil {
		t.Fatal(err)
	}
	static.Static = true
	src := Source{Name: "ads", Delta: delta}
	for _, r := range rows {
		src.Types = append(src.Types, SourceType{TypeURL: r.url})
	}
	p := &probe{
		t: t, now: epoch, timers: map[string]time.Duration{}, snap: &config.Snapshot{}, accepted: map[string]string{},
		delta: delta, answers: map[string]int{}, refusals: map[string]int{},
	}
	p.s = NewSession(SessionOptions{Sources: []Source{src}, Static: []*config.Resource{static}})
	p.step(Started{})
	p.step(Connected{})
	return p
}

func (p *probe) run(in []byte) {
	for len(in) >= 3 {
		n := min(int(binary.BigEndian.Uint16(in[1:])), len(in)-3)
		r := &discoveryv3.DiscoveryResponse{}
		if proto.Unmarshal(in[3:3+n], r) != nil {
			r = &discoveryv3.DiscoveryResponse{TypeUrl: rows[in[0]%byte(kinds)].url, Resources: []*anypb.Any{
				{TypeUrl: rows[in[0]%byte(kinds)].url, Value: in[3 : 3+n]}, nil,
			}}
		}
		p.do(in[0], r)
		in = in[3+n:]
	}
}

func (p *probe) do(op byte, r *discoveryv3.DiscoveryResponse) {
	switch {
	case op < 12:
		p.step(StreamLost{Err: errors.New("reset"), Jitter: float64(op) / 10})
	case op < 24:
		p.step(Connected{})
	case op < 30:
		p.step(FileFailed{Err: errors.New("gone")})
	case op < 40:
		p.step(Decoded{TypeURL: r.GetTypeUrl(), Seq: uint64(op)})
	case op < 50 && len(p.opened) > 0:
		if r.TypeUrl != ScopeType && r.TypeUrl != RouteType {
			r.TypeUrl = SecretType
		}
		p.receive(p.opened[int(op)%len(p.opened)], r, false)
	case op < 80:
		p.now = p.now.Add(time.Duration(op) * 100 * time.Millisecond)
		for id := range p.timers {
			p.step(TimerFired{id})
		}
	default:
		p.receive(0, r, op%3 == 0)
	}
}

// receive gives a response to the session, in the words of its protocol; with all it says that what it lacks is gone. It is answered
// once, at once or after a pause, and what it refuses stays as it was.
func (p *probe) receive(source int, r *discoveryv3.DiscoveryResponse, all bool) {
	p.nonces++
	r.Nonce = strconv.Itoa(p.nonces)
	before := map[*slot]*config.Resource{}
	for _, t := range p.s.types {
		for _, o := range t.slots {
			before[o] = o.want
		}
	}
	if c := p.s.source(source); c != nil && c.Delta {
		p.step(ReceivedDelta{Source: source, Response: deltaOf(r, all)})
	} else {
		p.step(Received{Source: source, Response: r})
	}
	for _, t := range p.s.types {
		for _, o := range t.slots {
			if was := before[o]; was != nil && o.want != was && o.bad != nil && o.bad.At.Equal(p.now) && o.bad.nonce == r.Nonce {
				p.t.Errorf("%s %q was refused, and what was there before is gone", t.short, o.name)
			}
		}
		if t.nonce != r.Nonce || p.answers[r.Nonce] > 0 || t.held {
			continue
		}
		if c := p.s.sources[t.source]; c.connected && !c.File {
			p.t.Errorf("%s response is not answered", t.short)
		}
	}
}

// deltaOf makes a delta response of one that tells the state of the world.
func deltaOf(r *discoveryv3.DiscoveryResponse, all bool) *discoveryv3.DeltaDiscoveryResponse {
	d := &discoveryv3.DeltaDiscoveryResponse{SystemVersionInfo: r.VersionInfo, TypeUrl: r.TypeUrl, Nonce: r.Nonce, ControlPlane: r.ControlPlane}
	names := map[string]bool{}
	for _, a := range r.Resources {
		name, _ := nameOf(a.GetValue())
		names[string(name)] = true
		d.Resources = append(d.Resources, &discoveryv3.Resource{Name: string(name), Version: r.VersionInfo, Resource: a})
	}
	for _, n := range "abcd" {
		if all && !names[string(n)] {
			d.RemovedResources = append(d.RemovedResources, string(n))
		}
	}
	d.ResourceErrors = r.ResourceErrors
	return d
}

func (p *probe) step(h Happening) {
	actions := p.s.Step(Event{p.now, h})
	if p.steps++; p.steps%3 == 0 { // not every time: it may repair what is wrong
		more, err := p.s.recheck()
		if actions = append(actions, more...); err != nil {
			p.t.Errorf("not all that changed was looked at after %T: %v", h, err)
		}
	}
	for _, a := range actions {
		switch a := a.(type) {
		case DecodeItems:
			p.step(Decoded{a.TypeURL, a.Seq, Decode(fakeDecode).all(a.TypeURL, a.Items)})
		case Publish:
			p.published(a.Snapshot)
		case Send:
			if a.Source == 0 {
				p.sent(a.Request)
			}
			p.answered(a.Request.ResponseNonce, a.Request.ErrorDetail != nil)
		case SendDelta:
			n := a.Request.ResponseNonce
			if p.answered(n, a.Request.ErrorDetail != nil); n != "" && p.answers[n] > 1 {
				p.t.Errorf("nonce %s is answered %d times", n, p.answers[n])
			}
		case Open:
			p.opened = append(p.opened, a.Source)
		case Connect:
			if slices.Contains(p.opened, a.Source) {
				p.step(Connected(a))
			}
		case Close:
			p.opened = slices.DeleteFunc(p.opened, func(i int) bool { return i == a.Source })
		case StartTimer:
			p.timers[a.ID] = a.After
		case StopTimer:
			delete(p.timers, a.ID)
		}
	}
	_ = p.s.Status()
}

// answered: a response is refused once at most. (A later request with its nonce changes the subscription.)
func (p *probe) answered(nonce string, refused bool) {
	p.answers[nonce]++
	if refused {
		p.refusals[nonce]++
	}
	if p.refusals[nonce] > 1 {
		p.t.Errorf("nonce %s is refused %d times", nonce, p.refusals[nonce])
	}
}

// sent: a NACK names the version that was accepted before, an ACK may change it.
func (p *probe) sent(r *discoveryv3.DiscoveryRequest) {
	if r.ErrorDetail != nil && r.VersionInfo != p.accepted[r.TypeUrl] {
		p.t.Errorf("NACK of %s has version %q, accepted was %q", r.TypeUrl, r.VersionInfo, p.accepted[r.TypeUrl])
	}
	if r.ErrorDetail != nil && r.ErrorDetail.Message == "" {
		p.t.Error("NACK without a text")
	}
	p.accepted[r.TypeUrl] = r.VersionInfo
}

// published: versions count, names fit, nothing is there that nothing refers to, and equal bytes are the same object.
func (p *probe) published(s *config.Snapshot) {
	if s.Version != p.snap.Version+1 {
		p.t.Errorf("snapshot %d after %d", s.Version, p.snap.Version)
	}
	refs := func(m map[string]*config.Resource) map[string]bool {
		out := map[string]bool{}
		for _, r := range m {
			for _, ref := range r.Refs {
				out[ref.TypeURL+ref.Name] = true
			}
		}
		return out
	}
	used := refs(s.Clusters)
	for n := range s.Endpoints {
		if !used[EndpointType+n] {
			p.t.Errorf("snapshot %d: endpoints %q serve nothing", s.Version, n)
		}
	}
	both := refs(s.Clusters)
	maps.Copy(both, refs(s.Listeners))
	for n := range s.Secrets {
		if name, _, _ := strings.Cut(n, " from "); !both[SecretType+name] {
			p.t.Errorf("snapshot %d: secret %q serves nothing", s.Version, n)
		}
	}
	used = refs(s.Listeners)
	maps.Copy(used, refs(s.Scopes))
	for n := range s.Routes {
		if name, _, _ := strings.Cut(n, " from "); !used[RouteType+name] {
			p.t.Errorf("snapshot %d: route %q serves nothing", s.Version, n)
		}
	}
	if s.Clusters["a"] == nil || !s.Clusters["a"].Static {
		p.t.Errorf("snapshot %d: the static cluster is gone", s.Version)
	}
	for _, m := range [][2]map[string]*config.Resource{
		{s.Clusters, p.snap.Clusters},
		{s.Endpoints, p.snap.Endpoints},
		{s.Listeners, p.snap.Listeners},
		{s.Routes, p.snap.Routes},
		{s.Secrets, p.snap.Secrets},
	} {
		for name, r := range m[0] {
			if name, _, _ := strings.Cut(name, " from "); r == nil || r.Name != name {
				p.t.Fatalf("snapshot %d: %q holds %v", s.Version, name, r)
			}
			if old := m[1][name]; old != nil && old != r && bytes.Equal(old.Raw.GetValue(), r.Raw.GetValue()) {
				p.t.Errorf("snapshot %d: %q is another object with the same bytes", s.Version, name)
			}
		}
	}
	p.snap = s
}
