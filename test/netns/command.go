package netns

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os/exec"
	"syscall"
)

// Cmd is an [exec.Cmd] that starts in a namespace. Start, Run, Output and
// CombinedOutput are its own; everything else is exec's.
type Cmd struct {
	*exec.Cmd
	ns *NS
}

// Command prepares a command that will run inside the namespace, in a process
// group of its own. If it still runs when the namespace is closed, it is killed
// with its group.
func (n *NS) Command(ctx context.Context, name string, arg ...string) *Cmd {
	c := exec.CommandContext(ctx, name, arg...)
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return &Cmd{Cmd: c, ns: n}
}

// Start starts the command inside the namespace.
func (c *Cmd) Start() error {
	return c.ns.Do(func() error {
		c.ns.mu.Lock()
		defer c.ns.mu.Unlock()
		if c.ns.done {
			return fmt.Errorf("netns %q: start %s: namespace is closed", c.ns.Name, c.Path)
		}
		if err := c.Cmd.Start(); err != nil {
			return err
		}
		c.ns.procs[c.Cmd] = struct{}{}
		return nil
	})
}

// Wait waits for the command to end.
func (c *Cmd) Wait() error {
	c.ns.mu.Lock()
	delete(c.ns.procs, c.Cmd)
	c.ns.mu.Unlock()
	return c.Cmd.Wait()
}

// Run starts the command and waits for it.
func (c *Cmd) Run() error {
	if err := c.Start(); err != nil {
		return err
	}
	return c.Wait()
}

// Output runs the command and returns its standard output.
func (c *Cmd) Output() ([]byte, error) {
	var out bytes.Buffer
	c.Stdout = &out
	err := c.Run()
	return out.Bytes(), err
}

// CombinedOutput runs the command and returns its standard output and error.
func (c *Cmd) CombinedOutput() ([]byte, error) {
	var out bytes.Buffer
	c.Stdout, c.Stderr = &out, &out
	err := c.Run()
	return out.Bytes(), err
}

// Listen opens a listener inside the namespace. lc may be nil; its Control is
// where a test sets IP_TRANSPARENT. The address must be numeric.
func (n *NS) Listen(ctx context.Context, lc *net.ListenConfig, network, address string) (ln net.Listener, err error) {
	if lc == nil {
		lc = &net.ListenConfig{}
	}
	err = n.Do(func() error {
		ln, err = lc.Listen(ctx, network, address)
		return err
	})
	return ln, err
}

// ListenPacket opens a packet socket inside the namespace.
func (n *NS) ListenPacket(ctx context.Context, lc *net.ListenConfig, network, address string) (pc net.PacketConn, err error) {
	if lc == nil {
		lc = &net.ListenConfig{}
	}
	err = n.Do(func() error {
		pc, err = lc.ListenPacket(ctx, network, address)
		return err
	})
	return pc, err
}

// Dial connects from inside the namespace. d may be nil. The address must be
// numeric: with one address the net package opens the socket on the calling
// goroutine, which is what puts it into the namespace.
func (n *NS) Dial(ctx context.Context, d *net.Dialer, network, address string) (c net.Conn, err error) {
	if d == nil {
		d = &net.Dialer{}
	}
	err = n.Do(func() error {
		c, err = d.DialContext(ctx, network, address)
		return err
	})
	return c, err
}

// DialContext returns a dial function for http.Transport and the like.
func (n *NS) DialContext(d *net.Dialer) func(ctx context.Context, network, address string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		return n.Dial(ctx, d, network, address)
	}
}
