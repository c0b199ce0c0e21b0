package admin

import (
	"fmt"
	"strings"
	"time"
)

// lastGoodText says in a line that the last known good configuration serves.
func lastGoodText(saved time.Time, resources int, unanswered []string) string {
	s := fmt.Sprintf("last known good configuration of %s: %d resources", saved.UTC().Format(time.RFC3339), resources)
	if len(unanswered) > 0 {
		s += ", no control plane has answered for " + strings.Join(unanswered, ", ")
	}
	return s + "\n"
}
