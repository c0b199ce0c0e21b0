package admin

import (
	"context"
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
// the new one is never more open than the mode that is asked for. The context
// bounds the listening, not what is listened to.
func Listen(ctx context.Context, a *bootstrap.Admin) (net.Listener, error) {
	if a.Network != "unix" || strings.HasPrefix(a.Address, "@") {
		ln, err := new(net.ListenConfig).Listen(ctx, a.Network, a.Address)
		if err != nil {
			return nil, fmt.Errorf("admin: %w", err)
		}
		return ln, nil
	}
	if err := removeStale(ctx, a.Address); err != nil {
		return nil, fmt.Errorf("admin: %w", err)
	}
	ln, err := listenUnix(ctx, a)
	if err != nil {
		return nil, fmt.Errorf("admin: %w", err)
	}
	if a.Mode != 0 { // bind took the umask away
		if err := os.Chmod(a.Address, a.Mode); err != nil {
			_ = ln.Close()
			return nil, fmt.Errorf("admin: %w", err)
		}
	}
	return ln, nil
}

// listenUnix binds a socket whose file is never more open than asked for: Linux
// makes the file with the mode that the unbound socket has, less the umask.
func listenUnix(ctx context.Context, a *bootstrap.Admin) (net.Listener, error) {
	var lc net.ListenConfig
	if a.Mode != 0 {
		lc.Control = func(_, _ string, c syscall.RawConn) error {
			var err error
			if cerr := c.Control(func(fd uintptr) { err = syscall.Fchmod(int(fd), uint32(a.Mode.Perm())) }); cerr != nil {
				return cerr
			}
			return err
		}
	}
	return lc.Listen(ctx, "unix", a.Address)
}

// removeStale removes a socket that nobody listens on. Anything else at that
// path stays, and listening then says why it cannot be.
func removeStale(ctx context.Context, path string) error {
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
	c, err := new(net.Dialer).DialContext(ctx, "unix", path)
	if err == nil {
		_ = c.Close()
		return fmt.Errorf("listen unix %s: another process listens there", path)
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return err
	}
	return os.Remove(path)
}
