package xds

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/weirproxy/weir/config"
)

// act prints actions and does those that have an answer.
func (w *world) act(actions []Action) {
	for _, a := range actions {
		switch a := a.(type) {
		case Open:
			w.o.Sources = append(w.o.Sources, Source{Name: w.s.sources[a.Source].Name, File: a.From.Path != "", Types: []SourceType{{TypeURL: a.TypeURL}}})
			w.printf("open %s", w.s.sources[a.Source].Name)
		case Close:
			w.printf("close %s", w.o.Sources[a.Source].Name)
			w.o.Sources[a.Source] = Source{}
		case Restore:
			w.printf("restore")
			w.step(w.saved)
		case Connect:
			w.printf("connect %s", w.o.Sources[a.Source].Name)
		case Send:
			w.printSend(a)
		case SendDelta:
			w.printSendDelta(a)
		case DecodeItems:
			names := make([]string, len(a.Items))
			for i, it := range a.Items {
				n, _ := nameOf(it.Value)
				names[i] = string(n)
			}
			w.printf("decode %s %v", shortOf(a.TypeURL), names)
			if w.held {
				w.todo = append(w.todo, a)
			} else {
				w.decode(a)
			}
		case Publish:
			w.printPublish(a.Snapshot)
		case Resolved:
			w.printf("resolved %s %s found=%v", shortOf(a.Ref.TypeURL), a.Ref.Name, a.Found)
		case StartTimer:
			w.printf("start timer %q %v", a.ID, a.After)
			w.timers[a.ID] = w.now.Add(a.After)
		case StopTimer:
			w.printf("stop timer %q", a.ID)
			delete(w.timers, a.ID)
		case Log:
			if a.Level > Debug {
				w.printf("%s: %s", a.Level, strings.ReplaceAll(a.Text, "\n", "\n    "))
			}
		}
	}
}

func (w *world) decode(d DecodeItems) {
	w.step(Decoded{d.TypeURL, d.Seq, Decode(fakeDecode).all(d.TypeURL, d.Items)})
}

func (w *world) printSend(a Send) {
	r := a.Request
	kind := "ask"
	if r.ResponseNonce != "" {
		kind = "ACK"
	}
	if r.ErrorDetail != nil {
		kind = "NACK"
	}
	w.b.WriteString("send " + w.o.Sources[a.Source].Name + " " + shortOf(r.TypeUrl) + " " + kind)
	fmt.Fprintf(&w.b, " v=%q n=%q", r.VersionInfo, r.ResponseNonce)
	if k, _ := kindOf(r.TypeUrl); !rows[k].full || len(r.ResourceNames) > 0 {
		fmt.Fprintf(&w.b, " names=%v", r.ResourceNames)
	}
	if r.Node != nil {
		fmt.Fprintf(&w.b, " node=%s", r.Node.Id)
	}
	w.b.WriteString("\n")
	if r.ErrorDetail != nil {
		w.printf("    %s", strings.ReplaceAll(r.ErrorDetail.Message, "\n", "\n    "))
	}
}

func (w *world) printSendDelta(a SendDelta) {
	r := a.Request
	kind := "ask"
	if r.ResponseNonce != "" {
		kind = "ACK"
	}
	if r.ErrorDetail != nil {
		kind = "NACK"
	}
	w.b.WriteString("send " + w.o.Sources[a.Source].Name + " " + shortOf(r.TypeUrl) + " " + kind)
	if r.ResponseNonce != "" {
		fmt.Fprintf(&w.b, " n=%q", r.ResponseNonce)
	}
	for _, n := range r.ResourceNamesSubscribe {
		w.b.WriteString(" +" + n)
	}
	for _, n := range r.ResourceNamesUnsubscribe {
		w.b.WriteString(" -" + n)
	}
	if len(r.InitialResourceVersions) > 0 {
		fmt.Fprintf(&w.b, " has %v", r.InitialResourceVersions)
	}
	if r.Node != nil {
		fmt.Fprintf(&w.b, " node=%s", r.Node.Id)
	}
	w.b.WriteString("\n")
	if r.ErrorDetail != nil {
		w.printf("    %s", strings.ReplaceAll(r.ErrorDetail.Message, "\n", "\n    "))
	}
}

// printPublish lists a snapshot; a star marks what is not the same pointer as before.
func (w *world) printPublish(n *config.Snapshot) {
	fmt.Fprintf(&w.b, "publish %d:", n.Version)
	for _, m := range []struct {
		word     string
		now, old map[string]*config.Resource
	}{
		{"rtds", n.Runtime, w.snap.Runtime},
		{"sds", n.Secrets, w.snap.Secrets},
		{"cds", n.Clusters, w.snap.Clusters},
		{"eds", n.Endpoints, w.snap.Endpoints},
		{"lds", n.Listeners, w.snap.Listeners},
		{"rds", n.Routes, w.snap.Routes},
		{"srds", n.Scopes, w.snap.Scopes},
		{"vhds", n.Hosts, w.snap.Hosts},
		{"ecds", n.Extensions, w.snap.Extensions},
	} {
		var l []string
		for _, name := range slices.Sorted(maps.Keys(m.now)) {
			r, v := m.now[name], "static"
			if !r.Static {
				v = r.Version
			}
			star := ""
			if m.old[name] != r {
				star = "*"
			}
			l = append(l, name+"@"+v+star)
		}
		if !optional[m.word] || len(m.now)+len(m.old) > 0 {
			fmt.Fprintf(&w.b, " %s[%s]", m.word, strings.Join(l, " "))
		}
	}
	w.b.WriteString("\n")
	w.snap = n
}

// optional are the types that scripts show only where they occur.
var optional = map[string]bool{"rtds": true, "sds": true, "srds": true, "vhds": true, "ecds": true}

func (w *world) status() {
	st := w.s.Status()
	w.printf("snapshot %d, applied %d %s", st.Snapshot, st.Applied, st.ApplyErr)
	if g := st.LastGood; g != nil {
		w.printf("last known good of %v since %v: types=%v resources=%d left out=%v", g.Saved.Sub(epoch), g.Since.Sub(epoch), g.Types, g.Resources, g.LeftOut)
	}
	for _, s := range st.Sources {
		server := ""
		if s.Server != "" {
			server = fmt.Sprintf(" server=%q", s.Server)
		}
		w.printf("source %s connected=%v since=%v failures=%d err=%q%s", s.Name, s.Connected, s.Since.Sub(epoch), s.Failures, s.Err, server)
	}
	for _, t := range st.Types {
		if len(t.Resources) == 0 && (t.Source == "" || optional[t.Short]) {
			continue
		}
		c := t.Counters
		applied := ""
		if t.Applied != "" {
			applied = fmt.Sprintf(" applied=%q", t.Applied)
		}
		w.printf("%s v=%q%s n=%q names=%v attempt=%d success=%d rejected=%d failure=%d timeout=%d", t.Short, t.Version, applied,
			t.Nonce, t.Names, c.Attempt, c.Success, c.Rejected, c.Failure, c.FetchTimeout)
		if t.NACK != nil {
			w.printf("  last NACK v=%q n=%q standing=%v: %s", t.NACK.Version, t.NACK.Nonce, t.NACK.Standing,
				strings.ReplaceAll(t.NACK.Text, "\n", " | "))
		}
		for _, r := range t.Resources {
			w.b.WriteString("  " + r.Name + " " + string(r.State))
			if r.Static {
				w.b.WriteString(" static")
			}
			if r.Version != "" {
				w.b.WriteString(" serves=" + r.Version)
			}
			if r.Next != "" {
				w.b.WriteString(" next=" + r.Next)
			}
			if !r.Expires.IsZero() {
				fmt.Fprintf(&w.b, " until=%v", r.Expires.Sub(epoch))
			}
			if len(r.Degraded) > 0 {
				fmt.Fprintf(&w.b, " degraded=%v", r.Degraded)
			}
			if r.Error != nil {
				fmt.Fprintf(&w.b, " error(v=%s)=%q", r.Error.Version, r.Error.Text)
			}
			w.b.WriteString("\n")
		}
	}
	for _, m := range st.Warming {
		w.printf("warming %s %s since %v until %v: %s", shortOf(m.TypeURL), m.Name, m.Since.Sub(epoch), m.Until.Sub(epoch), m.Blocker)
	}
}
