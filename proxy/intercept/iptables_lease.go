package intercept

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// The lease of iptables is an entry of xt_recent, whose match compares addresses
// under a mask of no bits: there is one, "seen" when the lease was renewed last.
// The lists are files: `+address` is a packet seen now, `-address` forgets one,
// and `/` all.

// recentProbe is an address that no rule asks for: seeing it tells what time it is.
func recentProbe(v6 bool) string {
	if v6 {
		return "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"
	}
	return "255.255.255.255"
}

func recentFile(plan string, v6 bool) string {
	return "/proc/thread-self/net/xt_recent/" + iptRecent(plan, v6)
}

// renew implements firewall.
func (w *iptWall) renew(p Plan, f Families) error {
	return w.ns.do(func() error {
		for _, v6 := range []bool{false, true} {
			if !p.takes(v6) {
				continue
			}
			text, of := "+0.0.0.0\n", IPv4
			if v6 {
				text, of = "+::\n", IPv6
			}
			if f&of == 0 {
				text = "/\n"
			}
			if err := writeRecent(recentFile(p.Name, v6), text); err != nil {
				return fmt.Errorf("renew the lease: %w", err)
			}
		}
		return nil
	})
}

// writeRecent writes one command: the kernel takes one a write.
func writeRecent(name, text string) error {
	f, err := os.OpenFile(name, os.O_WRONLY, 0)
	if err == nil {
		_, err = f.WriteString(text)
		err = errors.Join(err, f.Close())
	}
	if errors.Is(err, os.ErrPermission) {
		err = fmt.Errorf("%w (xt_recent's files are root's of the whole machine: not for user namespaces)", err)
	}
	return err
}

// leased implements firewall.
func (w *iptWall) leased(p Plan) (f Families, err error) {
	err = w.ns.do(func() error {
		for _, v6 := range []bool{false, true} {
			if !p.takes(v6) {
				continue
			}
			name := recentFile(p.Name, v6)
			if err := writeRecent(name, "+"+recentProbe(v6)+"\n"); errors.Is(err, os.ErrNotExist) {
				continue
			} else if err != nil {
				return fmt.Errorf("look at the lease: %w", err)
			}
			b, err := os.ReadFile(name)
			if err != nil {
				return fmt.Errorf("look at the lease: %w", err)
			}
			if err := writeRecent(name, "-"+recentProbe(v6)+"\n"); err != nil {
				return fmt.Errorf("look at the lease: %w", err)
			}
			var now unix.Timespec
			_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &now)
			if !recentFresh(string(b), now.Nano()) {
				continue
			}
			if v6 {
				f |= IPv6
			} else {
				f |= IPv4
			}
		}
		return nil
	})
	return f, err
}

// recentFresh tells whether the lease's entry is younger than LeaseTime, from the
// file with the probe's entry beside it, which is of now. Both ages are in ticks;
// how many make a second is found by monotonic, nanoseconds since the start.
func recentFresh(text string, monotonic int64) bool {
	var lease, now uint64
	for line := range strings.Lines(text) {
		src, seen, ok := recentEntry(line)
		switch {
		case !ok:
		case src == recentProbe(false) || src == recentProbe(true):
			now = seen
		default:
			lease = seen
		}
	}
	if lease == 0 || now == 0 {
		return false
	}
	return now-lease <= uint64(LeaseTime.Seconds())*tickRate(now, monotonic)
}

// recentEntry reads "src=0.0.0.0 ttl: 0 last_seen: 4303421739 oldest_pkt: …".
func recentEntry(line string) (src string, seen uint64, ok bool) {
	f := strings.Fields(line)
	if len(f) < 5 || !strings.HasPrefix(f[0], "src=") || f[3] != "last_seen:" {
		return "", 0, false
	}
	seen, err := strconv.ParseUint(f[4], 10, 64)
	return f[0][4:], seen, err == nil
}

// tickRate finds the kernel's HZ: its tick counter begins 300 seconds below 2³²
// (linux/jiffies.h, INITIAL_JIFFIES) when the machine starts.
func tickRate(ticks uint64, monotonic int64) uint64 {
	best, rate := 0.0, uint64(250)
	for i, hz := range []uint64{100, 250, 300, 1000} {
		since := float64(ticks-(1<<32-300*hz)) / float64(hz)
		off := since - float64(monotonic)/1e9
		if off < 0 {
			off = -off
		}
		if i == 0 || off < best {
			best, rate = off, hz
		}
	}
	return rate
}
