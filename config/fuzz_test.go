package config_test

import (
	"errors"
	"os"
	"testing"

	"github.com/weirproxy/weir/config"
	"github.com/weirproxy/weir/config/configtest"
	"github.com/weirproxy/weir/config/support"
	"github.com/weirproxy/weir/proxy/info"
	"google.golang.org/protobuf/types/known/anypb"
)

// FuzzDecode feeds changed bytes of real resources to the decoder: it answers with a resource or an error, and what it accepts can
// be used.
func FuzzDecode(f *testing.F) {
	types := config.Types()
	for _, file := range []string{"testdata/gateway.yaml", "testdata/sidecar.yaml"} {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		for _, a := range resources(f, string(text)) {
			for i, t := range types {
				if t.TypeURL == a.GetTypeUrl() {
					f.Add(uint8(i), false, a.GetValue())
					f.Add(uint8(i), true, a.GetValue())
				}
			}
		}
	}
	dynamic := &config.Decoder{Registry: configtest.Registry(), Mode: support.Degrade}
	f.Fuzz(func(t *testing.T, kind uint8, static bool, b []byte) {
		typ := types[int(kind)%len(types)]
		a := &anypb.Any{TypeUrl: typ.TypeURL, Value: b}
		r, err := dynamic.Decode(typ.TypeURL, a, static)
		var p *config.PanicError
		if errors.As(err, &p) {
			t.Fatalf("%v\n%s", err, p.Stack)
		}
		if (r == nil) == (err == nil) {
			t.Fatalf("resource %v, error %v", r, err)
		}
		if err != nil {
			_ = err.Error()
			return
		}
		if r.Name == "" || r.Value == nil || !config.Unchanged(r, a) {
			t.Fatalf("resource %+v", r)
		}
		m := map[string]*config.Resource{r.Name: r}
		s := &config.Snapshot{}
		switch typ.Short {
		case "lds":
			s.Listeners = m
			s.Listener(r.Name).Selector.Select(&info.Conn{}, nil)
			s.Listener(r.Name).Selector.Nearest(&info.Conn{})
		case "rds":
			s.Routes = m
		case "cds":
			s.Clusters = m
		case "eds":
			s.Endpoints = m
		}
		s.Lint()
	})
}
