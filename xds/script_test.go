package xds

import (
	"bytes"
	"cmp"
	"errors"
	"flag"
	"fmt"
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
	"github.com/weirproxy/weir/config/extension"
	statuspb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
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
	saved  Restored // answers Restore
	b      strings.Builder
	steps  int
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
	case "last-good":
		w.lastGood(kv, body)
	case "subscribe":
		w.step(Subscribed{extension.Ref{TypeURL: urlOf(pos[0]), Name: pos[1], Source: fakeSource(kv["from"])}})
	case "unsubscribe":
		w.step(Unsubscribed{extension.Ref{TypeURL: urlOf(pos[0]), Name: pos[1], Source: fakeSource(kv["from"])}})
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
		WarmingDeadline: dur("warming"), NACKPause: dur("nack-pause"), RestoreAfter: dur("restore"),
	}
	w.snap, w.timers = &config.Snapshot{}, map[string]time.Time{}
	for _, l := range body {
		pos, kv := split(fields(l))
		switch pos[0] {
		case "source", "file":
			src := Source{Name: pos[1], File: pos[0] == "file", Delta: kv["protocol"] == "delta", NodeAlways: kv["node"] == "always"}
			for _, short := range pos[2:] {
				short, onDemand := strings.CutSuffix(short, "?")
				st := SourceType{TypeURL: urlOf(short), OnDemand: onDemand}
				if f, ok := kv["fetch"]; ok {
					if st.FetchTimeout, _ = time.ParseDuration(f); st.FetchTimeout == 0 {
						st.FetchTimeout = -1
					}
				}
				src.Types = append(src.Types, st)
			}
			w.o.Sources = append(w.o.Sources, src)
		case "root":
			name, from, _ := strings.Cut(pos[2], "@")
			src := fakeSource(from)
			if f, ok := kv["fetch"]; ok {
				src.FetchTimeout, _ = time.ParseDuration(f)
			}
			w.o.Roots = append(w.o.Roots, extension.Ref{TypeURL: urlOf(pos[1]), Name: name, Source: src})
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

// lastGood says what the file of the last known good configuration holds.
func (w *world) lastGood(kv map[string]string, body []string) {
	w.saved = Restored{Saved: epoch.Add(-time.Hour)}
	if e := kv["err"]; e != "" {
		w.saved.Err = errors.New(e)
	}
	if l := kv["left-out"]; l != "" {
		w.saved.LeftOut = []string{l}
	}
	for _, l := range body {
		pos, kv := split(fields(l))
		a := fakeAny(urlOf(pos[0]), pos[1], pos[2:], kv)
		r, err := fakeDecode(a.TypeUrl, a)
		if err != nil {
			w.saved.Refused = append(w.saved.Refused, err)
			continue
		}
		r.Version = "last-known-good/1"
		w.saved.Resources = append(w.saved.Resources, Kept{r, cmp.Or(kv["key"], r.Name)})
	}
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
	if w.o.Sources[src].Delta {
		w.recvDelta(src, url, kv, body)
		return
	}
	resp := &discoveryv3.DiscoveryResponse{TypeUrl: url, VersionInfo: kv["v"], Nonce: kv["n"], ControlPlane: serverOf(kv)}
	for _, l := range body {
		pos, kv := split(fields(l))
		if pos[0] == "missing" {
			resp.ResourceErrors = append(resp.ResourceErrors, missing(pos[1:], kv["why"])...)
			continue
		}
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
		if ttl := ttlOf(kv); slices.Contains(pos, "heartbeat") {
			a, _ = anypb.New(&discoveryv3.Resource{Name: pos[0], Ttl: ttl})
		} else if ttl != nil {
			a, _ = anypb.New(&discoveryv3.Resource{Name: pos[0], Resource: a, Ttl: ttl})
		}
		resp.Resources = append(resp.Resources, a)
	}
	w.step(Received{Source: src, Response: resp})
}

func missing(names []string, why string) (out []*discoveryv3.ResourceError) {
	for _, n := range names {
		out = append(out, &discoveryv3.ResourceError{
			ResourceName: &discoveryv3.ResourceName{Name: n}, ErrorDetail: &statuspb.Status{Message: why},
		})
	}
	return out
}

func serverOf(kv map[string]string) *corev3.ControlPlane {
	if id := kv["server"]; id != "" {
		return &corev3.ControlPlane{Identifier: id}
	}
	return nil
}

func ttlOf(kv map[string]string) *durationpb.Duration {
	if d, err := time.ParseDuration(kv["ttl"]); err == nil {
		return durationpb.New(d)
	}
	return nil
}

// recvDelta makes a delta response. A line is a resource, with its version as v=, or "removed" or "missing" and names.
func (w *world) recvDelta(src int, url string, kv map[string]string, body []string) {
	resp := &discoveryv3.DeltaDiscoveryResponse{TypeUrl: url, SystemVersionInfo: kv["v"], Nonce: kv["n"], ControlPlane: serverOf(kv)}
	for _, l := range body {
		pos, kv := split(fields(l))
		switch pos[0] {
		case "removed":
			resp.RemovedResources = append(resp.RemovedResources, pos[1:]...)
			continue
		case "missing":
			resp.ResourceErrors = append(resp.ResourceErrors, missing(pos[1:], kv["why"])...)
			continue
		}
		r := &discoveryv3.Resource{Name: strings.TrimPrefix(pos[0], "nameless"), Version: kv["v"], Ttl: ttlOf(kv)}
		if name := kv["inside"]; name != "" {
			r.Resource = fakeAny(url, name, nil, kv)
		} else if !slices.Contains(pos, "heartbeat") {
			r.Resource = fakeAny(url, pos[0], pos[1:], kv)
		}
		if a := kv["alias"]; a != "" {
			r.Aliases = strings.Split(a, ",")
		}
		resp.Resources = append(resp.Resources, r)
	}
	w.step(ReceivedDelta{Source: src, Response: resp})
}

func (w *world) step(h Happening) {
	actions := w.s.Step(Event{w.now, h})
	if w.steps++; w.steps%3 == 0 { // not every time: it may repair what is wrong
		more, err := w.s.recheck()
		if actions = append(actions, more...); err != nil {
			fmt.Fprintf(&w.b, "not all that changed was looked at after %T: %v\n", h, err)
		}
	}
	w.act(actions)
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
