package admin

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/weirproxy/weir/proxy/flows"
)

// The numbers of flows in an answer.
const (
	defaultFlows = 200
	maxFlows     = 10000
)

// flowList is an answer of /flows.
type flowList struct {
	Flows     []flows.Flow `json:"flows"`               // the newest first
	Matched   int          `json:"matched"`             // how many there are, of which Flows may be the first
	Untracked uint64       `json:"untracked,omitempty"` // since the start: too many were live at once
}

// flows shows what passes through and what passed, or follows it.
func (s *Server) flows(p *reply, r *http.Request, q url.Values) {
	f, limit, err := flowQuery(q)
	t := s.o.Proxy.Flows()
	reveal := q.Has("reveal")
	switch {
	case err != nil:
		p.text(http.StatusBadRequest, err.Error()+"\n")
	case t == nil:
		unable(p, "flows")
	case reveal && !t.Reveals():
		p.text(http.StatusForbidden, "reveal: queries are not kept; start with --flows full\n")
	case q.Has("follow"):
		s.followFlows(p, r, f, reveal)
	default:
		p.value(s.listFlows(t, f, limit, reveal))
	}
}

func flowQuery(q url.Values) (*flows.Filter, int, error) {
	f, err := flows.ParseFilter(q)
	if err != nil {
		return nil, 0, err
	}
	limit := defaultFlows
	if l := q.Get("limit"); l != "" {
		if limit, err = strconv.Atoi(l); err != nil || limit < 1 || limit > maxFlows {
			return nil, 0, fmt.Errorf("limit: %q, want a number from 1 to %d", l, maxFlows)
		}
	}
	return f, limit, nil
}

// listFlows collects the flows that a filter takes.
func (s *Server) listFlows(t *flows.Table, f *flows.Filter, limit int, reveal bool) flowList {
	type one struct {
		flows.Flow
		wire func() (received, sent uint64, ok bool)
	}
	var all []one
	t.Each(reveal, func(x *flows.Flow) {
		if f.Takes(x) {
			all = append(all, one{*x, nil})
		}
	})
	if f.Kind != "request" && (f.Live || !f.Ended) {
		now := time.Now()
		s.o.Proxy.LiveFlows(func(l flows.Live) {
			if x := l.Flow(now); f.Takes(&x) {
				all = append(all, one{x, l.Wire})
			}
		})
	}
	slices.SortStableFunc(all, func(a, b one) int { return b.Start.Compare(a.Start) })
	out := flowList{Flows: []flows.Flow{}, Matched: len(all), Untracked: t.Untracked()}
	for i := range all[:min(limit, len(all))] {
		x := &all[i]
		if x.wire != nil {
			x.Received, x.Sent, _ = x.wire()
		}
		out.Flows = append(out.Flows, x.Flow)
	}
	return out
}

// How a follower is served: how often is looked for news, at most and at least; how long it may take to read; how many there may be.
const (
	slowLook     = 200 * time.Millisecond
	fastLook     = 5 * time.Millisecond
	keepAlive    = 15 * time.Second
	followWrite  = 10 * time.Second
	maxFollowers = 32
)

// followFlows sends flows as they end, as server-sent events: "flow" has one, "missed" how many there were that this reader was too slow
// for.
func (s *Server) followFlows(p *reply, r *http.Request, f *flows.Filter, reveal bool) {
	if s.followers.Add(1) > maxFollowers {
		s.followers.Add(-1)
		p.text(http.StatusServiceUnavailable, "too many followers\n")
		return
	}
	defer s.followers.Add(-1)
	from := s.o.Proxy.Flows().Follow()
	body := p.head(http.StatusOK, "text/event-stream")
	rc := http.NewResponseController(p.w)
	send := func(b []byte) error {
		_ = rc.SetWriteDeadline(time.Now().Add(followWrite))
		if _, err := body.Write(b); err != nil {
			return err
		}
		return rc.Flush()
	}
	if send([]byte("retry: 2000\n\n")) != nil {
		return
	}
	wait, quiet := slowLook, time.Now()
	t := time.NewTimer(wait)
	defer t.Stop()
	for {
		select {
		case <-r.Context().Done():
			return
		case <-t.C:
		}
		out, missed, full := from.Next(reveal, f)
		b := events(out, missed)
		if len(b) == 0 && time.Since(quiet) > keepAlive {
			b = []byte(": \n\n")
		}
		if len(b) > 0 {
			quiet = time.Now()
			if send(b) != nil {
				return
			}
		}
		// A quarter of what the rings hold may come between two looks.
		if wait = min(2*wait, slowLook); full > 0.25 {
			wait = max(time.Duration(float64(wait)*0.25/full/2), fastLook)
		}
		t.Reset(wait)
	}
}

// events writes flows as server-sent events.
func events(out []flows.Flow, missed uint64) (b []byte) {
	for i := range out {
		j, err := json.Marshal(&out[i])
		if err != nil {
			continue // none that we make
		}
		b = append(append(append(b, "event: flow\ndata: "...), j...), "\n\n"...)
	}
	if missed > 0 {
		b = fmt.Appendf(b, "event: missed\ndata: {\"missed\":%d}\n\n", missed)
	}
	return b
}

// killFlow ends a live flow.
func (s *Server) killFlow(p *reply, _ *http.Request, q url.Values) {
	conn, stream, err := flowID(q.Get("id"))
	if err != nil {
		p.text(http.StatusBadRequest, err.Error()+"\n")
		return
	}
	if t := s.o.Proxy.Flows(); stream != 0 && t != nil && !isLive(t, q.Get("id")) {
		p.text(http.StatusNotFound, "no request "+q.Get("id")+" is under way\n")
		return
	}
	found, whole := s.o.Proxy.Kill(conn, stream)
	if !found {
		p.text(http.StatusNotFound, "no flow "+q.Get("id")+" is live\n")
		return
	}
	s.o.Log.Info("flow ended by admin", zap.Uint64("connection", conn), zap.Uint64("stream", stream))
	if stream != 0 && whole {
		p.text(http.StatusOK, "OK: connection "+strconv.FormatUint(conn, 10)+" is closed with it\n")
		return
	}
	p.text(http.StatusOK, ok)
}

func isLive(t *flows.Table, id string) (yes bool) {
	t.Each(false, func(f *flows.Flow) { yes = yes || f.ID == id && f.State == "live" })
	return yes
}

// flowID reads the id of a flow; that of a connection has stream 0.
func flowID(id string) (conn, stream uint64, err error) {
	c, st, isStream := strings.Cut(id, ".")
	if conn, err = strconv.ParseUint(c, 10, 64); err == nil && isStream {
		stream, err = strconv.ParseUint(st, 10, 64)
		if err == nil && stream == 0 {
			err = errors.New("0")
		}
	}
	if err != nil {
		return 0, 0, fmt.Errorf("id: %q, want that of a flow: 17, or 17.3", id)
	}
	return conn, stream, nil
}
