package builtin_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/weirproxy/weir/config/extension"
	"github.com/weirproxy/weir/filters/builtin"
	"github.com/weirproxy/weir/proxy/upstream/lb"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestTableIsConsistent: NewRegistry panics when two factories claim one name or
// type; and a factory that cannot parse or build is of no use.
func TestTableIsConsistent(t *testing.T) {
	r := extension.NewRegistry(builtin.Filters(), lb.Policies())
	for _, f := range builtin.Filters() {
		if f.Parse == nil || f.Build == nil {
			t.Errorf("%s: no Parse or no Build", f.Name)
		}
		if f.RouteURL != "" && f.ParseRoute == nil {
			t.Errorf("%s: a per-route type and no ParseRoute", f.Name)
		}
		if g, ok := r.ByName(f.Kind, f.Name); !ok || g.TypeURL != f.TypeURL {
			t.Errorf("%s is not found by its name", f.Name)
		}
	}
}
