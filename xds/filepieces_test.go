package xds

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"google.golang.org/protobuf/proto"
)

// TestFilesAreReadByPieces: whatever changed in a file, reading the pieces that are new gives what reading all gives, or nothing.
func TestFilesAreReadByPieces(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	item := func() string {
		return fmt.Sprintf(`{"@type":"type.googleapis.com/envoy.config.cluster.v3.Cluster", "name": "a \"quoted\\\\ [%d]", "connect_timeout":"%ds"}`, r.IntN(1e6), 1+r.IntN(9))
	}
	var items []string
	for range 20 {
		items = append(items, item())
	}
	f := File{Path: "f", Type: SourceType{TypeURL: ClusterType}}
	var p *pieces
	used := 0
	for i := range 300 {
		switch at := r.IntN(len(items)); r.IntN(4) {
		case 0:
			items = append(items[:at:at], append([]string{item()}, items[at:]...)...)
		case 1:
			if len(items) > 3 {
				items = append(items[:at:at], items[at+1:]...)
			}
		default:
			items[at] = item()
		}
		text := fmt.Sprintf(`{"version_info":"%d", "resources" :[ %s ] }`+"\n", i, strings.Join(items, []string{",", ",\n "}[r.IntN(2)]))
		if r.IntN(20) == 0 {
			text = text[:r.IntN(len(text))] // not all of it is written yet
		}
		want, _, wantErr := parseFile(f, []byte(text))
		got, next := p.read([]byte(text), ClusterType)
		if wantErr != nil {
			if got != nil {
				t.Fatalf("%s: read, though %v", text, wantErr)
			}
			p = nil
			continue
		}
		if got == nil {
			t.Fatalf("%s: not read", text)
		}
		used++
		got.TypeUrl = want.TypeUrl
		if !proto.Equal(got, want) {
			t.Fatalf("%s:\nread %v\nwant %v", text, got, want)
		}
		p = next
	}
	if used < 200 {
		t.Errorf("%d of 300 were read by pieces", used)
	}
}

// TestLargeResourcesAreReadByPieces: likewise of the lists within a resource, whatever is wrong with it.
func TestLargeResourcesAreReadByPieces(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	route := func() string {
		return fmt.Sprintf(`{"match":{"prefix":"/%d"},"route":{"cluster":"c%d]"}}`, r.IntN(1e6), r.IntN(9))
	}
	host := func(n int) []string {
		out := []string{fmt.Sprintf(`"name":"v%d","domains":["%d.test"]`, r.IntN(1e6), r.IntN(1e6))}
		for range n {
			out = append(out, route())
		}
		return out
	}
	hosts := [][]string{host(3), host(90), host(70)}
	f := File{Path: "f", Type: SourceType{TypeURL: RouteType}}
	var p *pieces
	good, kept := 0, 0
	for i := range 100 {
		h := r.IntN(len(hosts))
		at := 1 + r.IntN(len(hosts[h])-1)
		spoiled := ""
		switch k := r.IntN(12); {
		case k == 0:
			hosts = append(hosts, host(1+r.IntN(80)))
		case k == 1 && len(hosts) > 3:
			hosts = append(hosts[:h:h], hosts[h+1:]...)
		case k == 2:
			hosts[h][0] = host(0)[0]
		case k == 3:
			hosts[h] = append(hosts[h][:at:at], append([]string{route()}, hosts[h][at:]...)...)
		case k == 4 && len(hosts[h]) > 3:
			hosts[h] = append(hosts[h][:at:at], hosts[h][at+1:]...)
		case k == 5:
			spoiled = []string{`{"no_such_field":1}`, `{"match":{"prefix":1}}`, `{"match":`, `{}}`, `null`, `{"match":{"prefix":"/"},"match":{"prefix":"/"}}`}[r.IntN(6)]
		default:
			hosts[h][at] = route()
		}
		var vs []string
		for j, v := range hosts {
			list := strings.Join(v[1:], ",")
			if j == 1 && spoiled != "" {
				list += "," + spoiled
			}
			vs = append(vs, fmt.Sprintf(`{%s,"routes":[%s]}`, v[0], list))
		}
		name := []string{"virtual_hosts", "virtualHosts"}[i/50%2]
		text := []byte(fmt.Sprintf(`{"version_info":"1","resources":[{"@type":%q,"name":"r","%s":[%s],"validate_clusters":%v}]}`, RouteType, name, strings.Join(vs, ","), i/20%2 == 0))
		want, _, wantErr := parseFile(f, text)
		got, next := p.read(text, RouteType)
		if wantErr != nil {
			if got != nil {
				t.Fatalf("%s: read, though %v", text, wantErr)
			}
			continue // the good one before is still known
		}
		if got == nil {
			t.Fatalf("%s: not read", text)
		}
		a, b := &routev3.RouteConfiguration{}, &routev3.RouteConfiguration{}
		if err := errors.Join(got.Resources[0].UnmarshalTo(a), want.Resources[0].UnmarshalTo(b)); err != nil || !proto.Equal(a, b) {
			t.Fatalf("%s:\nread %v (%v)\nwant %v", text, a, err, b)
		}
		if good++; p != nil && p.trees[0] != nil && next.trees[0] != nil && &p.trees[0].head[0] == &next.trees[0].head[0] {
			kept++
		}
		p = next
	}
	if good < 70 || kept < 50 {
		t.Errorf("%d of 100 were read, %d of them by what was known", good, kept)
	}
}

func FuzzCutItems(f *testing.F) {
	for _, s := range []string{
		`{"resources":[]}`, `{"version_info":"1","resources":[{"a":"]}\""},{}, 1 ,"x"]}`, `{"resources":[{}],"resources":[]}`, `{"a":{"resources":[1]}}`, `[`, `{`, `{"resources":[`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		items, rest, ok := cutItems(data, "resources", "resources")
		if !ok {
			return
		}
		n := len(rest)
		for _, it := range items {
			if len(it) == 0 {
				t.Fatal("an empty item")
			}
			n += len(it)
		}
		if n > len(data) {
			t.Fatalf("%d bytes out of %d", n, len(data))
		}
	})
}
