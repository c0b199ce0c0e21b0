package route

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"github.com/weirproxy/weir/config/extension"
	"github.com/weirproxy/weir/config/fielderr"
	"github.com/weirproxy/weir/config/match"
	"github.com/weirproxy/weir/config/yamlproto"
	"github.com/weirproxy/weir/proxy/header"
	"google.golang.org/protobuf/proto"
)

// FuzzDecode feeds mutated messages. Whatever is accepted has to answer requests.
func FuzzDecode(f *testing.F) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		yaml, _, _ := strings.Cut(string(text), "\n---\n")
		rc := &routev3.RouteConfiguration{}
		if _, err := yamlproto.Unmarshal([]byte(yaml), rc, yamlproto.Options{}); err != nil {
			f.Fatal(err)
		}
		b, err := proto.Marshal(rc)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b, "a.com", "/a?b=c")
		// Each route alone, for mutations to reach further.
		for _, vh := range rc.VirtualHosts {
			for _, rt := range vh.Routes {
				one := &routev3.RouteConfiguration{Name: "n", VirtualHosts: []*routev3.VirtualHost{{Name: "v", Domains: []string{"*"}, Routes: []*routev3.Route{rt}}}}
				if b, err := proto.Marshal(one); err == nil {
					f.Add(b, "h:80", "/secure")
				}
			}
		}
	}
	reg := testRegistry()
	f.Fuzz(func(t *testing.T, b []byte, host, path string) {
		rc := &routev3.RouteConfiguration{}
		if proto.Unmarshal(b, rc) != nil {
			return
		}
		table, err := Decode(rc, extension.NewContext(reg, "fuzz"))
		if err != nil {
			if table != nil || len(fielderr.All(err)) == 0 {
				t.Fatalf("an error with a table or without a mistake: %v", err)
			}
			return
		}
		h := &header.Headers{}
		h.AddString(header.Authority, host)
		h.AddString(header.Path, path)
		h.AddString(header.Intern("cookie"), path)
		r := &Request{Authority: []byte(host), Path: []byte(path), Method: []byte("GET"), Headers: h, Rand: uint64(len(b))}
		rt, traced := table.Match(r, nil), table.Match(r, &match.Trace{})
		if rt != traced {
			t.Fatal("a trace changes the answer")
		}
		exercise(table, r)
	})
}

// exercise runs everything that routes do for a request.
func exercise(table *Table, r *Request) {
	v := testVars(r.Headers)
	for _, vh := range table.VirtualHosts {
		for _, rt := range append(vh.Routes, vh.toTLS) {
			var w *ClusterWeight
			if rt.Forward != nil {
				_, _, w = rt.Forward.Pick(r, 7, true, &match.Trace{})
				rt.Forward.AppendHost(nil, w, r)
			}
			if rt.Redirect != nil {
				rt.Redirect.AppendLocation(nil, r)
			}
			rt.AppendPath(nil, r.Path)
			var h header.Headers
			h.CopyFrom(r.Headers)
			rt.MutateRequest(w, &h, v)
			rt.MutateResponse(w, &h, nil)
		}
	}
}
