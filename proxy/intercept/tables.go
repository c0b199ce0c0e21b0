package intercept

import (
	"fmt"

	"github.com/google/nftables"
)

// Tables lists every nftables table of the network namespace, ours and others',
// as "family name", in the kernel's order: to show that nothing else changed.
func Tables() ([]string, error) {
	c, err := nftables.New()
	if err != nil {
		return nil, fmt.Errorf("list nftables tables: %w", err)
	}
	ts, err := c.ListTables()
	if err != nil {
		return nil, fmt.Errorf("list nftables tables: %w", err)
	}
	out := make([]string, len(ts))
	for i, t := range ts {
		out[i] = fmt.Sprintf("%d %s", t.Family, t.Name)
	}
	return out, nil
}
