package intercept

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// lookEvery is how often a guard looks who listens: a SYN that is dropped meanwhile is
// sent again by its client after a second (RFC 6298 §2).
const lookEvery = 25 * time.Millisecond

// ErrGuarded is returned by Guard when another process guards the rules already.
var ErrGuarded = errors.New("guarded by another process already")

// Guard holds the lease of installed rules while their port is listened on, and
// gives it up at once when it is not: what the kernel does by itself for other
// rules. It works in the network namespace of the calling thread, which it does
// not leave, and ends with ctx (the lease is given up), or when the rules have been
// removed. ready is called once it watches; report gets what goes wrong, once.
//
// Rules that are applied anew under the same name are taken over.
func Guard(ctx context.Context, name string, ready func(), report func(error)) error {
	if !validName(name) {
		return fmt.Errorf("guard %q: not a plan's name", name)
	}
	l, err := lockGuard(name)
	if err != nil {
		return fmt.Errorf("guard %q: %w", name, err)
	}
	defer l.Close()
	g := &guard{name: name}
	defer g.close()
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	last := ""
	for {
		there, err := g.look(time.Now())
		if err == nil && !there {
			return nil
		}
		if ready != nil {
			ready()
			ready = nil
		}
		text := ""
		if err != nil {
			text = err.Error()
		}
		if text != last && text != "" {
			report(fmt.Errorf("guard %q: %w", name, err))
		}
		last = text
		select {
		case <-ctx.Done():
			if g.fw != nil {
				_ = g.fw.renew(g.plan, 0) // it ends by itself, too
			}
			return nil
		case <-tick.C:
		}
	}
}

// guard is what Guard knows between two looks.
type guard struct {
	name    string
	stamp   time.Time // of the record that plan is of
	plan    Plan
	fw      firewall
	stuck   stuckQueues
	held    Families
	renewed time.Time
}

// look does what is due; there is false when the rules have been removed.
func (g *guard) look(now time.Time) (there bool, err error) {
	if there, err := g.follow(); !there || err != nil {
		return there, err
	}
	ls, err := listeners(g.plan.ListenPort)
	if err != nil {
		return true, err
	}
	want := g.stuck.working(ls, now) & g.plan.Families
	if want == g.held && (want == 0 || now.Sub(g.renewed) < renewEvery) {
		return true, nil
	}
	if err := g.fw.renew(g.plan, want); err != nil {
		g.held = 0
		return true, err
	}
	g.held, g.renewed = want, now
	return true, nil
}

// follow reads the record when it has changed.
func (g *guard) follow() (there bool, err error) {
	st, err := os.Stat(recordPath(g.name))
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return true, err
	}
	if g.fw != nil && st.ModTime().Equal(g.stamp) {
		return true, nil
	}
	rec, found, err := readRecord(g.name)
	if err != nil || !found {
		return err != nil, err
	}
	if rec.Mode != Installed || !rec.Plan.Lease {
		return false, nil // nothing to guard
	}
	g.close()
	g.fw, err = dialFirewall(rec.Plan.Backend)
	if err != nil {
		return true, err
	}
	g.plan, g.stamp, g.held = rec.Plan, st.ModTime(), 0
	return true, nil
}

func (g *guard) close() {
	if g.fw != nil {
		g.fw.close()
		g.fw = nil
	}
}

// NeedsGuard tells whether the plan needs a guard beside what else there is: where
// nobody else holds the lease, or nobody else would remove the rules of a process
// that died.
func (p Plan) NeedsGuard(mode Mode) bool {
	p = p.WithDefaults()
	return p.Lease && (mode == Installed || p.Backend != NFT)
}

func guardPath(name string) string { return filepath.Join(RuntimeDir(), "guard-"+name+".lock") }

// lockGuard makes this process the guard of a name, and says so.
func lockGuard(name string) (*os.File, error) {
	if err := os.MkdirAll(RuntimeDir(), 0o755); err != nil {
		return nil, fmt.Errorf("make runtime directory: %w", err)
	}
	f, err := os.OpenFile(guardPath(name), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, fmt.Errorf("open lock: %w", err)
	}
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		err = ErrGuarded
	}
	if err == nil {
		err = f.Truncate(0)
	}
	if err == nil {
		_, err = fmt.Fprintln(f, os.Getpid())
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// guardOf is the process that guards a name, 0 without one.
func guardOf(name string) int {
	f, err := os.Open(guardPath(name))
	if err != nil {
		return 0
	}
	defer f.Close()
	if unix.Flock(int(f.Fd()), unix.LOCK_SH|unix.LOCK_NB) == nil {
		return 0 // nobody holds it
	}
	b := make([]byte, 32)
	n, _ := f.Read(b)
	pid, _ := strconv.Atoi(strings.TrimSpace(string(b[:n])))
	return pid
}
