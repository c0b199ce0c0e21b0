package doctor

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

func compare(a, b string) int { return cmp.Compare(a, b) }

func clock(f *Facts) []Finding {
	if f.Clock.Synced {
		return nil
	}
	x := Finding{
		Text: "nothing keeps the clock in time", Evidence: []string{"adjtimex: unsynchronised, it is " + f.At.UTC().Format(time.RFC3339) + " here"},
		Fix: []string{"systemctl restart systemd-timesyncd"}, Advice: "or chronyd, or ntpd; virtual machines may get their time from the host",
	}
	if f.Live != nil && slices.ContainsFunc(f.Live.Certs, func(c LiveCert) bool { return c.NotBefore.After(f.At) }) {
		x.Level = Warning
	}
	return []Finding{x}
}

// certs makes a finding of every certificate that is as asked.
func (f *Facts) certs(bad func(LiveCert) (string, bool), advice string) (out []Finding) {
	if f.Live == nil {
		return nil
	}
	for _, c := range f.Live.Certs {
		text, is := bad(c)
		if !is {
			continue
		}
		out = append(out, Finding{
			Object: c.Of, Text: fmt.Sprintf("the certificate %q of %s %s", c.Subject, c.Of, text),
			Evidence: []string{fmt.Sprintf("valid from %s to %s, it is %s here", c.NotBefore.Format(time.RFC3339), c.NotAfter.Format(time.RFC3339), f.At.UTC().Format(time.RFC3339))},
			Advice:   advice,
		})
	}
	return out
}

func certEarly(f *Facts) []Finding {
	return f.certs(func(c LiveCert) (string, bool) { return "is not valid yet", c.NotBefore.After(f.At) },
		"is the clock right (date -u)? Else the certificate was issued for later")
}

const renew = "renew it; secrets that name files are read again when these change, those of a control plane when it sends them"

func certExpired(f *Facts) []Finding {
	return f.certs(func(c LiveCert) (string, bool) { return "has expired", !c.NotAfter.After(f.At) }, renew)
}

// certSoon is how long before its end a certificate is called for renewal.
const certSoon = 14 * 24 * time.Hour

func certExpires(f *Facts) []Finding {
	return f.certs(func(c LiveCert) (string, bool) {
		left := c.NotAfter.Sub(f.At)
		return fmt.Sprintf("expires in %d days", left/(24*time.Hour)), left > 0 && left < certSoon
	}, renew)
}

func namesUnresolved(f *Facts) []Finding {
	var evidence []string
	for _, n := range f.Names {
		if n.Answer == "" {
			return nil // one that answers is enough
		}
		evidence = append(evidence, fmt.Sprintf("%s, asked for %s: %s", n.Addr, n.Name, n.Answer))
	}
	if len(evidence) == 0 {
		return nil
	}
	return []Finding{{
		Text: "no name server gives an address for " + f.Names[0].Name, Evidence: few(evidence),
		Advice: "look at /etc/resolv.conf and at the resolver; dig @SERVER " + f.Names[0].Name,
	}}
}

func upstreamUnreachable(f *Facts) (out []Finding) {
	byName := map[string][]Reach{}
	var names []string
	for _, r := range f.Reach {
		if r.Kind != kindCluster {
			continue
		}
		if byName[r.Name] == nil {
			names = append(names, r.Name)
		}
		byName[r.Name] = append(byName[r.Name], r)
	}
	for _, name := range names {
		var evidence []string
		for _, r := range byName[name] {
			if r.Error != "" {
				evidence = append(evidence, r.Addr+": "+r.Error)
			}
		}
		if len(evidence) == 0 {
			continue
		}
		x := Finding{
			Object: "cluster " + name, Text: fmt.Sprintf("%d of %d hosts of cluster %s cannot be reached from here", len(evidence), len(byName[name]), name),
			Evidence: few(evidence), Advice: reachAdvice(evidence),
		}
		if len(evidence) < len(byName[name]) {
			x.Level = Warning
		}
		out = append(out, x)
	}
	return out
}

// reachAdvice says where to look, by why a connection was not made.
func reachAdvice(errs []string) string {
	all := strings.Join(errs, "\n")
	switch {
	case strings.Contains(all, "refused"):
		return "nothing listens there: start the server, or correct the port (ss -ltn on that host)"
	case strings.Contains(all, "no route"), strings.Contains(all, "unreachable"):
		return "there is no way there: ip route get ADDRESS, ip neigh"
	}
	return "no answer: a firewall on the way, or a host that is down; ip route get ADDRESS, then tcpdump -ni any host ADDRESS"
}

func clusterUnhealthy(f *Facts) (out []Finding) {
	if f.Live == nil || f.Live.Offline {
		return nil
	}
	for _, c := range f.Live.Clusters {
		if c.Healthy > 0 || c.Type == "ORIGINAL_DST" {
			continue
		}
		x := Finding{Object: "cluster " + c.Name, Text: fmt.Sprintf("cluster %s has no healthy host", c.Name)}
		for _, h := range c.Hosts {
			x.Evidence = append(x.Evidence, h.Addr+": "+h.Flags)
		}
		x.Evidence = few(x.Evidence)
		x.Advice = "GET /clusters has every host; weir explain names why each is out"
		if len(c.Hosts) == 0 {
			x.Text = fmt.Sprintf("cluster %s has no host", c.Name)
			x.Evidence = []string{"type " + c.Type}
			if len(c.Names) > 0 {
				x.Evidence = append(x.Evidence, "names: "+strings.Join(few(c.Names), ", "))
			}
			x.Advice = "do its names resolve; does the control plane send its endpoints (GET /xds)?"
			if len(c.Names) == 0 && c.Type == "STATIC" {
				x.Level = Note // it is written so
			}
		}
		out = append(out, x)
	}
	return out
}
