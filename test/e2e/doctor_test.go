package e2e

import (
	"testing"
)

// TestTheDoctorNamesWhatIsBroken breaks a host in every way there is a row for.
func TestTheDoctorNamesWhatIsBroken(t *testing.T) {
	t.Parallel()
	for _, f := range faults() {
		t.Run(f.name, f.run)
	}
}

func faults() []fault {
	return []fault{
		{name: "policy rule deleted", code: "WD305", sh: "ip rule del pref 5101"},
		{name: "policy rules deleted, both families", code: "WD305", sh: "ip rule del pref 5101; ip -6 rule del pref 5101", fix: true},
		{name: "route deleted", code: "WD304", sh: "ip route flush table 15001"},
		{name: "table deleted", code: "WD301", sh: "nft delete table inet weir-main"},
		{name: "rules flushed", code: "WD303", sh: "nft flush chain inet weir-main prerouting"},
		{name: "firewall that opens ports only", code: "WD309", sh: nft(`table inet fw {
			chain in {
				type filter hook input priority 0; policy drop
				ct state established,related accept
				iif lo accept
				meta l4proto ipv6-icmp accept
				tcp dport 22 accept
			}
		}`)},
		{name: "rule of a VPN before ours", code: "WD306", sh: "ip rule add pref 100 lookup main"},
	}
}

// nft makes a command of a rule set.
func nft(rules string) string { return "nft -f - <<'END'\n" + rules + "\nEND" }
