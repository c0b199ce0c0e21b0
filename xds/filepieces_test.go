package xds

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

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
		got, next := p.read([]byte(text))
		if wantErr != nil {
			if got != nil {
				t.Fatalf("%s: read, though %v", text, wantErr)
			}
			continue
		}
		if got == nil {
			p = newPieces([]byte(text), want)
			continue
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

func FuzzCutResources(f *testing.F) {
	for _, s := range []string{
		`{"resources":[]}`, `{"version_info":"1","resources":[{"a":"]}\""},{}, 1 ,"x"]}`, `{"resources":[{}],"resources":[]}`, `{"a":{"resources":[1]}}`, `[`, `{`, `{"resources":[`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		items, rest, ok := cutResources(data)
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
