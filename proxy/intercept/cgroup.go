package intercept

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// cgroupRoot is where cgroup v2 is mounted: /sys/fs/cgroup, or a folder in it
// beside the controllers of v1.
func cgroupRoot() (string, error) {
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return "", fmt.Errorf("find cgroup v2: %w", err)
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		if at, ok := cgroupMount(s.Text()); ok {
			return at, nil
		}
	}
	return "", errors.New("cgroup v2 is not mounted")
}

// cgroupMount reads a line of mountinfo (proc_pid_mountinfo(5)): the fifth field is the
// place, the first after a lone dash the kind.
func cgroupMount(line string) (at string, ok bool) {
	before, after, _ := strings.Cut(line, " - ")
	kind, _, _ := strings.Cut(after, " ")
	if f := strings.Fields(before); kind == "cgroup2" && len(f) >= 5 {
		return f[4], true
	}
	return "", false
}

// cgroupID is the number by which the kernel knows a cgroup: its inode.
func cgroupID(root, path string) (uint64, error) {
	var st unix.Stat_t
	if err := unix.Stat(filepath.Join(root, path), &st); err != nil {
		return 0, fmt.Errorf("cgroup %q: %w", path, err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFDIR {
		return 0, fmt.Errorf("cgroup %q: not a cgroup", path)
	}
	return st.Ino, nil
}
