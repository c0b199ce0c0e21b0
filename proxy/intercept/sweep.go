package intercept

import (
	"errors"
	"fmt"
)

// Sweep removes what a Resident interception of a process left that has ended: the
// kernel has removed an owned table by itself. If somebody else has the name by now,
// there is nothing to do.
func Sweep(name string, pid int) error {
	if !validName(name) {
		return fmt.Errorf("intercept %q: sweep: not a plan's name", name)
	}
	r, found, err := readRecord(name)
	if err == nil && found && r.Mode == Resident && r.PID == pid {
		err = removeOf(r)
	}
	if err != nil && !errors.Is(err, ErrOwned) {
		return fmt.Errorf("intercept %q: sweep: %w", name, err)
	}
	return nil
}
