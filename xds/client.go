package xds

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"github.com/weirproxy/weir/config"
	"go.uber.org/zap"
)

// Options say what a Client keeps up to date and from where. Durations are as in SessionOptions.
type Options struct {
	Node    *corev3.Node       // as in the bootstrap
	ADS     *ADS               // the aggregated stream; nil when there is none
	Streams []*ADS             // streams of single types
	Files   []File             // path_config_source
	Static  []*config.Resource // from the bootstrap

	Decode Decode
	Apply  func(*config.Snapshot) error // called from Run, one snapshot after the other
	Logger *zap.Logger                  // nil is silent
	Stats  *Stats                       // nil makes its own

	WarmingDeadline     time.Duration
	RetryBase, RetryMax time.Duration
	NACKPause           time.Duration
}

// A Client keeps a configuration up to date: it does what its Session says.
type Client struct {
	// Set in New, never changed.
	o       Options
	sources []Source // streams, the aggregated one last, then files
	remote  []*ADS   // of the first sources
	log     *zap.Logger
	stats   *Stats
	events  chan message
	ran     chan struct{} // closed when Run has ended

	mu sync.Mutex // guards s
	s  *Session

	// Owned by the goroutine of Run.
	streams []*stream // by source; nil when there is none
	timers  map[string]*time.Timer
	wg      sync.WaitGroup // every goroutine that Run started
}

// message is a happening on its way to Run. A timer is compared with the one that is armed: a stopped one that fired meanwhile
// means nothing.
type message struct {
	what  Happening
	timer *time.Timer
}

// New makes a client. Nothing happens before Run.
func New(o Options) *Client {
	c := &Client{
		o: o, log: o.Logger, stats: o.Stats, events: make(chan message), ran: make(chan struct{}),
		timers: map[string]*time.Timer{},
	}
	if c.log == nil {
		c.log = zap.NewNop()
	}
	if c.stats == nil {
		c.stats = &Stats{}
	}
	c.remote = slices.Clone(o.Streams)
	if o.ADS != nil {
		c.remote = append(c.remote, o.ADS)
	}
	for _, a := range c.remote {
		c.sources = append(c.sources, a.source())
	}
	for _, f := range o.Files {
		c.sources = append(c.sources, Source{Name: f.Path, File: true, Types: []SourceType{f.Type}})
	}
	if n := len(o.Streams); o.ADS != nil && len(o.ADS.Types) == 0 {
		c.sources[n].Types = unclaimed(slices.Delete(slices.Clone(c.sources), n, n+1))
	}
	c.streams = make([]*stream, len(c.sources))
	c.s = NewSession(SessionOptions{
		Node: o.Node, Sources: c.sources, Static: o.Static, WarmingDeadline: o.WarmingDeadline,
		RetryBase: o.RetryBase, RetryMax: o.RetryMax, NACKPause: o.NACKPause,
	})
	return c
}

// unclaimed gives the types that none of the sources serves, with default timeouts.
func unclaimed(sources []Source) (out []SourceType) {
	for _, r := range rows {
		served := func(t SourceType) bool { return t.TypeURL == r.url }
		if !slices.ContainsFunc(sources, func(s Source) bool { return slices.ContainsFunc(s.Types, served) }) {
			out = append(out, SourceType{TypeURL: r.url})
		}
	}
	return out
}

// Stats gives the client's numbers.
func (c *Client) Stats() *Stats { return c.stats }

// Status tells the state of the session, now.
func (c *Client) Status() Status {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.s.Status()
}

// Subscribe asks for a resource by name, whether or not another one refers to it. It waits for Run, so it must not be called from
// Apply or Decode.
func (c *Client) Subscribe(typeURL, name string) { c.post(c.ran, Subscribed{typeURL, name}) }

// Unsubscribe takes a Subscribe back.
func (c *Client) Unsubscribe(typeURL, name string) { c.post(c.ran, Unsubscribed{typeURL, name}) }

// Run keeps the configuration until ctx ends, and returns ctx's error. It may be called once.
func (c *Client) Run(ctx context.Context) error {
	if c.o.Decode == nil || c.o.Apply == nil {
		return errors.New("xds: Decode and Apply must be set")
	}
	ctx, cancel := context.WithCancel(ctx)
	defer func() {
		cancel()
		for _, t := range c.timers {
			t.Stop()
		}
		close(c.ran)
		c.wg.Wait()
	}()
	c.step(ctx, Started{})
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case m := <-c.events:
			if t, ok := m.what.(TimerFired); ok {
				if c.timers[t.ID] != m.timer {
					continue
				}
				delete(c.timers, t.ID)
			}
			c.step(ctx, m.what)
		}
	}
}

// step gives the session a happening, and then the answers to what it wants done.
func (c *Client) step(ctx context.Context, h Happening) {
	for todo := []Happening{h}; len(todo) > 0; {
		next := todo[0]
		todo = todo[1:]
		c.mu.Lock()
		actions := c.s.Step(Event{time.Now(), next})
		c.stats.publish(c.s)
		c.mu.Unlock()
		for _, a := range actions {
			if answer := c.do(ctx, a); answer != nil {
				todo = append(todo, answer)
			}
		}
	}
}

// do does one action and gives its answer, if it has one at once.
func (c *Client) do(ctx context.Context, a Action) Happening {
	switch a := a.(type) {
	case Connect:
		c.connect(ctx, a.Source)
	case Send:
		if st := c.streams[a.Source]; st != nil {
			st.send(a.Request)
		}
	case DecodeItems:
		return Decoded{a.TypeURL, a.Seq, c.o.Decode.all(a.TypeURL, a.Items)}
	case Publish:
		return Applied{a.Snapshot.Version, c.o.Apply(a.Snapshot)}
	case StartTimer:
		c.startTimer(a)
	case StopTimer:
		if t := c.timers[a.ID]; t != nil {
			t.Stop()
			delete(c.timers, a.ID)
		}
	case Log:
		c.logLine(a)
	}
	return nil
}

func (c *Client) startTimer(a StartTimer) {
	if t := c.timers[a.ID]; t != nil {
		t.Stop()
	}
	armed := make(chan *time.Timer, 1)
	t := time.AfterFunc(a.After, func() {
		select {
		case c.events <- message{TimerFired{a.ID}, <-armed}:
		case <-c.ran:
		}
	})
	armed <- t
	c.timers[a.ID] = t
}

func (c *Client) logLine(l Log) {
	switch l.Level {
	case Debug:
		c.log.Debug(l.Text)
	case Info:
		c.log.Info(l.Text)
	case Warn:
		c.log.Warn(l.Text)
	case Error:
		c.log.Error(l.Text)
	}
}

// connect starts the goroutine of a source. It ends with its stream, or with Run.
func (c *Client) connect(ctx context.Context, i int) {
	if c.sources[i].File {
		f := c.o.Files[i-len(c.remote)]
		c.wg.Go(func() { c.watchFile(ctx, i, f) })
		return
	}
	st := newStream(ctx)
	c.streams[i] = st
	c.wg.Go(func() {
		err := c.remote[i].run(st, func(h Happening) { c.post(ctx.Done(), h) }, i)
		c.post(ctx.Done(), StreamLost{i, err, rand.Float64()})
	})
}

// post hands a happening to Run, or gives up when done is closed.
func (c *Client) post(done <-chan struct{}, h Happening) {
	select {
	case c.events <- message{what: h}:
	case <-done:
	}
}
