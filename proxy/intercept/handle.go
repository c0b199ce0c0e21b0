package intercept

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
)

// Handle is an applied interception.
type Handle struct {
	mode  Mode   // set in Apply, never changed
	netns uint64 // set in Apply, never changed: inode of the namespace

	mu      sync.Mutex
	plan    Plan        // guarded by mu
	fw      firewall    // guarded by mu; nil once closed. A Resident nftables table belongs to it.
	rt      *rtConn     // guarded by mu
	sysctls sysctlFiles // guarded by mu
	guard   *guardChild // guarded by mu; nil without one
	shared  []string    // set in Apply, never changed: see record.Shared
}

// Mode is how the handle's interception lives.
func (h *Handle) Mode() Mode { return h.mode }

// Plan is the plan in force, defaults filled in.
func (h *Handle) Plan() Plan {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.plan
}

// Reapply replaces the rules by those of another plan, or restores them after a
// drift, in one transaction. Connections that are already intercepted stay so.
// Name, backend, marks, table, priority, families, Local, Redirect and sysctls must
// be the same. It
// may be called from any thread.
func (h *Handle) Reapply(p Plan) error {
	p = p.WithDefaults()
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.fw == nil {
		return fmt.Errorf("intercept %q: %w", p.Name, os.ErrClosed)
	}
	if err := p.Validate(); err != nil {
		return fmt.Errorf("intercept %q: %w", p.Name, err)
	}
	o := h.plan
	if p.Name != o.Name || p.Mark != o.Mark || p.MarkMask != o.MarkMask || p.LocalMark != o.LocalMark || p.Table != o.Table ||
		p.Priority != o.Priority || p.Families != o.Families || p.Local != o.Local || p.Redirect != o.Redirect || p.Backend != o.Backend || !slices.Equal(p.Sysctls, o.Sysctls) {
		return fmt.Errorf("intercept %q: name, backend, marks, table, priority, families, local, redirect and sysctls can change only by Close and Apply", o.Name)
	}
	for _, r := range p.routing() {
		if _, err := h.rt.add(r); err != nil {
			return fmt.Errorf("intercept %q: %w", p.Name, err)
		}
	}
	found, err := isInstalled(h.fw, p.Name)
	if err == nil {
		err = h.fw.replace(p, h.mode, found)
	}
	if err != nil {
		return fmt.Errorf("intercept %q: %w", p.Name, err)
	}
	h.plan = p
	return nil
}

// Release lets the handle go and leaves an Installed interception in place; a
// Resident table goes with its socket, its policy rules and route stay.
func (h *Handle) Release() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.release()
}

func (h *Handle) release() {
	if h.fw == nil {
		return
	}
	h.fw.close()
	h.rt.close()
	h.sysctls.close()
	h.fw, h.rt, h.sysctls = nil, nil, nil
	if h.guard != nil {
		h.guard.end()
		h.guard = nil
	}
}

// Close removes everything that Apply made and restores what it changed, but for
// what keeps a Resident plan that fails closed from passing: Remove opens that. The
// table goes first: from then on traffic takes its own way. It may be called
// more than once.
func (h *Handle) Close() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.fw == nil {
		return nil
	}
	defer h.release()
	l, err := lock()
	if err == nil {
		defer l.Close()
	}
	errs := []error{err}
	found, err := isInstalled(h.fw, h.plan.Name)
	if err == nil && found {
		err = h.fw.remove(h.plan.Name)
	}
	errs = append(errs, err, h.fw.tidy(h.shared))
	if w, ok := h.fw.(*nftWall); ok && h.mode == Installed {
		errs = append(errs, w.open(h.plan.Name))
	}
	for _, r := range slices.Backward(h.plan.routing()) {
		errs = append(errs, h.rt.del(r))
	}
	errs = append(errs, h.sysctls.restore(), removeRecordOf(h.plan.Name, h.netns))
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("intercept %q: close: %w", h.plan.Name, err)
	}
	return nil
}
