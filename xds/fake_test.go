package xds

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weirproxy/weir/config"
	"github.com/weirproxy/weir/config/extension"
	"github.com/weirproxy/weir/config/route"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/types/known/anypb"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A fake resource is a protobuf message of strings, so that names and mentions are found in it as in a real one:
// 1 name, 2 reference ("rds r"), 3 mention of a cluster, 4 an error to give, 5 a panic, 6 anything that makes the bytes differ,
// 7 a field without effect, 8 a scope's key.
const (
	fakeName protowire.Number = iota + 1
	fakeRef
	fakeUse
	fakeBad
	fakePanic
	fakeRev
	fakeDegraded
	fakeScope
)

// fakeAny makes one from a script line: `a eds=x,y rds=r sds=s,t@/file uses=c rev=2 bad="text" degraded=f scope=key panic`.
func fakeAny(url, name string, words []string, kv map[string]string) *anypb.Any {
	var b []byte
	put := func(n protowire.Number, v string) {
		b = protowire.AppendTag(b, n, protowire.BytesType)
		b = protowire.AppendString(b, v)
	}
	put(fakeName, name)
	for _, k := range []string{"sds", "eds", "rds", "srds", "vhds", "ecds", "other"} {
		for n := range strings.SplitSeq(kv[k], ",") {
			if n != "" {
				put(fakeRef, k+" "+n)
			}
		}
	}
	for n := range strings.SplitSeq(kv["uses"], ",") {
		if n != "" {
			put(fakeUse, n)
		}
	}
	if v := kv["bad"]; v != "" {
		put(fakeBad, v)
	}
	if slices.Contains(words, "panic") {
		put(fakePanic, "boom")
	}
	if v := kv["rev"]; v != "" {
		put(fakeRev, v)
	}
	if v := kv["degraded"]; v != "" {
		put(fakeDegraded, v)
	}
	if v := kv["scope"]; v != "" {
		put(fakeScope, v)
	}
	return &anypb.Any{TypeUrl: url, Value: b}
}

// fakeDecode is the decoder of the fake table of types.
func fakeDecode(_ string, a *anypb.Any) (*config.Resource, error) {
	r := &config.Resource{Raw: a}
	b := a.Value
	for len(b) > 0 {
		num, typ, n := protowire.ConsumeTag(b)
		if n < 0 || typ != protowire.BytesType {
			return nil, errors.New("bad tag")
		}
		v, m := protowire.ConsumeBytes(b[n:])
		if m < 0 {
			return nil, errors.New("bad string")
		}
		b = b[n+m:]
		switch num {
		case fakeName:
			r.Name = string(v)
		case fakeRef:
			k, name, _ := strings.Cut(string(v), " ")
			name, routes, _ := strings.Cut(name, ">")
			name, from, _ := strings.Cut(strings.Replace(name, "~", "@~", 1), "@")
			from = strings.Replace(from, "@~", "~", 1)
			name, late := strings.CutSuffix(name, "?")
			r.Refs = append(r.Refs, extension.Ref{TypeURL: urlOf(k), Name: name, Source: fakeSource(from), Late: late, Routes: fakeSource(routes)})
		case fakeBad:
			return nil, errors.New(string(v))
		case fakePanic:
			panic(string(v))
		case fakeDegraded:
			r.Degraded = append(r.Degraded, string(v))
		case fakeScope:
			r.Value = &route.Scope{Name: r.Name, Key: string(v), RouteName: r.Refs[0].Name}
		}
	}
	return r, nil
}

// fakeSource reads the source of a reference: `@/file`, `@static`, or the name of a cluster. `~2s` after it, or after the name, is its
// initial_fetch_timeout. `>` and a source after all of it is where the routes of scopes come from.
func fakeSource(s string) (src extension.Source) {
	if from, fetch, ok := strings.Cut(s, "~"); ok {
		src = fakeSource(from)
		if src.FetchTimeout, _ = time.ParseDuration(fetch); src.FetchTimeout == 0 {
			src.FetchTimeout = -1
		}
		return src
	}
	switch {
	case s == "static":
		return extension.Source{Static: true}
	case strings.HasPrefix(s, "/"):
		return extension.Source{Path: s}
	}
	return extension.Source{Cluster: s}
}

// urlOf gives a type URL for a short name; other names stand for themselves.
func urlOf(short string) string {
	for _, r := range rows {
		if r.short == short {
			return r.url
		}
	}
	return short
}

func shortOf(url string) string {
	if k, ok := kindOf(url); ok {
		return rows[k].short
	}
	return url
}
