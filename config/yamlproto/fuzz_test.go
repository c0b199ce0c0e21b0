package yamlproto

import (
	"os"
	"path/filepath"
	"testing"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
)

// FuzzUnmarshal: no text may panic; what is accepted survives marshalling, and is indexed and checked without a panic.
func FuzzUnmarshal(f *testing.F) {
	for _, pattern := range []string{"testdata/errors/*.yaml", "testdata/errors/*.json", "testdata/good/*", "testdata/resources/*.yaml"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			f.Fatal(err)
		}
		for _, file := range files {
			data, err := os.ReadFile(file)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(data)
		}
	}
	f.Add([]byte(invalid))
	f.Fuzz(func(t *testing.T, data []byte) {
		m := &bootstrapv3.Bootstrap{}
		x, err := Unmarshal(data, m, Options{File: "f"})
		if err != nil {
			_ = err.Error()
		} else {
			b, err := proto.Marshal(m)
			if err != nil {
				t.Fatalf("accepted, but cannot be marshalled: %v", err)
			}
			again := &bootstrapv3.Bootstrap{}
			if err := proto.Unmarshal(b, again); err != nil {
				t.Fatalf("marshalled, but cannot be read back: %v", err)
			}
			if diff := cmp.Diff(m, again, protocmp.Transform()); diff != "" {
				t.Fatalf("changed by marshalling:\n%s", diff)
			}
			_ = x.Validate(m).Error()
		}
		rs, err := UnmarshalResources(data, Options{File: "f"})
		if err != nil {
			_ = err.Error()
		}
		for _, r := range rs {
			_ = r.Index.Validate(r.Any)
		}
	})
}

// FuzzIndexPath: no path may panic, and every path has a position.
func FuzzIndexPath(f *testing.F) {
	for _, s := range []string{"node.id", "a[0]", `a["x"].b`, "[", `["`, "a..b", "[99999999999999999999]", `a["\xff"]`} {
		f.Add(s)
	}
	x, err := Unmarshal([]byte("node: {id: a, metadata: {k: [1, {l: 2}]}}\n"), &bootstrapv3.Bootstrap{}, Options{})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, path string) {
		if p, _ := x.At(path); p.Line < 1 || p.Column < 1 {
			t.Fatalf("At(%q) = %v", path, p)
		}
		_ = x.Sub(path).Wrap(path, os.ErrInvalid).Error()
	})
}
