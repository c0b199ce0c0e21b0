package doctor

import (
	"errors"
	"fmt"

	"github.com/weirproxy/weir/proxy/intercept"
)

// repairKind is what a repair does.
type repairKind uint8

const (
	setSysctl   repairKind = iota // name = value
	linkUp                        // name
	mendRouting                   // of plan
	reapplyPlan                   // plan, installed
	removeRules                   // name
)

// repair is a change that is safe to make without asking further: it puts back what
// the plan says, or what Linux has by default.
type repair struct {
	kind        repairKind
	name, value string
	plan        intercept.Plan
}

// String says what it does.
func (r repair) String() string {
	switch r.kind {
	case setSysctl:
		return "set " + r.name + " = " + r.value
	case linkUp:
		return "set interface " + r.name + " up"
	case mendRouting:
		return "add what is missing of the policy rules and routes of rules " + r.plan.WithDefaults().Name
	case reapplyPlan:
		return "apply the plan of rules " + r.plan.WithDefaults().Name + " again"
	case removeRules:
		return "remove what is left of rules " + r.name
	}
	return "nothing"
}

// make does it, in the network namespace of the calling thread.
func (r repair) make() error {
	switch r.kind {
	case setSysctl:
		return intercept.SetSysctl(intercept.Sysctl{Key: r.name, Value: r.value})
	case linkUp:
		return intercept.SetLinkUp(r.name)
	case mendRouting:
		return intercept.MendRouting(r.plan)
	case reapplyPlan:
		h, err := intercept.Apply(r.plan, intercept.Installed)
		if err == nil {
			h.Release()
		}
		return err
	case removeRules:
		return intercept.Remove(r.name)
	}
	return nil
}

// Mend makes the repairs of a report that are safe, causes first, each once, and
// says what it did. Findings without one are left to people.
func Mend(r *Report, did func(string)) error {
	var errs []error
	seen := map[string]bool{}
	for _, x := range r.Findings {
		for _, y := range append([]Finding{x}, x.Follows...) {
			for _, p := range y.repairs {
				if y.Level == Note || seen[p.String()] {
					continue
				}
				seen[p.String()] = true
				if err := p.make(); err != nil {
					errs = append(errs, fmt.Errorf("%s: %w", p, err))
					continue
				}
				did(fmt.Sprintf("%s: %s", y.Code, p))
			}
		}
	}
	return errors.Join(errs...)
}
