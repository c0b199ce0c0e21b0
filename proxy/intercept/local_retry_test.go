package intercept

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// TestASYNThatIsSentAgainMayPass: the first SYN of a local program is taken while
// nothing listens, and lost. By the time that it is sent again the lease has ended;
// the connection must work, although connection tracking remembers the first.
func TestASYNThatIsSentAgainMayPass(t *testing.T) {
	eachBackend(t, func(t *testing.T, b Backend) {
		r := newRig(t, 80)
		h, err := r.tryApply(Plan{Backend: b, ListenPort: proxyPort, Local: true}, Resident)
		if err != nil {
			t.Fatal(err)
		}
		defer h.Close()
		if err := h.Renew(); err != nil { // nobody listens
			t.Fatal(err)
		}
		sent := r.status(DefaultName).local()
		answer := make(chan string, 1)
		go func() {
			answer <- r.get(r.Gateway, &net.Dialer{Timeout: 20 * time.Second}, netip.AddrPortFrom(r.ServerAddr4(), 80))
		}()
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		r.until(ctx, "the first SYN is taken", func() bool { return r.status(DefaultName).local() > sent })
		if err := h.Expire(); err != nil {
			t.Fatal(err)
		}
		if got := <-answer; got != "server" && !strings.Contains(got, "refused") { // nft may say so at once
			t.Errorf("got %q, want the server", got)
		}
	})
}

// local is how many first packets of local programs were taken.
func (s Status) local() (n uint64) {
	for _, r := range s.Rules {
		if r.Comment == "local program" {
			n += r.Packets
		}
	}
	return n
}
