package intercept

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// A Pending is a change of installed rules that is taken back unless it is
// confirmed: the habit of those who change a firewall over the network.
type Pending struct {
	// Name is the plan's name.
	Name string `json:"name"`
	// Until is when it is taken back.
	Until time.Time `json:"until"`
	// Token tells it from others of the name.
	Token string `json:"token"`
	// Before is the installed plan that was in force; nil: none was.
	Before *Plan `json:"before,omitempty"`
}

func pendingPath(name string) string { return filepath.Join(RuntimeDir(), "pending-"+name+".json") }

// Await notes what is in force under a name, before it is changed. Of a change that
// is not confirmed yet, what was before that counts.
func Await(name string, until time.Time) (Pending, error) {
	p := Pending{Name: name, Until: until, Token: rand.Text()}
	err := p.note()
	if err != nil {
		err = fmt.Errorf("intercept %q: await confirmation: %w", name, err)
	}
	return p, err
}

func (p *Pending) note() error {
	if !validName(p.Name) {
		return errors.New("name: not a plan's name")
	}
	l, err := lock()
	if err != nil {
		return err
	}
	defer l.Close()
	if old, found, err := readPending(p.Name); err != nil {
		return err
	} else if found {
		p.Before = old.Before
	} else if rec, found, err := readRecord(p.Name); err != nil {
		return err
	} else if found && rec.Mode == Installed {
		p.Before = &rec.Plan
	}
	b, err := json.MarshalIndent(p, "", "  ")
	if err != nil {
		return fmt.Errorf("encode: %w", err)
	}
	path := pendingPath(p.Name)
	if err := os.WriteFile(path+".new", append(b, '\n'), 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// GetPending gives the change of that name that awaits its confirmation.
func GetPending(name string) (Pending, bool, error) {
	if !validName(name) {
		return Pending{}, false, fmt.Errorf("intercept %q: name: not a plan's name", name)
	}
	return readPending(name)
}

func readPending(name string) (p Pending, found bool, err error) {
	b, err := os.ReadFile(pendingPath(name))
	if errors.Is(err, os.ErrNotExist) {
		return p, false, nil
	}
	if err == nil {
		err = json.Unmarshal(b, &p)
	}
	if err != nil {
		return p, false, fmt.Errorf("read pending change: %w", err)
	}
	return p, true, nil
}

// Confirm makes the change of that name stay; false says that none is pending.
func Confirm(name string) (bool, error) {
	p, found, err := GetPending(name)
	if err != nil || !found {
		return false, err
	}
	ok, err := p.claim()
	if err != nil {
		return false, fmt.Errorf("intercept %q: confirm: %w", name, err)
	}
	return ok, nil
}

// claim ends the waiting; false says that somebody else did.
func (p Pending) claim() (bool, error) {
	l, err := lock()
	if err != nil {
		return false, err
	}
	defer l.Close()
	if now, found, err := readPending(p.Name); err != nil || !found || now.Token != p.Token {
		return false, err
	}
	return true, os.Remove(pendingPath(p.Name))
}

// Rollback puts back what was there before, unless the change was confirmed,
// or another was made. It works in the network namespace of the calling thread.
func (p Pending) Rollback() error {
	ok, err := p.claim()
	if err != nil {
		return fmt.Errorf("intercept %q: roll back: %w", p.Name, err)
	}
	if !ok {
		return nil
	}
	if p.Before == nil {
		return Remove(p.Name)
	}
	h, err := Apply(*p.Before, Installed)
	if err != nil {
		return err
	}
	h.Release()
	return nil
}
