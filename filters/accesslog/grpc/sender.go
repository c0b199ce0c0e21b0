package grpc

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	alsdata "github.com/envoyproxy/go-control-plane/envoy/data/accesslog/v3"
	alsv3 "github.com/envoyproxy/go-control-plane/envoy/service/accesslog/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"

	"github.com/weirproxy/weir/filters"
	"github.com/weirproxy/weir/proxy/conn"
	"github.com/weirproxy/weir/proxy/stats"
	"github.com/weirproxy/weir/proxy/stream"
)

// Stats are counted under access_logs.grpc_access_log. (Envoy: the same).
type Stats struct {
	Written *stats.Counter `stat:"logs_written"`
	Dropped *stats.Counter `stat:"logs_dropped"`
}

const (
	maxWaiting = 1 << 20         // bytes that wait for a service that does not take them; what is beyond is dropped
	lastWords  = time.Second     // how long the end of a logger waits for what is left to be sent
	retryAfter = time.Second     // how long a service that cannot be reached is left alone
	dialLimit  = 5 * time.Second // for a connection
)

// A logger gathers entries and sends them.
type logger struct {
	c     *settings
	bc    *filters.BuildContext
	log   *zap.Logger
	stats *Stats
	kick  chan struct{} // has a token when enough was gathered
	begin func()        // starts run, once

	mu      sync.Mutex
	http    []*alsdata.HTTPAccessLogEntry // guarded by mu, as all below
	tcp     []*alsdata.TCPAccessLogEntry
	waiting int // bytes of both
	over    bool
}

func newLogger(c *settings, bc *filters.BuildContext) *logger {
	l := &logger{c: c, bc: bc, log: bc.Log, stats: stats.Fill[Stats](bc.Stats.Scope("access_logs", "grpc_access_log")), kick: make(chan struct{}, 1)}
	if l.log == nil {
		l.log = zap.NewNop()
	}
	l.begin = sync.OnceFunc(func() { go l.run() }) // ends when Closing is closed
	return l
}

var _ filters.AccessLogger = (*logger)(nil)

// Log implements filters.AccessLogger.
func (l *logger) Log(c *conn.Conn, s *stream.Stream) {
	l.begin()
	var size int
	var h *alsdata.HTTPAccessLogEntry
	var t *alsdata.TCPAccessLogEntry
	if s != nil {
		h = l.httpEntry(c, s)
		size = proto.Size(h)
	} else {
		t = tcpEntry(c)
		size = proto.Size(t)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.over || l.waiting > 0 && l.waiting+size > max(maxWaiting, l.c.size) {
		l.stats.Dropped.Inc()
		return
	}
	if h != nil {
		l.http = append(l.http, h)
	} else {
		l.tcp = append(l.tcp, t)
	}
	if l.waiting += size; l.waiting >= l.c.size {
		select {
		case l.kick <- struct{}{}:
		default:
		}
	}
}

// take gives what was gathered, as messages: a message has entries of one kind.
func (l *logger) take() (out []*alsv3.StreamAccessLogsMessage) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.http) > 0 {
		out = append(out, &alsv3.StreamAccessLogsMessage{LogEntries: &alsv3.StreamAccessLogsMessage_HttpLogs{
			HttpLogs: &alsv3.StreamAccessLogsMessage_HTTPAccessLogEntries{LogEntry: l.http},
		}})
	}
	if len(l.tcp) > 0 {
		out = append(out, &alsv3.StreamAccessLogsMessage{LogEntries: &alsv3.StreamAccessLogsMessage_TcpLogs{
			TcpLogs: &alsv3.StreamAccessLogsMessage_TCPAccessLogEntries{LogEntry: l.tcp},
		}})
	}
	l.http, l.tcp, l.waiting = nil, nil, 0
	return out
}

// giveBack puts what could not be sent before what was gathered since.
func (l *logger) giveBack(ms []*alsv3.StreamAccessLogsMessage) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, m := range ms {
		l.http = append(m.GetHttpLogs().GetLogEntry(), l.http...)
		l.tcp = append(m.GetTcpLogs().GetLogEntry(), l.tcp...)
		l.waiting += proto.Size(m)
	}
}

// run sends what is gathered until the logger is torn down, and then the rest.
func (l *logger) run() {
	life := &lifetime{done: make(chan struct{})}
	w := &wire{l: l, ctx: life}
	defer life.end()
	tick := time.NewTicker(l.c.interval)
	defer tick.Stop()
	for {
		select {
		case <-l.bc.Closing:
			// Whoever still waits for the service waits no longer than this.
			defer time.AfterFunc(lastWords, life.end).Stop()
			l.mu.Lock()
			l.over = true
			l.mu.Unlock()
			w.flush()
			for _, m := range l.take() {
				l.stats.Dropped.Add(entries(m))
			}
			w.close()
			return
		case <-l.kick:
		case <-tick.C:
		}
		w.flush()
	}
}

func entries(m *alsv3.StreamAccessLogsMessage) uint64 {
	return uint64(len(m.GetHttpLogs().GetLogEntry()) + len(m.GetTcpLogs().GetLogEntry()))
}

// A wire is the stream to the service. It is owned by the goroutine of run.
type wire struct {
	l      *logger
	ctx    context.Context
	conn   *grpc.ClientConn
	stream alsv3.AccessLogService_StreamAccessLogsClient // nil when there is none
	again  time.Time                                     // not to be tried before
}

// flush sends what was gathered. A stream that the service ended meanwhile is opened again, once.
func (w *wire) flush() {
	if time.Now().Before(w.again) {
		return
	}
	ms := w.l.take()
	for tries := 0; len(ms) > 0; {
		err := w.send(ms[0])
		if err == nil {
			w.l.stats.Written.Add(entries(ms[0]))
			ms = ms[1:]
			continue
		}
		w.stream = nil
		if tries++; tries > 1 || w.ctx.Err() != nil {
			w.l.giveBack(ms)
			w.again = time.Now().Add(retryAfter)
			w.l.log.Debug("access log service", zap.String("log_name", w.l.c.name), zap.Error(err))
			return
		}
	}
}

func (w *wire) send(m *alsv3.StreamAccessLogsMessage) error {
	m.Identifier = nil
	if w.stream == nil {
		if err := w.open(); err != nil {
			return err
		}
		node := w.l.bc.Node
		m.Identifier = &alsv3.StreamAccessLogsMessage_Identifier{
			LogName: w.l.c.name, Node: &corev3.Node{Id: node.ID, Cluster: node.Cluster},
		}
	}
	return w.stream.Send(m)
}

func (w *wire) open() (err error) {
	svc := &w.l.c.service
	if w.conn == nil {
		w.conn, err = grpc.NewClient("passthrough:///"+svc.Cluster,
			grpc.WithTransportCredentials(insecure.NewCredentials()), // TLS is the cluster's
			grpc.WithContextDialer(w.dial), grpc.WithAuthority(svc.Authority), grpc.WithNoProxy(), grpc.WithDisableServiceConfig(),
			grpc.WithConnectParams(grpc.ConnectParams{MinConnectTimeout: dialLimit}))
		if err != nil {
			return fmt.Errorf("client of cluster %q: %w", svc.Cluster, err)
		}
	}
	ctx := w.ctx
	if len(svc.Metadata) > 0 {
		ctx = metadata.AppendToOutgoingContext(ctx, svc.Metadata...)
	}
	w.stream, err = alsv3.NewAccessLogServiceClient(w.conn).StreamAccessLogs(ctx)
	return err
}

// dial opens a connection to a host of the cluster.
func (w *wire) dial(ctx context.Context, _ string) (net.Conn, error) {
	name := w.l.c.service.Cluster
	if w.l.bc.Clusters == nil {
		return nil, errors.New("there are no clusters")
	}
	c, ok := w.l.bc.Clusters.Get(name)
	if !ok {
		return nil, fmt.Errorf("no cluster %q", name)
	}
	return c.Dial(ctx, []string{"h2"})
}

// close ends the stream, and waits until the service has taken all.
func (w *wire) close() {
	if w.stream != nil {
		_, _ = w.stream.CloseAndRecv()
	}
	if w.conn != nil {
		_ = w.conn.Close()
	}
}

// A lifetime is a context that its owner ends.
type lifetime struct {
	done chan struct{}
	once sync.Once
}

func (t *lifetime) end() { t.once.Do(func() { close(t.done) }) }

// Deadline implements context.Context.
func (t *lifetime) Deadline() (time.Time, bool) { return time.Time{}, false }

// Done implements context.Context.
func (t *lifetime) Done() <-chan struct{} { return t.done }

// Err implements context.Context.
func (t *lifetime) Err() error {
	select {
	case <-t.done:
		return context.Canceled
	default:
		return nil
	}
}

// Value implements context.Context.
func (t *lifetime) Value(any) any { return nil }
