package grpcstats

import (
	"maps"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/weirproxy/weir/proxy/grpc"
	"github.com/weirproxy/weir/proxy/stats"
	"github.com/weirproxy/weir/proxy/upstream"
)

// maxMethods is how many methods of all clusters a filter keeps apart with
// stats_for_all_methods: their names are the clients' choice, and what is beyond
// counts for its cluster alone.
const maxMethods = 1024

// book has the counters of one cluster's calls, or of one method's.
type book struct {
	*Stats
	scope    *stats.Scope
	statuses [grpc.Unauthenticated + 1]atomic.Pointer[stats.Counter] // made with the first of each
}

func newBook(sc *stats.Scope) *book { return &book{Stats: stats.Fill[Stats](sc), scope: sc} }

func (b *book) count(st grpc.Status) {
	b.Total.Inc()
	if st == grpc.OK {
		b.Success.Inc()
	} else {
		b.Failure.Inc()
	}
	if !st.Known() {
		return // Envoy counts whatever text the server sends under its name
	}
	n := b.statuses[st].Load()
	if n == nil {
		n = b.scope.Counter(strconv.Itoa(int(st)))
		b.statuses[st].Store(n) // of two racing calls both got the same counter
	}
	n.Inc()
}

// books finds the counters of a call. Looking up allocates nothing.
type books struct {
	cfg      *settings
	root     *stats.Scope
	clusters *upstream.Manager

	mu      sync.Mutex // serialises changes of all
	all     atomic.Pointer[map[string]*book]
	methods int // guarded by mu
}

// of gives the counters of a cluster and, if its methods are kept apart, a method;
// nil when there is no such cluster.
func (x *books) of(cluster string, service, method []byte) *book {
	var b1, b2 [192]byte
	key, named := append(b1[:0], cluster...), x.cfg.all
	call := append(append(append(b2[:0], service...), '/'), method...)
	if x.cfg.methods != nil {
		_, named = x.cfg.methods[string(call)]
	}
	if named {
		key = append(append(key, 0), call...)
	}
	if b := x.get(key); b != nil {
		return b
	}
	return x.add(cluster, key, named, string(service), string(method))
}

func (x *books) get(key []byte) *book {
	if m := x.all.Load(); m != nil {
		return (*m)[string(key)]
	}
	return nil
}

func (x *books) add(cluster string, key []byte, named bool, service, method string) *book {
	cl, ok := x.clusters.Get(cluster)
	if !ok {
		return nil
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if b := x.get(key); b != nil {
		return b
	}
	if named && x.cfg.methods == nil && x.methods == maxMethods {
		key, named = []byte(cluster), false
		if b := x.get(key); b != nil {
			return b
		}
	}
	name := cluster
	if n := cl.Config().StatName; n != "" {
		name = n
	}
	names := []string{name, "grpc"}
	if named {
		if x.cfg.replaceDots {
			service = replaceDots(service)
		}
		names = append(names, service, method)
		x.methods++
	}
	b := newBook(x.root.Scope("cluster", names...))
	next := map[string]*book{}
	if m := x.all.Load(); m != nil {
		next = maps.Clone(*m)
	}
	next[string(key)] = b
	x.all.Store(&next)
	return b
}
