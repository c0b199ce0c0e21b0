package route

import (
	"github.com/weirproxy/weir/config/match"
	"github.com/weirproxy/weir/proxy/header"
)

// Pick chooses the cluster: the one configured, the one a request header names,
// or a share of the weighted ones. hash is that of the hash policy, when the
// request has one.
//
// A cluster that a header names comes as dynamic, a slice of the request that
// lives as long as its headers, and name is ""; dynamic is empty and name ""
// when the header is absent, for which Envoy answers as for an unknown cluster.
// w is the share, nil without weights. The same request always gets the same
// answer.
func (f *Forward) Pick(r *Request, hash uint64, hasHash bool, tr *match.Trace) (name string, dynamic []byte, w *ClusterWeight) {
	switch {
	case f.Weighted != nil:
		w = f.Weighted.pick(r, hash, hasHash, tr)
		if w.Name != "" {
			return w.Name, nil, w
		}
		return "", fromHeader(r, w.ClusterHeader, tr), w
	case f.Cluster != "":
		if tr != nil {
			tr.Note(true, "cluster "+f.Cluster, "the only one")
		}
		return f.Cluster, nil, nil
	}
	return "", fromHeader(r, f.ClusterHeader, tr), nil
}

func fromHeader(r *Request, n header.Name, tr *match.Trace) []byte {
	v := r.Headers.Value(n)
	if tr != nil {
		tr.Note(len(v) > 0, "cluster_header", "header %s is %q", n, v)
	}
	return v
}

// pick takes a number modulo the total and finds the share it lies in. The
// request's own random number is used as it is here, and salted everywhere else.
func (wd *Weighted) pick(r *Request, hash uint64, hasHash bool, tr *match.Trace) *ClusterWeight {
	n, source := r.Rand, "the request's random number"
	switch {
	case wd.UseHashPolicy && hasHash:
		n, source = hash, "the hash policy"
	case wd.HeaderName != header.Name{}:
		// Envoy: one field with an unsigned number; else the random number.
		if v, ok := r.Headers.Get(wd.HeaderName); ok && r.Headers.Count(wd.HeaderName) == 1 {
			if u, ok := match.ParseUint(v); ok {
				n, source = u, "a request header"
			}
		}
	}
	total := wd.Total
	if wd.live {
		if total = wd.sum(); total == 0 {
			return &wd.Clusters[0] // the runtime left none: the first one takes all
		}
	}
	n %= total
	w := wd.at(n)
	if tr != nil {
		wd.explain(n, total, source, w, tr)
	}
	return w
}

// weight is what counts now.
func (w *ClusterWeight) weight() uint64 { return uint64(w.key.Uint32(w.Weight)) }

// sum adds up the weights that count now.
func (wd *Weighted) sum() (n uint64) {
	for i := range wd.Clusters {
		n += wd.Clusters[i].weight()
	}
	return n
}

// at finds the share that a number below the sum of the weights lies in.
func (wd *Weighted) at(n uint64) *ClusterWeight {
	for i := range wd.Clusters {
		w := &wd.Clusters[i]
		if n < w.weight() {
			return w
		}
		n -= w.weight()
	}
	return &wd.Clusters[len(wd.Clusters)-1] // not reached, unless the weights just became less
}

func (wd *Weighted) explain(n, total uint64, source string, won *ClusterWeight, tr *match.Trace) {
	from := uint64(0)
	for i := range wd.Clusters {
		w := &wd.Clusters[i]
		to := from + w.weight()
		tr.Note(w == won, "weighted cluster "+w.name(), "%d of %d from %s, its share is [%d, %d)", n, total, source, from, to)
		from = to
	}
}

func (w *ClusterWeight) name() string {
	if w.Name != "" {
		return w.Name
	}
	return "of header " + w.ClusterHeader.String()
}

// FilterConfig finds the configuration for a filter of the chain when this share
// was picked: its own, else the route's.
func (w *ClusterWeight) FilterConfig(filter string) (cfg any, disabled, ok bool) {
	return findConfig(w.FilterConfigs, filter)
}
