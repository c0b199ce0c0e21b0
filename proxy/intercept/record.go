package intercept

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// Mode says how long an interception lives.
type Mode uint8

// The modes.
const (
	// Resident lives and dies with the process that applied it.
	Resident Mode = iota
	// Installed stays until Remove.
	Installed
)

// String is the word people use for the mode.
func (m Mode) String() string {
	if m == Installed {
		return "installed"
	}
	return "resident"
}

// record is what Apply writes before it changes anything, so that whoever comes
// later can undo it: the next Apply after a SIGKILL, or `weir intercept down`.
type record struct {
	Version int    `json:"version"` // 1
	Mode    Mode   `json:"mode"`
	PID     int    `json:"pid"`
	Plan    Plan   `json:"plan"`
	Netns   uint64 `json:"netns"` // inode of the network namespace that was changed
	// Started is when the process was, in the kernel's ticks since the machine's start:
	// it tells a process from a later one of the same number.
	Started uint64 `json:"started,omitempty"`
	// Shared are the tables and chains that others' rules may be in, as they were before.
	Shared []string `json:"shared,omitempty"`
	// Sysctls are the values that were there before.
	Sysctls []Sysctl `json:"sysctls,omitempty"`
}

// RuntimeDir is where records are kept: $RUNTIME_DIRECTORY (systemd),
// $XDG_RUNTIME_DIR/weir or /run/weir.
func RuntimeDir() string {
	if dir, _, _ := strings.Cut(os.Getenv("RUNTIME_DIRECTORY"), ":"); dir != "" {
		return dir
	}
	if dir := os.Getenv("XDG_RUNTIME_DIR"); dir != "" {
		return filepath.Join(dir, "weir")
	}
	return "/run/weir"
}

// netnsID is the inode of the calling thread's network namespace.
func netnsID() (uint64, error) {
	var st unix.Stat_t
	if err := unix.Stat("/proc/thread-self/ns/net", &st); err != nil {
		return 0, fmt.Errorf("stat network namespace: %w", err)
	}
	return st.Ino, nil
}

// recordPath is where the record of a plan is, or will be, of the calling
// thread's network namespace.
func recordPath(name string) string {
	id, _ := netnsID()
	return recordPathOf(name, id)
}

// recordPathOf is recordPath for another namespace. The first that has a plan of
// that name gets the plain path; in further ones the namespace's number is added.
func recordPathOf(name string, netns uint64) string {
	plain := filepath.Join(RuntimeDir(), "intercept-"+name+".json")
	own := filepath.Join(RuntimeDir(), fmt.Sprintf("intercept-%s@%d.json", name, netns))
	if _, err := os.Stat(own); err == nil {
		return own
	}
	var r record
	if b, err := os.ReadFile(plain); err == nil && json.Unmarshal(b, &r) == nil && r.Netns != netns {
		return own
	}
	return plain
}

// lock keeps other processes from changing interceptions at the same time. The
// kernel lets go of it when the file is closed.
func lock() (*os.File, error) {
	if err := os.MkdirAll(RuntimeDir(), 0o755); err != nil {
		return nil, fmt.Errorf("make runtime directory: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(RuntimeDir(), "intercept.lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open lock: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err != nil {
		f.Close()
		return nil, fmt.Errorf("lock %s: %w", f.Name(), err)
	}
	return f, nil
}

// write stores the record, whole or not at all.
func (r record) write() error {
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("encode record: %w", err)
	}
	path := recordPathOf(r.Plan.Name, r.Netns)
	if err := os.WriteFile(path+".new", append(b, '\n'), 0o600); err != nil {
		return fmt.Errorf("write record: %w", err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		return fmt.Errorf("write record: %w", err)
	}
	return nil
}

// readRecord reads a plan's record; one that is missing, cannot be read by this
// version, or is of another network namespace (the host has one, a demo others),
// is no record: it must not keep anybody from starting or from cleaning up.
func readRecord(name string) (record, bool, error) {
	b, err := os.ReadFile(recordPath(name))
	if errors.Is(err, os.ErrNotExist) {
		return record{}, false, nil
	}
	if err != nil {
		return record{}, false, fmt.Errorf("read record: %w", err)
	}
	var r record
	if json.Unmarshal(b, &r) != nil {
		return record{}, false, nil
	}
	id, err := netnsID()
	if err != nil {
		return record{}, false, err
	}
	return r, r.Netns == id && r.Version == 1, nil
}

// Recorded is the plan of the installed rules of that name, in the network namespace
// of the calling thread; false when there is none that could be read.
func Recorded(name string) (Plan, bool) {
	if !validName(name) {
		return Plan{}, false
	}
	rec, found, err := readRecord(name)
	return rec.Plan, err == nil && found && rec.Mode == Installed
}

func removeRecord(name string) error {
	if err := os.Remove(recordPath(name)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("remove record: %w", err)
	}
	return nil
}

// tableComment says, in the kernel, what a table's plan uses beside it: with it
// the rest can be found and removed when the record is lost.
func tableComment(p Plan) string {
	k := p.key()
	return fmt.Sprintf("weir port=%d mark=%#x/%#x table=%d priority=%d", p.ListenPort, k.mark, k.mask, k.table, k.priority)
}

// parseTableComment reads what tableComment wrote.
func parseTableComment(s string) (k routingKey, ok bool) {
	var port int
	n, err := fmt.Sscanf(s, "weir port=%d mark=%v/%v table=%d priority=%d", &port, &k.mark, &k.mask, &k.table, &k.priority)
	return k, err == nil && n == 5
}

// removeRecordOf removes the record unless it is of another network namespace.
func removeRecordOf(name string, netns uint64) error {
	if err := os.Remove(recordPathOf(name, netns)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("remove record: %w", err)
	}
	return nil
}
