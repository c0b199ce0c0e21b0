package upstream

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"sort"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/weirproxy/weir/config"
	"github.com/weirproxy/weir/config/cluster"
	"github.com/weirproxy/weir/config/runtime"
	"github.com/weirproxy/weir/config/secret"
	"github.com/weirproxy/weir/config/turn"
	"github.com/weirproxy/weir/proxy/netio"
	"github.com/weirproxy/weir/proxy/stats"
)

// Options are what a Manager needs.
type Options struct {
	Log      *zap.Logger
	Stats    *stats.Scope   // the root of all statistics; cluster.<name>. is made below it
	Loops    *netio.Loops   // where connections wait; nil: the runtime's poller
	Watcher  *netio.Watcher // watches idle connections; nil: a dead one is noticed when it is used
	OwnMark  uint32         // SO_MARK on every upstream socket; 0 none
	Resolver Resolver       // nil: package dns, with the system's configuration

	// Secrets and Keep are those of the filters' BuildContext, for transport sockets; nil: there are none by discovery.
	Secrets func(key string) *secret.Live
	Keep    func(s *secret.Secret, again func() (*secret.Secret, error), done <-chan struct{}) *secret.Live
	// WatchSecret is theirs too.
	WatchSecret func(l *secret.Live, changed func(*secret.Secret), gone func(), done <-chan struct{})

	Runtime *runtime.Registry // what it says of clusters counts; nil says nothing

	WriteIdle time.Duration // the longest a server may take nothing of a request; 0: 5 minutes
	Tick      time.Duration // how often a wait for a response looks around; 0: 250 ms
}

// A Resolver turns a name into addresses.
type Resolver interface {
	// Resolve looks a name up. The TTL is the least of the answer's records; with an
	// error it is how long that holds, 0 when unknown.
	Resolve(ctx context.Context, name string, f cluster.DNSFamily) (addrs []netip.Addr, ttl time.Duration, err error)
}

// A Manager has all clusters.
type Manager struct {
	// set in NewManager, never changed
	o     Options
	log   *zap.Logger
	stats *stats.Scope
	total *ManagerStats
	tasks *schedule

	clusters atomic.Pointer[map[string]*Cluster]

	lookups lookups

	checks sync.WaitGroup // health checks under way

	mu      sync.Mutex // one Apply at a time
	over    *overrides // guarded by mu
	applied applied    // guarded by mu
	visited uint64     // clusters that Apply looked at; guarded by mu
}

// NewManager makes a Manager without clusters.
func NewManager(o Options) *Manager {
	if o.Log == nil {
		o.Log = zap.NewNop()
	}
	if o.Stats == nil {
		o.Stats = stats.NewStore().Scope("")
	}
	if o.WriteIdle == 0 {
		o.WriteIdle = 5 * time.Minute
	}
	if o.Tick == 0 {
		o.Tick = 250 * time.Millisecond
	}
	m := &Manager{o: o, log: o.Log, stats: o.Stats.Scope("cluster"), tasks: newSchedule(), over: &overrides{}, applied: newApplied()}
	m.total = stats.Fill[ManagerStats](o.Stats.Scope("cluster_manager"))
	m.clusters.Store(&map[string]*Cluster{})
	m.lookups.init(o)
	o.Runtime.OnChange(m.revalue)
	return m
}

func (m *Manager) seed() uint64 { return rand.Uint64() }

// Get finds a cluster; it takes no lock.
func (m *Manager) Get(name string) (*Cluster, bool) {
	c, ok := (*m.clusters.Load())[name]
	return c, ok
}

// GetBytes is Get without making a string.
func (m *Manager) GetBytes(name []byte) (*Cluster, bool) {
	c, ok := (*m.clusters.Load())[string(name)]
	return c, ok
}

// Clusters lists the clusters by name.
func (m *Manager) Clusters() []*Cluster {
	all := *m.clusters.Load()
	out := make([]*Cluster, 0, len(all))
	for _, c := range all {
		out = append(out, c)
	}
	sort.Slice(out, func(i, j int) bool { return out[i].name < out[j].name })
	return out
}

// Apply puts a snapshot's clusters and assignments in force. Those whose models
// are the same pointers as before are not looked at; of the others, hosts that stay
// keep their connections, counts and ejections; the connections of those that go
// are closed as they become idle. The error names clusters that cannot be built;
// they keep their last good configuration, and all others are in force.
func (m *Manager) Apply(s *config.Snapshot) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	old := *m.clusters.Load()
	next := old
	set := func(name string, c *Cluster) {
		if old[name] == c {
			return
		}
		if sameMap(next, old) {
			next = maps.Clone(old)
		}
		if c == nil {
			delete(next, name)
		} else {
			next[name] = c
		}
	}
	var gone []*Cluster
	var errs []error
	var t turn.Turn
	for name := range m.applied.changed(s) {
		t.Pass()
		cfg, c := s.Cluster(name), old[name]
		delete(m.applied.failed, name)
		m.visited++
		if cfg == nil {
			if set(name, nil); c != nil {
				m.total.Removed.Inc()
				gone = append(gone, c)
			}
			continue
		}
		modified := c != nil && c.base != cfg
		now, replaced, err := m.applyOne(c, cfg, assignmentOf(s, cfg))
		if err != nil {
			m.applied.failed[name] = struct{}{}
			errs = append(errs, fmt.Errorf("cluster %q: %w", name, err))
			continue
		}
		if v := assignmentVersion(s, cfg); v != "" {
			now.stats.Version.Set(stats.Hash(v))
		}
		if replaced != nil {
			gone = append(gone, replaced)
		}
		if c == nil {
			m.total.Added.Inc()
		} else if modified {
			m.total.Modified.Inc()
		}
		set(name, now)
	}
	m.clusters.Store(&next)
	m.total.Active.Set(int64(len(next)))
	for _, c := range gone {
		c.close()
	}
	return errors.Join(errs...)
}

// applyOne brings one cluster in line with its configuration; c is what there is,
// or nil. Where old and new cannot be the same cluster, it gives the old one to be
// closed.
func (m *Manager) applyOne(c *Cluster, cfg *cluster.Cluster, a *cluster.Assignment) (now, replaced *Cluster, err error) {
	if c != nil {
		was := c.base
		if was != cfg && (was.Type != cfg.Type || statName(was) != statName(cfg)) {
			c, replaced = nil, c
		}
	}
	fresh := c == nil
	if fresh {
		c = newCluster(m, cfg)
	}
	changed := c.base != cfg
	if changed {
		t, err := c.buildTransports(cfg)
		if err != nil {
			if fresh {
				c.scope.Close()
			}
			return nil, nil, err
		}
		c.configure(cfg, t)
	}
	if changed || c.assigned() != a {
		c.assign(a)
	}
	if changed {
		c.mu.Lock()
		c.schedule(m.tasks, time.Now())
		c.mu.Unlock()
	}
	return c, replaced, nil
}

func (c *Cluster) assigned() *cluster.Assignment {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.assignment
}

// Run does what needs time — idle timeouts, the end of ejections, DNS, the
// cleaning of original destinations — until ctx ends; then it closes all clusters'
// idle connections.
func (m *Manager) Run(ctx context.Context) error {
	m.lookups.ctx = ctx
	m.tasks.run(ctx)
	m.lookups.wg.Wait()
	m.checks.Wait()
	for _, c := range m.Clusters() {
		c.mu.Lock()
		c.unwatchAll()
		c.drainLocked()
		c.mu.Unlock()
	}
	return nil
}
