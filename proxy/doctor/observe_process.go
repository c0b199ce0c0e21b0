package doctor

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/weirproxy/weir/proxy/intercept/survey"
)

// findProcess finds the running Weir: the one that answered, the one that the
// rules belong to, or the one that listens where they lead.
func (f *Facts) findProcess() *Process {
	var pids []int
	if f.Live != nil && f.Live.PID > 0 {
		pids = append(pids, f.Live.PID)
	}
	for _, r := range f.Rules {
		if r.OwnerAlive {
			pids = append(pids, r.Status.PID)
		}
	}
	for _, pid := range pids {
		if p := readProcess(pid); p != nil {
			return p
		}
	}
	inodes := map[uint32]bool{}
	for _, r := range f.Rules {
		for _, s := range f.Sockets {
			if r.Status.Plan != nil && s.State == survey.Listen && s.Local.Port() == r.Status.Plan.ListenPort {
				inodes[s.Inode] = true
			}
		}
	}
	if len(inodes) == 0 {
		return nil
	}
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, d := range dirs {
		pid, err := strconv.Atoi(filepath.Base(d))
		if err != nil || !alive(pid) {
			continue
		}
		p := readProcess(pid)
		if p == nil {
			continue
		}
		for i := range inodes {
			if p.Inodes[i] {
				return p
			}
		}
	}
	return nil
}

// readProcess reads what /proc has of a process; nil when it is not there.
func readProcess(pid int) *Process {
	dir := fmt.Sprintf("/proc/%d/", pid)
	status, err := os.ReadFile(dir + "status")
	if err != nil {
		return nil
	}
	p := &Process{PID: pid, Inodes: map[uint32]bool{}}
	for line := range bytes.Lines(status) {
		key, value, _ := strings.Cut(string(line), ":")
		value = strings.TrimSpace(value)
		switch key {
		case "State":
			if value != "" {
				p.State = value[0]
			}
		case "CapEff":
			p.Caps, _ = strconv.ParseUint(value, 16, 64)
		}
	}
	var l unix.Rlimit
	if unix.Prlimit(pid, unix.RLIMIT_NOFILE, nil, &l) == nil {
		p.FileLimit, p.FileHard = l.Cur, l.Max
	}
	if entries, err := os.ReadDir(dir + "fd"); err == nil {
		p.Files, p.HasFileCount = len(entries), true
		for _, e := range entries {
			to, err := os.Readlink(dir + "fd/" + e.Name())
			if err != nil {
				continue
			}
			if s, ok := strings.CutPrefix(to, "socket:["); ok {
				if n, err := strconv.ParseUint(strings.TrimSuffix(s, "]"), 10, 32); err == nil {
					p.Inodes[uint32(n)], p.HasInodes = true, true
				}
			}
		}
	}
	if exe, err := os.Readlink(dir + "exe"); err == nil {
		p.Replaced = strings.HasSuffix(exe, " (deleted)")
	}
	own, err1 := os.Readlink("/proc/thread-self/ns/net")
	its, err2 := os.Readlink(dir + "ns/net")
	p.SameNetwork = err1 != nil || err2 != nil || own == its
	return p
}
