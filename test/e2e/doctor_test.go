package e2e

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestTheDoctorNamesWhatIsBroken breaks a host in every way there is a row for: the
// cause is named, alone; its own commands mend it; traffic flows again.
func TestTheDoctorNamesWhatIsBroken(t *testing.T) {
	t.Parallel()
	for _, list := range [][]fault{rulesFaults(), firewallFaults(), settingFaults(), processFaults(), configFaults()} {
		for _, f := range list {
			t.Run(f.name, f.run)
		}
	}
}

// nft makes a command of a rule set.
func nft(rules string) string { return "nft -f - <<'END'\n" + rules + "\nEND" }

// established lets packets of connections that there are pass, and what a machine
// cannot do without.
const established = `
	ct state established,related accept
	meta l4proto ipv6-icmp accept
`

// iptables are the arguments of rules that iptables holds.
var iptables = []string{"--interface", "lan0", "--reply-spoofed", "--backend", "iptables"}

// rulesFaults are what happens to rules, policy rules and routes.
func rulesFaults() []fault {
	return []fault{
		{name: "policy rule deleted", code: "WD305", sh: "ip rule del pref 5101"},
		{name: "policy rules deleted, both families", code: "WD305", sh: "ip rule del pref 5101; ip -6 rule del pref 5101", fix: true},
		{name: "all policy rules flushed", code: "WD305", sh: "ip rule flush; ip rule add pref 32766 lookup main"},
		{name: "route deleted", code: "WD304", sh: "ip route flush table 15001"},
		{name: "routes deleted, both families", code: "WD304", sh: "ip route flush table 15001; ip -6 route flush table 15001", fix: true},
		{name: "table deleted", code: "WD301", sh: "nft delete table inet weir-main"},
		{name: "ruleset flushed and policy rule lost", code: "WD301", follows: []string{"WD305"}, sh: "nft flush ruleset; ip rule del pref 5101"},
		{name: "table dormant", code: "WD301", sh: "nft 'add table inet weir-main { flags dormant; }'"},
		{name: "chain flushed", code: "WD303", sh: "nft flush chain inet weir-main prerouting"},
		{name: "rule of somebody else's in our table", code: "WD303", sh: "nft insert rule inet weir-main capture accept"},
		{name: "policy rule of a VPN before ours", code: "WD306", sh: "ip rule add pref 100 lookup main"},
		{name: "jump of iptables deleted", code: "WD303", up: iptables, sh: "iptables -t mangle -D PREROUTING 1"},
		{name: "guard of iptables killed", code: "WD323", up: iptables, broken: func(h *host) {
			if err := unix.Kill(h.interceptStatus(0).Guard, unix.SIGKILL); err != nil {
				h.t.Fatal(err)
			}
			h.until("the lease runs out", func() error {
				if h.flows() == nil {
					return errors.New("connections are still taken")
				}
				return nil
			})
		}},
		{name: "our mark is another program's", code: "WD306", sh: "ip rule add pref 50 fwmark 0x1000/0x1000 blackhole", also: []string{"blackhole"}},
	}
}

// firewallFaults are what other programs' chains do.
func firewallFaults() []fault {
	return []fault{
		{name: "firewall that opens ports only", code: "WD309", sh: nft(`table inet fw {
			chain in {
				type filter hook input priority 0; policy drop
				` + established + `
				iif lo accept
				tcp dport 22 accept
			}
		}`)},
		{name: "iptables that opens ports only", code: "WD309", sh: "iptables -A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT; iptables -A INPUT -p tcp --dport 22 -j ACCEPT; iptables -P INPUT DROP"},
		{name: "iptables that rejects at the end", code: "WD309", sh: "iptables -A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT; iptables -A INPUT -j REJECT"},
		{name: "port dropped before", code: "WD307", sh: nft(`table inet ids {
			chain early {
				type filter hook prerouting priority raw; policy accept
				tcp dport { 80, 443 } drop
			}
		}`)},
		{name: "everything dropped before", code: "WD307", sh: nft(`table ip ids {
			chain early {
				type filter hook prerouting priority -160; policy drop
				` + established + `
				udp dport 53 accept
			}
		}`)},
		{name: "mark overwritten", code: "WD308", sh: nft(`table inet qos {
			chain classes {
				type filter hook prerouting priority -100; policy accept
				meta l4proto tcp meta mark set 0x1
			}
		}`)},
		{name: "dropped after", code: "WD308", sh: nft(`table inet late {
			chain pre {
				type filter hook prerouting priority -10; policy accept
				iifname "lan0" tcp dport 80 jump no
			}
			chain no {
				drop
			}
		}`)},
		{name: "another transparent proxy", code: "WD307", sh: nft(`table inet other {
			chain pre {
				type filter hook prerouting priority -160; policy accept
				meta nfproto ipv4 tcp dport 80 tproxy ip to :9 meta mark set 1 accept
			}
		}`), works: true},
		{name: "own connections dropped", code: "WD310", follows: []string{"WD506"}, sh: nft(`table inet fw {
			chain out {
				type filter hook output priority 0; policy drop
				` + established + `
			}
		}`)},
		{name: "nothing forwarded", code: "WD311", works: true, sh: "iptables -P FORWARD DROP"},
		{
			name: "a canary tells", code: "WD307", follows: []string{"WD321"}, up: []string{"--reply-spoofed"},
			diagnose: []string{"--canary", "10.91.2.2:80"}, sh: nft(`table inet ids {
				chain early {
					type filter hook prerouting priority raw; policy accept
					tcp dport 80 drop
				}
			}`),
		},
	}
}

// settingFaults are settings, interfaces and what runs out.
func settingFaults() []fault {
	return []fault{
		{name: "loopback down", code: "WD201", sh: "ip link set lo down", works: true},
		{name: "loopback down, mended by itself", code: "WD201", sh: "ip link set lo down", works: true, fix: true},
		{name: "interface down", code: "WD202", sh: "ip link set lan0 down"},
		{name: "forwarding off", code: "WD203", sh: "sysctl -qw net.ipv4.ip_forward=0", works: true},
		{
			name: "strict reverse path", code: "WD204", works: true, sh: "sysctl -qw net.ipv4.conf.lan0.rp_filter=1",
			broken: func(h *host) { h.strayPacket() },
		},
		{name: "MTU too small for IPv6", code: "WD206", sh: "ip link set wan0 mtu 1200", works: true},
		{
			name: "local ports used up", code: "WD402", works: true,
			broken: func(h *host) {
				h.sh("sysctl -qw net.ipv4.ip_local_port_range='40000 40003'")
				for range 4 {
					l := h.dial(h.at4("7001"))
					l.send("echo")
					l.expect("echo")
				}
			},
		},
		{name: "large packets vanish", code: "WD207", works: true, broken: (*host).blackHole},
	}
}

// processFaults are what happens to Weir and its listener.
func processFaults() []fault {
	again := func(h *host) { h.p = h.start(h.boot, h.args...) }
	with := func(boot string, args ...string) func(*host) {
		return func(h *host) {
			h.p.stop()
			if args == nil {
				args = h.args
			}
			h.p = h.start(boot, args...)
		}
	}
	restart := func(h *host) { h.p.stop(); again(h) }
	return []fault{
		{
			name: "stopped", code: "WD103", unwatched: true, follows: []string{"WD601"}, broken: func(h *host) {
				h.p.signal(unix.SIGSTOP)
				p := h.p.cmd.Process
				h.t.Cleanup(func() { _ = p.Signal(unix.SIGCONT) }) // or it could not be ended
			},
		},
		{name: "killed, rules installed", code: "WD104", follows: []string{"WD313"}, broken: func(h *host) { h.p.kill() }, mend: again},
		{name: "killed, rules its own", code: "WD104", args: takeAll, unwatched: true, follows: []string{"WD302"}, broken: func(h *host) { h.p.kill() }, mend: again},
		{
			name: "no file descriptors left", code: "WD106",
			broken: func(h *host) {
				h.sh(fmt.Sprintf("prlimit --pid %d --nofile=3:", h.p.cmd.Process.Pid))
			},
		},
		{
			name: "listener is not transparent", code: "WD314",
			broken: with(strings.Replace(toV1, "transparent: true", "transparent: false", 1)), mend: restart,
		},
		{
			name: "listener on another port", code: "WD313",
			broken: with(strings.ReplaceAll(toV1, "15001", "15002")), mend: restart,
		},
		{
			name: "listener on one address", code: "WD315",
			broken: with(strings.Replace(toV1, "address: 0.0.0.0", "address: 10.91.1.1", 1)), mend: restart,
		},
		{
			name: "listener without IPv6", code: "WD315", works: true, broken: func(h *host) {
				i, j := strings.Index(toV1, "    additional_addresses"), strings.Index(toV1, "    listener_filters_timeout")
				with(toV1[:i] + toV1[j:])(h)
			}, mend: restart,
		},
		{
			name: "short accept queue", code: "WD404", works: true, broken: func(h *host) {
				h.sh("sysctl -qw net.core.somaxconn=4")
				restart(h)
			}, mend: func(h *host) {
				h.sh("sysctl -qw net.core.somaxconn=4096")
				restart(h)
			},
		},
	}
}

// configFaults are upstreams and the configuration.
func configFaults() []fault {
	server := func(script string) func(*host) {
		return func(h *host) {
			h.t.Helper()
			if out, err := h.top.Server.Command(h.t.Context(), "sh", "-ec", script).CombinedOutput(); err != nil {
				h.t.Fatalf("%s: %v\n%s", script, err, out)
			}
		}
	}
	cds := func(text string) func(*host) {
		return func(h *host) {
			h.t.Helper()
			path := filepath.Join(h.dir, "cds.yaml")
			if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
				h.t.Fatal(err)
			}
			if err := os.Rename(path+".new", path); err != nil {
				h.t.Fatal(err)
			}
		}
	}
	const fromFile = `
dynamic_resources: {cds_config: {path_config_source: {path: $dir/cds.yaml, watched_directory: {path: $dir}}}}
` + toV1
	good := func(version string) string {
		return `version_info: "` + version + `"
resources:
- {"@type": type.googleapis.com/envoy.config.cluster.v3.Cluster, name: more, type: STATIC, connect_timeout: 1s, load_assignment: {cluster_name: more}}
`
	}
	return []fault{
		{
			name: "server does not answer", code: "WD506", broken: server("nft add table ip fw; nft add chain ip fw in '{ type filter hook input priority 0; }'; nft add rule ip fw in tcp dport 8081 drop"),
			mend: server("nft delete table ip fw"), also: []string{"10.91.2.2:8081: no answer"},
		},
		{
			name: "server refuses", code: "WD506", broken: server("nft add table ip fw; nft add chain ip fw in '{ type filter hook input priority 0; }'; nft add rule ip fw in tcp dport 8081 reject with tcp reset"),
			mend: server("nft delete table ip fw"), also: []string{"refused", "start the server"},
		},
		{
			name: "update rejected", code: "WD603", works: true, boot: fromFile, prepare: cds(good("1")),
			broken: cds(strings.Replace(good("2"), "connect_timeout: 1s", "connect_timeout: -1s", 1)), mend: cds(good("3")),
			also: []string{"connect_timeout"},
		},
	}
}

// strayPacket sends a packet from an address that the gateway knows to be elsewhere.
func (h *host) strayPacket() {
	h.t.Helper()
	out, err := h.top.Client.Command(h.t.Context(), "ip", "addr", "add", "10.91.2.77/32", "dev", "eth0").CombinedOutput()
	if err != nil {
		h.t.Fatalf("%v\n%s", err, out)
	}
	from := &net.Dialer{LocalAddr: &net.UDPAddr{IP: net.IPv4(10, 91, 2, 77)}}
	c, err := h.top.Client.Dial(h.t.Context(), from, "udp", h.at4("9"))
	if err != nil {
		h.t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, "stray"); err != nil {
		h.t.Fatal(err)
	}
}

// blackHole makes large packets vanish before the server, and uploads something
// large, which has to arrive once the fault is mended.
func (h *host) blackHole() {
	h.t.Helper()
	script := "nft add table ip hole; nft add chain ip hole in '{ type filter hook input priority 0; }'; nft add rule ip hole in ip length gt 1300 drop"
	if out, err := h.top.Server.Command(h.t.Context(), "sh", "-ec", script).CombinedOutput(); err != nil {
		h.t.Fatalf("%s: %v\n%s", script, err, out)
	}
	upload := func(ctx context.Context) error {
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+h.at4("80")+"/", strings.NewReader(strings.Repeat("large", 100_000)))
		if err != nil {
			return err
		}
		tr := &http.Transport{DialContext: h.top.Client.DialContext(nil)}
		defer tr.CloseIdleConnections()
		resp, err := tr.RoundTrip(r)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		_, err = io.Copy(io.Discard, resp.Body)
		return err
	}
	h.sh("ip link set wan0 gso_max_segs 1") // the server sees the packets of the wire
	ctx, cancel := context.WithTimeout(context.Background(), 4*patience)
	done := make(chan error, 1)
	go func() { done <- upload(ctx) }() // until it is mended
	h.t.Cleanup(cancel)
	h.after = func() {
		if err := <-done; err != nil {
			h.t.Errorf("the upload: %v", err)
		}
	}
}
