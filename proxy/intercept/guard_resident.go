package intercept

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os/exec"
)

// A process whose rules nobody would remove when it dies (NeedsGuard, Resident)
// has a child for that: they share a pipe, whose end the kernel closes with the
// process. The lease is the second net, for when both are killed together.

const (
	guardReady = "ready" // the child says that it watches
	guardBye   = 'q'     // the parent has removed the rules itself
)

// StartGuard starts the guard of a Resident interception: a program that calls
// GuardParent with its standard input. It is ended by Close. It may be called once.
func (h *Handle) StartGuard(cmd *exec.Cmd) error {
	in, err := cmd.StdinPipe()
	if err != nil {
		return fmt.Errorf("start guard: %w", err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return fmt.Errorf("start guard: %w", err)
	}
	start := func(f func() error) error { return f() }
	h.mu.Lock()
	if w, ok := h.fw.(*iptWall); ok {
		start = w.ns.do // a process is in the network namespace of the thread that starts it
	}
	h.mu.Unlock()
	if err := start(cmd.Start); err != nil {
		return fmt.Errorf("start guard: %w", err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil || line != guardReady+"\n" {
		in.Close()
		return errors.Join(fmt.Errorf("start guard: it said %q", line), cmd.Wait())
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.guard = &guardChild{cmd, in}
	return nil
}

// guardChild is a guard that was started.
type guardChild struct {
	cmd *exec.Cmd
	in  io.WriteCloser
}

// end lets the guard go without doing anything.
func (g *guardChild) end() {
	_, _ = g.in.Write([]byte{guardBye})
	g.in.Close()
	_ = g.cmd.Wait() // it may have been killed: that is for others to find
}

// GuardParent removes the rules of a process that has died: the one that has the
// other end of in, and applied the rules of that name as a Resident. It returns
// when they are removed, or when the process says that it did so. out gets one
// line once it watches.
func GuardParent(name string, parent int, in io.Reader, out io.Writer) error {
	rec, found, err := readRecord(name)
	if err != nil {
		return fmt.Errorf("guard %q: %w", name, err)
	}
	if !found || rec.Mode != Resident || rec.PID != parent {
		return fmt.Errorf("guard %q: process %d has no such rules", name, parent)
	}
	fw, err := dialFirewall(rec.Plan.Backend)
	if err != nil {
		return fmt.Errorf("guard %q: %w", name, err)
	}
	defer fw.close()
	if _, err := fmt.Fprintln(out, guardReady); err != nil {
		return fmt.Errorf("guard %q: %w", name, err)
	}
	b := make([]byte, 1)
	if n, _ := in.Read(b); n == 1 && b[0] == guardBye {
		return nil
	}
	// First what is quick, and lets connections pass. It may be that somebody else
	// has these rules by now: they renew their lease at once.
	renewed := fw.renew(rec.Plan, 0)
	if err := removeOf(rec); err != nil {
		return fmt.Errorf("guard %q: %w", name, errors.Join(err, renewed))
	}
	return nil
}

// removeOf removes the rules of a process that has died, unless somebody else has
// applied the name since.
func removeOf(dead record) error {
	l, err := lock()
	if err != nil {
		return err
	}
	defer l.Close()
	now, found, err := readRecord(dead.Plan.Name)
	if err != nil || !found || now.PID != dead.PID || now.Started != dead.Started {
		return err
	}
	return removeLocked(dead.Plan.Name, true)
}
