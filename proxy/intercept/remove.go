package intercept

import (
	"errors"
	"fmt"
)

// Remove takes away an interception by its name, in the network namespace of the
// calling thread: the rules of all backends, the policy rules, the routes, and the
// sysctls by the record in the runtime directory. A lost record does not matter:
// the rest is found in the kernel. Removing what is not there is no error; a table
// that a running process holds is (ErrOwned): stop that process instead.
//
// It also clears what other dead processes of Weir left.
func Remove(name string) error {
	if err := remove(name); err != nil {
		return fmt.Errorf("intercept %q: remove: %w", name, err)
	}
	return nil
}

func remove(name string) error {
	if !validName(name) {
		return errors.New("name: not a plan's name")
	}
	l, err := lock()
	if err != nil {
		return err
	}
	defer l.Close()
	return removeLocked(name, false)
}

// removeLocked is remove under the lock of the runtime directory. dead says that
// the process that holds the rules, by the record, is known to be no more.
func removeLocked(name string, dead bool) error {
	rt, err := dialRT()
	if err != nil {
		return err
	}
	defer rt.close()

	there, err := listAll()
	if err != nil {
		return err
	}
	rec, found, err := readRecord(name)
	if err != nil {
		return err
	}
	var keep []routingKey
	for _, t := range there {
		if t.name != name {
			if k, ok := parseTableComment(t.comment); ok {
				keep = append(keep, k)
			}
			continue
		}
		if by := t.heldBy(); by != "" && (t.owner != 0 || !dead) {
			return fmt.Errorf("%s is %w (%s)", t, ErrOwned, by)
		}
		if err := removeRules(t, rec, found); err != nil {
			return err
		}
	}
	errs := []error{rt.orphans(keep, nil)}
	if !dead {
		errs = append(errs, open(name)) // a death is what it is closed for
	}
	if found {
		errs = append(errs, restoreSysctls(rec.Sysctls), removeRecord(name))
	}
	return errors.Join(errs...)
}

// removeRules removes the rules of one backend, and what was made for them.
func removeRules(t installed, rec record, found bool) error {
	fw, err := dialFirewall(t.backend)
	if err != nil {
		return err
	}
	defer fw.close()
	if err := fw.remove(t.name); err != nil {
		return err
	}
	if !found {
		return nil // who knows what was there before
	}
	return fw.tidy(rec.Shared)
}
