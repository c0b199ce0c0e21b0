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
	"github.com/weirproxy/weir/config/extension"
	"github.com/weirproxy/weir/xds/lastgood"
	"go.uber.org/zap"
)

// Options say what a Client keeps up to date and from where. Durations are as in SessionOptions.
type Options struct {
	Node    *corev3.Node       // as in the bootstrap
	ADS     *ADS               // the aggregated stream; nil when there is none
	Remotes []Remote           // sources of single types
	Files   []File             // path_config_source
	Static  []*config.Resource // from the bootstrap
	Roots   []extension.Ref    // as in SessionOptions
	// Open makes the source that references name (an api_config_source; files need none). Nil refuses all.
	Open func(extension.Source) (Remote, error)

	Decode Decode
	Again  Again                        // Decode for resources of which another version is here; nil is Decode
	Apply  func(*config.Snapshot) error // called from Run, one snapshot after the other
	// Resolved is told what became of names that were Subscribed; called from Run. Nil tells nobody.
	Resolved func(Resolved)
	Logger   *zap.Logger // nil is silent
	Stats    *Stats      // nil makes its own

	WarmingDeadline     time.Duration
	RetryBase, RetryMax time.Duration
	NACKPause           time.Duration

	// LastGood gives the last known good configuration, which is used when no control plane answers within LastGoodAfter; nil is
	// never.
	LastGood      func() (*lastgood.State, error)
	LastGoodAfter time.Duration
}

// A Remote is a server that is asked: an *ADS or a *REST.
type Remote interface {
	// source is what the session is to know of it.
	source() Source
	// alone makes it serve one type.
	alone(SourceType)
	// run asks until that ends, and posts what comes of it.
	run(st *stream, post func(Happening), source int) error
}

// A Client keeps a configuration up to date: it does what its Session says.
type Client struct {
	// Set in New, never changed.
	o      Options
	log    *zap.Logger
	stats  *Stats
	events chan message
	ran    chan struct{} // closed when Run has ended

	mu sync.Mutex // guards s
	s  *Session

	// Owned by the goroutine of Run.
	feeds  []*feed // by source: remotes, the aggregated one last, then files, then what references opened; nil when closed
	timers map[string]*time.Timer
	wg     sync.WaitGroup // every goroutine that Run started
}

// A feed is what a source is read from: a server or a file.
type feed struct {
	remote Remote
	file   *File
	err    error              // why it can be neither
	stream *stream            // the last one, nil before
	stop   context.CancelFunc // ends its goroutine, nil while there is none
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
	var sources []Source
	remotes := slices.Clone(o.Remotes)
	if o.ADS != nil {
		remotes = append(remotes, o.ADS)
	}
	for _, r := range remotes {
		sources = append(sources, r.source())
		c.feeds = append(c.feeds, &feed{remote: r})
	}
	for i, f := range o.Files {
		sources = append(sources, Source{Name: f.Path, File: true, Types: []SourceType{f.Type}})
		c.feeds = append(c.feeds, &feed{file: &o.Files[i]})
	}
	if n := len(o.Remotes); o.ADS != nil && len(o.ADS.Types) == 0 {
		sources[n].Types = unclaimed(slices.Delete(slices.Clone(sources), n, n+1))
	}
	after := o.LastGoodAfter
	if o.LastGood == nil {
		after = 0
	}
	c.s = NewSession(SessionOptions{
		RestoreAfter: after, Node: o.Node, Sources: sources, Static: o.Static, Roots: o.Roots, WarmingDeadline: o.WarmingDeadline,
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

// Secrets gives what is counted of every secret, now.
func (c *Client) Secrets() []SecretStatus {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.s.Secrets()
}

// Extensions gives what is counted of every discovered configuration of a filter, now.
func (c *Client) Extensions() []SecretStatus {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.s.Extensions()
}

// Subscribe asks for a resource by name, whether or not another one refers to it. Options.Resolved has the answer. It waits for Run, so
// it must not be called from Apply, Decode or Resolved.
func (c *Client) Subscribe(r extension.Ref) { c.post(c.ran, Subscribed{r}) }

// Unsubscribe takes a Subscribe back.
func (c *Client) Unsubscribe(r extension.Ref) { c.post(c.ran, Unsubscribed{r}) }

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
	case Open:
		c.open(a)
	case Close:
		if stop := c.feeds[a.Source].stop; stop != nil {
			stop()
		}
		c.feeds[a.Source] = nil
	case Connect:
		return c.connect(ctx, a.Source)
	case Send:
		if f := c.feeds[a.Source]; f != nil && f.stream != nil {
			f.stream.send(a.Request)
		}
	case SendDelta:
		if f := c.feeds[a.Source]; f != nil && f.stream != nil {
			f.stream.send(a.Request)
		}
	case DecodeItems:
		return Decoded{a.TypeURL, a.Seq, c.o.Decode.again(c.o.Again, a)}
	case Restore:
		return c.o.Decode.restore(c.o.LastGood)
	case Publish:
		return Applied{a.Snapshot.Version, c.o.Apply(a.Snapshot)}
	case Resolved:
		if c.o.Resolved != nil {
			c.o.Resolved(a)
		}
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

// open makes the feed of a source that references name.
func (c *Client) open(o Open) {
	f := &feed{}
	switch t := (SourceType{TypeURL: o.TypeURL}); {
	case o.From.Path != "":
		f.file = &File{Path: o.From.Path, Watch: o.From.Watch, Type: t}
	case c.o.Open == nil:
		f.err = errors.New("streams of their own are not opened here")
	default:
		if f.remote, f.err = c.o.Open(o.From); f.err == nil {
			f.remote.alone(t)
		}
	}
	c.feeds = append(c.feeds, f) // indexes are given in order
}

// connect starts the goroutine of a source. It ends with its stream, when the source is closed, or with Run.
func (c *Client) connect(ctx context.Context, i int) Happening {
	f := c.feeds[i]
	switch {
	case f == nil:
		return nil
	case f.err != nil:
		return StreamLost{i, f.err, rand.Float64()}
	}
	if f.stop != nil {
		f.stop() // of the stream before
	}
	ctx, f.stop = context.WithCancel(ctx)
	if f.file != nil {
		c.wg.Go(func() { c.watchFile(ctx, i, *f.file) })
		return nil
	}
	f.stream = newStream(ctx, c.stats)
	c.wg.Go(func() {
		err := f.remote.run(f.stream, func(h Happening) { c.post(ctx.Done(), h) }, i)
		c.post(ctx.Done(), StreamLost{i, err, rand.Float64()})
	})
	return nil
}

// post hands a happening to Run, or gives up when done is closed.
func (c *Client) post(done <-chan struct{}, h Happening) {
	select {
	case c.events <- message{what: h}:
	case <-done:
	}
}
