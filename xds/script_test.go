package xds

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/weirproxy/weir/config"
	"google.golang.org/protobuf/types/known/anypb"
)

var rewrite = flag.Bool("rewrite", false, "write what the scripts in testdata print back into them")

// TestScripts tells the rules of the protocol as conversations: a command, its body, "----", and what the session does about it.
// A blank line ends the output. Lines that begin with # are prose.
func TestScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, f := range files {
		t.Run(strings.TrimSuffix(filepath.Base(f), ".txt"), func(t *testing.T) {
			in, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			out := runScript(string(in))
			if out == string(in) {
				return
			}
			if *rewrite {
				if err := os.WriteFile(f, []byte(out), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			t.Errorf("%s: first difference (run with -rewrite and read the diff):\n%s", f, firstDiff(string(in), out))
		})
	}
}

func firstDiff(want, got string) string {
	w, g := strings.Split(want, "\n"), strings.Split(got, "\n")
	for i := range max(len(w), len(g)) {
		var a, b string
		if i < len(w) {
			a = w[i]
		}
		if i < len(g) {
			b = g[i]
		}
		if a != b {
			return fmt.Sprintf("line %d\n want: %s\n  got: %s", i+1, a, b)
		}
	}
	return ""
}

// runScript runs a script and gives it back with the outputs replaced.
func runScript(in string) string {
	var out strings.Builder
	w := &world{now: epoch, timers: map[string]time.Time{}}
	lines := strings.Split(strings.TrimRight(in, "\n"), "\n")
	for i := 0; i < len(lines); {
		if l := lines[i]; l == "" || strings.HasPrefix(l, "#") {
			out.WriteString(l + "\n")
			i++
			continue
		}
		cmd, body := lines[i], []string(nil)
		for i++; i < len(lines) && lines[i] != "----"; i++ {
			body = append(body, lines[i])
		}
		for i++; i < len(lines) && lines[i] != ""; i++ { // the recorded output
		}
		out.WriteString(cmd + "\n")
		for _, b := range body {
			out.WriteString(b + "\n")
		}
		out.WriteString("----\n")
		w.b.Reset()
		w.command(cmd, body)
		if w.b.Len() == 0 {
			w.b.WriteString("(nothing)\n")
		}
		out.WriteString(w.b.String())
	}
	return out.String()
}

var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// world is a session with a fake clock and a fake table of types around it.
type world struct {
	s      *Session
	o      SessionOptions
	now    time.Time
	timers map[string]time.Time
	snap   *config.Snapshot
	held   bool // decoding waits for "release"
	todo   []DecodeItems
	b      strings.Builder
}

func (w *world) command(line string, body []string) {
	args := fields(line)
	pos, kv := split(args[1:])
	switch args[0] {
	case "session":
		w.newSession(kv, body)
	case "start":
		w.step(Started{})
	case "connect":
		w.step(Connected{w.sourceByName(pos[0])})
	case "lose":
		j, _ := strconv.ParseFloat(kv["jitter"], 64)
		var err error
		if why := kv["why"]; why != "" {
			err = errors.New(why)
		}
		w.step(StreamLost{w.sourceByName(pos[0]), err, j})
	case "recv":
		w.recv(pos[0], kv, body)
	case "file-fails":
		w.step(FileFailed{w.sourceByName(pos[0]), errors.New(kv["why"])})
	case "hold":
		w.held = true
	case "release":
		w.held = false
		for len(w.todo) > 0 {
			d := w.todo[0]
			w.todo = w.todo[1:]
			w.decode(d)
		}
	case "advance":
		d, err := time.ParseDuration(pos[0])
		if err != nil {
			w.printf("%v", err)
		}
		w.advance(d)
	case "applied":
		v, _ := strconv.ParseUint(pos[0], 10, 64)
		var err error
		if e := kv["err"]; e != "" {
			err = errors.New(e)
		}
		w.step(Applied{v, err})
	case "subscribe":
		w.step(Subscribed{urlOf(pos[0]), pos[1]})
	case "unsubscribe":
		w.step(Unsubscribed{urlOf(pos[0]), pos[1]})
	case "status":
		w.status()
	default:
		w.printf("unknown command %q", args[0])
	}
}

func (w *world) printf(f string, a ...any) { fmt.Fprintf(&w.b, f+"\n", a...) }

func (w *world) newSession(kv map[string]string, body []string) {
	dur := func(k string) time.Duration { d, _ := time.ParseDuration(kv[k]); return d }
	w.o = SessionOptions{
		Node:            &corev3.Node{Id: "gw-1"},
		WarmingDeadline: dur("warming"), NACKPause: dur("nack-pause"),
	}
	w.snap, w.timers = &config.Snapshot{}, map[string]time.Time{}
	for _, l := range body {
		pos, kv := split(fields(l))
		switch pos[0] {
		case "source", "file":
			src := Source{Name: pos[1], File: pos[0] == "file", NodeAlways: kv["node"] == "always"}
			for _, short := range pos[2:] {
				st := SourceType{TypeURL: urlOf(short)}
				if f, ok := kv["fetch"]; ok {
					if st.FetchTimeout, _ = time.ParseDuration(f); st.FetchTimeout == 0 {
						st.FetchTimeout = -1
					}
				}
				src.Types = append(src.Types, st)
			}
			w.o.Sources = append(w.o.Sources, src)
		case "static":
			a := fakeAny(urlOf(pos[1]), pos[2], pos[3:], kv)
			r, err := fakeDecode(a.TypeUrl, a)
			if err != nil {
				w.printf("%v", err)
				continue
			}
			r.Static = true
			w.o.Static = append(w.o.Static, r)
		}
	}
	w.s = NewSession(w.o)
	w.printf("ok")
}

func (w *world) sourceByName(n string) int {
	return slices.IndexFunc(w.o.Sources, func(s Source) bool { return s.Name == n })
}

func (w *world) recv(short string, kv map[string]string, body []string) {
	src, url := 0, urlOf(short)
	if n, ok := kv["from"]; ok {
		src = w.sourceByName(n)
	} else {
		src = max(0, slices.IndexFunc(w.o.Sources, func(s Source) bool {
			return slices.ContainsFunc(s.Types, func(t SourceType) bool { return t.TypeURL == url })
		}))
	}
	resp := &discoveryv3.DiscoveryResponse{TypeUrl: url, VersionInfo: kv["v"], Nonce: kv["n"]}
	for _, l := range body {
		pos, kv := split(fields(l))
		u := url
		if t, ok := kv["type"]; ok {
			u = urlOf(t)
		}
		a := fakeAny(u, pos[0], pos[1:], kv)
		if pos[0] == "garbage" {
			a.Value = []byte{0xff, 0xff}
		}
		if slices.Contains(pos, "wrapped") {
			a, _ = anypb.New(&discoveryv3.Resource{Name: pos[0], Resource: a})
		}
		resp.Resources = append(resp.Resources, a)
	}
	w.step(Received{Source: src, Response: resp})
}

func (w *world) step(h Happening) { w.act(w.s.Step(Event{w.now, h})) }

// act prints actions and does those that have an answer.
func (w *world) act(actions []Action) {
	for _, a := range actions {
		switch a := a.(type) {
		case Connect:
			w.printf("connect %s", w.o.Sources[a.Source].Name)
		case Send:
			w.printSend(a)
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
	if k, _ := kindOf(r.TypeUrl); !rows[k].full {
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

// printPublish lists a snapshot; a star marks what is not the same pointer as before.
func (w *world) printPublish(n *config.Snapshot) {
	fmt.Fprintf(&w.b, "publish %d:", n.Version)
	for _, m := range []struct {
		word     string
		now, old map[string]*config.Resource
	}{
		{"cds", n.Clusters, w.snap.Clusters}, {"eds", n.Endpoints, w.snap.Endpoints},
		{"lds", n.Listeners, w.snap.Listeners}, {"rds", n.Routes, w.snap.Routes},
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
		fmt.Fprintf(&w.b, " %s[%s]", m.word, strings.Join(l, " "))
	}
	w.b.WriteString("\n")
	w.snap = n
}

// advance moves the clock and fires what runs out on the way.
func (w *world) advance(d time.Duration) {
	end := w.now.Add(d)
	for {
		id := ""
		for n, at := range w.timers {
			if !at.After(end) && (id == "" || at.Before(w.timers[id]) || (at.Equal(w.timers[id]) && n < id)) {
				id = n
			}
		}
		if id == "" {
			break
		}
		w.now = w.timers[id]
		delete(w.timers, id)
		w.printf("timer %q fires", id)
		w.step(TimerFired{id})
	}
	w.now = end
}

func (w *world) status() {
	st := w.s.Status()
	w.printf("snapshot %d, applied %d %s", st.Snapshot, st.Applied, st.ApplyErr)
	for _, s := range st.Sources {
		w.printf("source %s connected=%v since=%v failures=%d err=%q", s.Name, s.Connected, s.Since.Sub(epoch), s.Failures, s.Err)
	}
	for _, t := range st.Types {
		if t.Source == "" && len(t.Resources) == 0 {
			continue
		}
		c := t.Counters
		w.printf("%s v=%q n=%q names=%v attempt=%d success=%d rejected=%d failure=%d timeout=%d", t.Short, t.Version, t.Nonce,
			t.Names, c.Attempt, c.Success, c.Rejected, c.Failure, c.FetchTimeout)
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
		w.printf("warming %s %s since %v: %s", shortOf(m.TypeURL), m.Name, m.Since.Sub(epoch), m.Blocker)
	}
}

// fields splits a line at blanks; a double-quoted value keeps its own, and ' in it stands for ".
func fields(l string) []string {
	var out []string
	var cur bytes.Buffer
	quoted := false
	for _, c := range strings.TrimSpace(l) {
		switch {
		case c == '"':
			quoted = !quoted
		case c == ' ' && !quoted:
			if cur.Len() > 0 {
				out = append(out, cur.String())
				cur.Reset()
			}
		case c == '\'' && quoted:
			cur.WriteRune('"')
		default:
			cur.WriteRune(c)
		}
	}
	if cur.Len() > 0 {
		out = append(out, cur.String())
	}
	return out
}

// split parts words from key=value pairs.
func split(args []string) (pos []string, kv map[string]string) {
	kv = map[string]string{}
	for _, a := range args {
		if k, v, ok := strings.Cut(a, "="); ok {
			kv[k] = v
		} else {
			pos = append(pos, a)
		}
	}
	return pos, kv
}
