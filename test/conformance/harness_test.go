// Package conformance drives the whole data path through real sockets: with scripts
// that can be read (what the client sends, what the origin must see, what it
// answers, and what the client must get), and with the conformance tools of others.
package conformance

import (
	"testing"

	"go.uber.org/goleak"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/weirproxy/weir/config/extension"
	"github.com/weirproxy/weir/filters"
	"github.com/weirproxy/weir/proxy/conn"
	"github.com/weirproxy/weir/proxy/info"
	"github.com/weirproxy/weir/proxy/stream"
	"github.com/weirproxy/weir/test/rig"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// logged is what an access logger saw of a stream.
type logged struct {
	Code    int
	Flags   info.Flags
	Details string
}

// recorder hands every finished stream on.
type recorder struct{ to chan logged }

func (r recorder) Log(_ *conn.Conn, s *stream.Stream) {
	r.to <- logged{s.Info.Code, s.Info.Flags, s.Info.Details}
}

// weir is a connection manager that tells what it logs.
type weir struct {
	*rig.Rig
	log chan logged
}

// newWeir serves an HttpConnectionManager over one cluster, both in JSON.
func newWeir(t testing.TB, hcm, cluster string) *weir {
	t.Helper()
	w := &weir{log: make(chan logged, 1000)}
	recording := filters.NewAccessLogger("test.recorder",
		func(*emptypb.Empty, *extension.Context) (recorder, error) { return recorder{w.log}, nil },
		func(r recorder, _ *filters.BuildContext) (any, error) { return r, nil })
	w.Rig = rig.New(t, rig.Options{HCM: hcm, Config: "clusters: [" + cluster + "]", Factories: []*extension.Factory{recording}})
	return w
}
