package admin

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strings"
	"syscall"

	"github.com/weirproxy/weir/config/bootstrap"
)

// Listen opens the socket that a bootstrap's admin says. A unix socket that
// nobody listens on any more, left by a process that was killed, is replaced;
// the new one has the mode that is asked for from its first moment on.
func Listen(a *bootstrap.Admin) (net.Listener, error) {
	if a.Network != "unix" || strings.HasPrefix(a.Address, "@") {
		ln, err := net.Listen(a.Network, a.Address)
		if err != nil {
			return nil, fmt.Errorf("admin: %w", err)
		}
		return ln, nil
	}
	if err := removeStale(a.Address); err != nil {
		return nil, fmt.Errorf("admin: %w", err)
	}
	ln, err := net.Listen("unix", a.Address)
	if err != nil {
		return nil, fmt.Errorf("admin: %w", err)
	}
	if a.Mode != 0 {
		if err := os.Chmod(a.Address, a.Mode); err != nil {
			_ = ln.Close()
			return nil, fmt.Errorf("admin: %w", err)
		}
	}
	return ln, nil
}

// removeStale removes a socket that nobody listens on. Anything else at that
// path stays, and listening then says why it cannot be.
func removeStale(path string) error {
	st, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if st.Mode().Type() != fs.ModeSocket {
		return fmt.Errorf("listen unix %s: the path is taken by something that is no socket", path)
	}
	c, err := net.Dial("unix", path)
	if err == nil {
		_ = c.Close()
		return fmt.Errorf("listen unix %s: another process listens there", path)
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return err
	}
	return os.Remove(path)
}
