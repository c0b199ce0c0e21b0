// Package match has the matchers that configuration is made of: strings,
// headers, query parameters, cookies, fractions and address ranges, compiled
// from Envoy's messages once and asked without allocating.
package match

import "fmt"

// A Trace collects why matchers said yes or no. The data path passes nil, and a
// nil Trace costs one comparison: explain runs the same matchers with a real one.
type Trace struct{ Steps []Step }

// A Step is one criterion that was looked at.
type Step struct {
	Subject string `json:"subject"` // what was looked at: "route 3", "filter chain \"tls\""
	OK      bool   `json:"ok"`
	Why     string `json:"why"`
}

// Note records a step; on a nil Trace it does nothing. Callers on the data path
// guard the call with `if tr != nil` so that arguments cost nothing either.
func (t *Trace) Note(ok bool, subject, format string, args ...any) {
	if t == nil {
		return
	}
	t.Steps = append(t.Steps, Step{subject, ok, fmt.Sprintf(format, args...)})
}
