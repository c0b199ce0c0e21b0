package doctor

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/weirproxy/weir/proxy/intercept/survey"
)

func conntrackFull(f *Facts) []Finding {
	c := f.Conntrack
	level := fullness(c.Count, c.Max)
	if level == "" {
		return nil
	}
	return []Finding{{
		Level: level, Text: fmt.Sprintf("connection tracking holds %d of %d connections", c.Count, c.Max),
		Evidence: []string{
			fmt.Sprintf("net.netfilter.nf_conntrack_count = %d, nf_conntrack_max = %d", c.Count, c.Max),
			fmt.Sprintf("conntrack -S: %d dropped, %d forgotten early", c.Dropped, c.EarlyDropped),
		},
		Fix:     []string{fmt.Sprintf("sysctl -w net.netfilter.nf_conntrack_max=%d", 4*max(c.Max, c.Count))},
		Advice:  "each takes about 320 bytes of the kernel's memory; Weir's own rules need none (but for local: true): see who does (nft list ruleset | grep 'ct ')",
		repairs: []repair{{kind: setSysctl, name: "net.netfilter.nf_conntrack_max", value: fmt.Sprint(4 * max(c.Max, c.Count))}},
	}}
}

// widest is the widest range of local ports.
const widest = "1024 65535"

func portsExhausted(f *Facts) (out []Finding) {
	from, to, ok := f.pair(keyPorts)
	if !ok || to < from {
		return nil
	}
	type way struct {
		local  netip.Addr
		remote netip.AddrPort
	}
	used := map[way]uint64{}
	for _, s := range f.Sockets {
		if p := int(s.Local.Port()); s.State != survey.Listen && p >= from && p <= to {
			used[way{s.Local.Addr(), s.Remote}]++
		}
	}
	room := uint64(to - from + 1)
	for w, n := range used {
		level := fullness(n, room)
		if level == "" {
			continue
		}
		x := Finding{
			Level: level, Object: "destination " + w.remote.String(), Text: fmt.Sprintf("%d of %d local ports are taken towards %s", n, room, w.remote),
			Evidence: []string{fmt.Sprintf("from %s; %s = %d %d", w.local, keyPorts, from, to)},
			Advice:   "more hosts in the cluster, or fewer and longer connections (keep-alive, HTTP/2)",
		}
		if f.Settings[keyPorts] != widest {
			x.Fix = []string{fmt.Sprintf("sysctl -w %s='%s'", keyPorts, widest)}
			x.repairs = []repair{{kind: setSysctl, name: keyPorts, value: widest}}
		}
		out = append(out, x)
	}
	slices.SortFunc(out, func(a, b Finding) int { return compare(a.Object, b.Object) })
	return out
}

func acceptQueue(f *Facts) (out []Finding) {
	for _, r := range f.active() {
		for _, s := range f.at(r.Status.Plan.ListenPort) {
			level := fullness(uint64(s.Waiting), uint64(s.Backlog))
			if level == "" {
				continue
			}
			out = append(out, Finding{
				Level: level, Object: "socket " + s.Local.String(), Text: fmt.Sprintf("%d connections wait to be accepted, of %d that may", s.Waiting, s.Backlog),
				Evidence: []string{
					fmt.Sprintf("ss -ltn sport = :%d: Recv-Q %d, Send-Q %d", s.Local.Port(), s.Waiting, s.Backlog),
					fmt.Sprintf("%d dropped since this network namespace exists (nstat -az TcpExtListenOverflows)", f.Counters["TcpExt.ListenOverflows"]),
				},
				Advice: "is the processor busy (top -H)? more threads: --concurrency; more room: net.core.somaxconn",
			})
		}
	}
	return out
}

// shortBacklog is less than what a listener should have room for: Linux' own default
// was 128 until 5.4.
const shortBacklog = 128

func shortQueue(f *Facts) (out []Finding) {
	for _, r := range f.active() {
		for _, s := range f.at(r.Status.Plan.ListenPort) {
			if s.Backlog == 0 || s.Backlog >= shortBacklog {
				continue
			}
			out = append(out, Finding{
				Object: "socket " + s.Local.String(), Text: fmt.Sprintf("only %d connections may wait to be accepted on %s", s.Backlog, s.Local),
				Evidence: []string{
					fmt.Sprintf("ss -ltn sport = :%d: Send-Q %d; %s = %s", s.Local.Port(), s.Backlog, keySomaxconn, f.Settings[keySomaxconn]),
				},
				Fix:    []string{"sysctl -w " + keySomaxconn + "=4096"},
				Advice: "then restart Weir: a listener keeps the room that it began with. Or raise tcp_backlog_size of the listener, if that is small",
			})
			break
		}
	}
	return out
}
