package intercept

import (
	"errors"
	"fmt"
	"os"
	"strings"
)

// sysctlFile turns a key of sysctl(8) into a path: dots separate, and a dot
// within an interface name is written as a slash.
func sysctlFile(key string) string {
	return strings.Map(func(r rune) rune {
		switch r {
		case '.':
			return '/'
		case '/':
			return '.'
		}
		return r
	}, key)
}

// sysctlName is an interface name as part of a key.
func sysctlName(ifname string) string { return strings.ReplaceAll(ifname, ".", "/") }

// readSysctl reads a setting of the calling thread's network namespace.
func readSysctl(key string) (string, error) {
	b, err := os.ReadFile("/proc/sys/" + sysctlFile(key))
	if err != nil {
		return "", fmt.Errorf("read sysctl %s: %w", key, err)
	}
	return strings.TrimSpace(string(b)), nil
}

// sysctlFiles are open settings: a file under /proc/sys/net belongs for ever to
// the namespace of the thread that opened it, so they can be restored from any.
type sysctlFiles []*openSysctl

type openSysctl struct {
	Sysctl // the value that was there before
	file   *os.File
}

// openSysctls opens the settings and reads their values.
func openSysctls(want []Sysctl) (sysctlFiles, error) {
	var out sysctlFiles
	for _, s := range want {
		old, err := readSysctl(s.Key)
		if err != nil {
			out.close()
			return nil, err
		}
		f, err := os.OpenFile("/proc/sys/"+sysctlFile(s.Key), os.O_WRONLY, 0)
		if err != nil {
			out.close()
			return nil, fmt.Errorf("open sysctl %s: %w", s.Key, err)
		}
		out = append(out, &openSysctl{Sysctl{s.Key, old}, f})
	}
	return out, nil
}

func (s *openSysctl) write(value string) error {
	if _, err := s.file.WriteAt([]byte(value), 0); err != nil {
		return fmt.Errorf("set sysctl %s=%s: %w", s.Key, value, err)
	}
	return nil
}

// old are the values that were there before.
func (fs sysctlFiles) old() []Sysctl {
	var out []Sysctl
	for _, f := range fs {
		out = append(out, f.Sysctl)
	}
	return out
}

// original replaces the values to restore by those that an earlier record has.
func (fs sysctlFiles) original(recorded []Sysctl) {
	for _, f := range fs {
		for _, r := range recorded {
			if r.Key == f.Key {
				f.Value = r.Value
			}
		}
	}
}

// restore writes the old values back, last change first.
func (fs sysctlFiles) restore() error {
	var errs []error
	for i := len(fs) - 1; i >= 0; i-- {
		errs = append(errs, fs[i].write(fs[i].Value))
	}
	return errors.Join(errs...)
}

func (fs sysctlFiles) close() {
	for _, f := range fs {
		f.file.Close()
	}
}

// restoreSysctls writes recorded values back; an interface that has gone took
// its settings along.
func restoreSysctls(old []Sysctl) error {
	var errs []error
	for i := len(old) - 1; i >= 0; i-- {
		fs, err := openSysctls(old[i : i+1])
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err == nil {
			err = fs[0].write(old[i].Value)
			fs.close()
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
