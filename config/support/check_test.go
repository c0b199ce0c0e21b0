package support

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/weirproxy/weir/config/yamlproto"
)

// Each file of testdata/check is one resource; beside it is what every mode says.
func TestCheckGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/check/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			rs, err := yamlproto.UnmarshalResources(data, yamlproto.Options{File: filepath.Base(file)})
			if err != nil {
				t.Fatal(err)
			}
			var b strings.Builder
			for _, mode := range []Mode{Reject, Degrade, Strict} {
				fmt.Fprintf(&b, "== %s\n", mode)
				for _, f := range Check(rs[0].Any, rs[0].Name, mode) {
					verdict := "accepts"
					if f.Rejects() {
						verdict = "rejects"
					}
					if f.ResourceName != rs[0].Name {
						t.Errorf("resource %q", f.ResourceName)
					}
					fmt.Fprintf(&b, "%s %s\n        %s\n", verdict, f.Path, f.Error())
				}
			}
			fmt.Fprintf(&b, "== as errors\n%s\n", Errors(Check(rs[0].Any, rs[0].Name, Degrade), rs[0].Index))
			golden := file + ".golden"
			if *rewrite {
				if err := os.WriteFile(golden, []byte(b.String()), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), b.String()); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// A field that a newer control plane sends is found by its number; it is rejected where the message bears on security.
func TestFieldsNewerThanTheProtos(t *testing.T) {
	l := &listenerv3.Listener{FilterChains: []*listenerv3.FilterChain{{FilterChainMatch: &listenerv3.FilterChainMatch{}}}}
	newer := protowire.AppendVarint(protowire.AppendTag(nil, 5000, protowire.VarintType), 1)
	l.ProtoReflect().SetUnknown(append(newer, newer...))
	l.FilterChains[0].FilterChainMatch.ProtoReflect().SetUnknown(newer)
	found := Check(l, "in", Degrade)
	if len(found) != 2 || found[0].Field != "envoy.config.listener.v3.Listener.#5000" || found[0].Rejects() ||
		found[1].Path != "filter_chains[0].filter_chain_match" || !found[1].Rejects() {
		t.Errorf("got %+v", found)
	}
}

func TestCheckNestedTooDeep(t *testing.T) {
	a := &anypb.Any{}
	for range 3 * maxAny {
		var err error
		if a, err = anypb.New(a); err != nil {
			t.Fatal(err)
		}
	}
	if found := Check(a, "x", Degrade); len(found) != 1 || !found[0].Rejects() {
		t.Errorf("got %+v", found)
	}
}

func TestSupportedResourceHasNoFindings(t *testing.T) {
	r := &routev3.RouteConfiguration{Name: "r", VirtualHosts: []*routev3.VirtualHost{{Name: "v", Domains: []string{"*"}}}}
	if found := Check(r, "r", Strict); found != nil {
		t.Errorf("got %+v", found)
	}
}

// FuzzCheck: no bytes in an Any may panic, and no mode finds less than a laxer one.
func FuzzCheck(f *testing.F) {
	files, err := filepath.Glob("testdata/check/*.yaml")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		rs, err := yamlproto.UnmarshalResources(data, yamlproto.Options{})
		if err != nil {
			f.Fatal(err)
		}
		f.Add(rs[0].Any.TypeUrl, rs[0].Any.Value)
	}
	f.Fuzz(func(t *testing.T, url string, value []byte) {
		a := &anypb.Any{TypeUrl: url, Value: value}
		reject, strict := Check(a, "x", Reject), Check(a, "x", Strict)
		if len(strict) < len(reject) {
			t.Errorf("strict finds %d, reject %d", len(strict), len(reject))
		}
		_ = Errors(strict, nil).Error()
	})
}
