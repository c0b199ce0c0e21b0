package conn

import (
	"errors"
	"os"
	"testing"
	"testing/synctest"

	"go.uber.org/goleak"

	"github.com/weirproxy/weir/proxy/netio"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestDrainWakesAnIdleConnectionOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := netio.Pipe(0)
		defer a.Close()
		defer b.Close()
		c := New(a)
		got := make(chan error, 1)
		go func() { _, err := c.Read(make([]byte, 1)); got <- err }()
		synctest.Wait()
		c.StartDrain()
		synctest.Wait()
		select {
		case err := <-got:
			t.Fatal("a busy connection was woken:", err)
		default:
		}
		if !c.Draining() || !c.SetIdle(true) {
			t.Error("does not know that it drains")
		}
		c.StartDrain()
		if err := <-got; !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Error(err)
		}
	})
}
