package xds_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"strconv"
	"testing"
	"time"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/weirproxy/weir/config"
	"github.com/weirproxy/weir/xds"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
)

// FuzzConversation gives a session and the real decoder responses of both protocols as bytes from the wire, with lost streams and time
// between them. The input is a list of events: one byte says what, two give the length of a response, then the response.
func FuzzConversation(f *testing.F) {
	for _, s := range conversations(f) {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		for _, delta := range []bool{false, true} {
			newTalk(t, delta).run(in)
		}
	})
}

// conversations are seeds: a world that comes, changes, is refused in part, and goes.
func conversations(f *testing.F) (seeds [][]byte) {
	for _, delta := range []bool{false, true} {
		var in []byte
		say := func(url, version string, removed []string, ms ...proto.Message) {
			var m proto.Message
			if delta {
				d := &discoveryv3.DeltaDiscoveryResponse{SystemVersionInfo: version, TypeUrl: url, RemovedResources: removed}
				for _, r := range ms {
					a := pack(f, r)
					d.Resources = append(d.Resources, &discoveryv3.Resource{Version: version, Resource: a})
				}
				m = d
			} else {
				d := &discoveryv3.DiscoveryResponse{VersionInfo: version, TypeUrl: url}
				for _, r := range ms {
					d.Resources = append(d.Resources, pack(f, r))
				}
				m = d
			}
			b, err := proto.Marshal(m)
			if err != nil {
				f.Fatal(err)
			}
			in = binary.BigEndian.AppendUint16(append(in, 200), uint16(len(b)))
			in = append(in, b...)
		}
		say(xds.ClusterType, "1", nil, edsCluster("a"), edsCluster("b"))
		say(xds.EndpointType, "1", nil, assignment("a", 80), assignment("b", 80, 81))
		say(xds.ListenerType, "1", nil, rdsListener(f, "in", "r"))
		say(xds.RouteType, "1", nil, routeTo("r", "a"))
		say(xds.ClusterType, "2", nil, badCluster("a"), edsCluster("c"))
		in = append(in, 1, 0, 0, 30, 0, 0)
		say(xds.RouteType, "2", []string{"r"}, routeTo("r", "c"))
		say(xds.ClusterType, "3", []string{"a", "b"}, edsCluster("c"))
		say(xds.EndpointType, "2", []string{"c"}, assignment("c", 82))
		seeds = append(seeds, in)
	}
	return seeds
}

func pack(f *testing.F, m proto.Message) *anypb.Any {
	a, err := anypb.New(m)
	if err != nil {
		f.Fatal(err)
	}
	return a
}

// talk is a session whose answers and snapshots are held to what must be true.
type talk struct {
	t        *testing.T
	s        *xds.Session
	delta    bool
	now      time.Time
	timers   map[string]bool
	snap     *config.Snapshot
	nonce    int
	answered map[string]int // by nonce
}

func newTalk(t *testing.T, delta bool) *talk {
	k := &talk{
		t: t, delta: delta, now: time.Unix(0, 0), timers: map[string]bool{}, snap: &config.Snapshot{}, answered: map[string]int{},
	}
	k.s = xds.NewSession(xds.SessionOptions{Sources: []xds.Source{{Name: "ads", Delta: delta, Types: []xds.SourceType{
		{TypeURL: xds.ClusterType}, {TypeURL: xds.EndpointType}, {TypeURL: xds.ListenerType}, {TypeURL: xds.RouteType}, {TypeURL: xds.SecretType},
	}}}})
	k.step(xds.Started{})
	k.step(xds.Connected{})
	return k
}

func (k *talk) run(in []byte) {
	for len(in) >= 3 {
		n := min(int(binary.BigEndian.Uint16(in[1:])), len(in)-3)
		switch op := in[0]; {
		case op < 10:
			k.step(xds.StreamLost{Err: errors.New("reset"), Jitter: float64(op) / 10})
			k.step(xds.Connected{})
		case op < 60:
			k.now = k.now.Add(time.Duration(op) * 100 * time.Millisecond)
			for id := range k.timers {
				k.step(xds.TimerFired{ID: id})
			}
		default:
			k.receive(in[3 : 3+n])
		}
		in = in[3+n:]
	}
}

// receive gives one response to the session: it is answered once, and what it refuses serves on.
func (k *talk) receive(b []byte) {
	k.nonce++
	nonce := strconv.Itoa(k.nonce)
	var h xds.Happening
	if k.delta {
		r := &discoveryv3.DeltaDiscoveryResponse{}
		if proto.Unmarshal(b, r) != nil {
			return
		}
		r.Nonce = nonce
		h = xds.ReceivedDelta{Response: r}
	} else {
		r := &discoveryv3.DiscoveryResponse{}
		if proto.Unmarshal(b, r) != nil {
			return
		}
		r.Nonce = nonce
		h = xds.Received{Response: r}
	}
	before := k.snap
	k.step(h)
	for _, t := range k.s.Status().Types {
		if t.Nonce == nonce && k.answered[nonce] == 0 {
			held := false
			for id := range k.timers {
				held = held || id == "nack "+t.Short
			}
			if !held {
				k.t.Errorf("%s response is not answered", t.Short)
			}
		}
		if t.NACK == nil || t.NACK.Nonce != nonce || t.TypeURL != xds.ClusterType {
			continue
		}
		for _, r := range t.Resources {
			if r.State == xds.Nacked && before.Clusters[r.Name] != nil && k.snap.Clusters[r.Name] == nil {
				k.t.Errorf("cluster %q was refused, and serves no longer", r.Name)
			}
		}
	}
}

func (k *talk) step(h xds.Happening) {
	for _, a := range k.s.Step(xds.Event{At: k.now, What: h}) {
		switch a := a.(type) {
		case xds.DecodeItems:
			d := xds.Decoded{TypeURL: a.TypeURL, Seq: a.Seq}
			for _, it := range a.Items {
				res, err := decodeWith(k.t, d.TypeURL, it)
				d.Results = append(d.Results, xds.Result{Resource: res, Err: err})
			}
			k.step(d)
		case xds.Publish:
			k.publish(a.Snapshot)
		case xds.Send:
			k.answer(a.Request.GetResponseNonce(), a.Request.GetErrorDetail().GetMessage())
		case xds.SendDelta:
			n := a.Request.GetResponseNonce()
			if k.answer(n, a.Request.GetErrorDetail().GetMessage()); n != "" && k.answered[n] > 1 {
				k.t.Errorf("nonce %s is answered %d times", n, k.answered[n])
			}
		case xds.StartTimer:
			k.timers[a.ID] = true
		case xds.StopTimer:
			delete(k.timers, a.ID)
		}
	}
	if f, ok := h.(xds.TimerFired); ok {
		delete(k.timers, f.ID)
	}
}

// answer counts, and sees that the text can be sent.
func (k *talk) answer(nonce, text string) {
	k.answered[nonce]++
	if _, err := proto.Marshal(&discoveryv3.ResourceName{Name: text}); err != nil {
		k.t.Errorf("the NACK cannot be sent: %v", err)
	}
}

// publish: bytes that did not change are the same object.
func (k *talk) publish(s *config.Snapshot) {
	for kind, m := range map[string][2]map[string]*config.Resource{
		"cluster":   {k.snap.Clusters, s.Clusters},
		"endpoints": {k.snap.Endpoints, s.Endpoints},
		"listener":  {k.snap.Listeners, s.Listeners},
		"route":     {k.snap.Routes, s.Routes},
	} {
		for name, r := range m[1] {
			if old := m[0][name]; old != nil && old != r && bytes.Equal(old.Raw.GetValue(), r.Raw.GetValue()) {
				k.t.Errorf("%s %q is another object with the same bytes", kind, name)
			}
		}
	}
	k.snap = s
}
