package upstream

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/weirproxy/weir/config/cluster"
	"github.com/weirproxy/weir/proxy/codec"
	"github.com/weirproxy/weir/proxy/header"
	"github.com/weirproxy/weir/proxy/netio"
	active "github.com/weirproxy/weir/proxy/upstream/health"
)

var (
	immediateFail = header.Intern("x-envoy-immediate-health-check-fail")
	degradedField = header.Intern("x-envoy-degraded")
)

// checkAgent is what checks call themselves, as Envoy's do, so that origins know them.
const checkAgent = "Envoy/HC"

// Bounds on what a check reads: a response is not kept, and not read for ever.
const (
	maxCheckBody = 1 << 20
	maxCheckTCP  = 64 << 10
)

// check does one check until ctx ends. It runs on a goroutine of its own.
func (k *checker) check(ctx context.Context, cfg *cluster.HealthCheck) (active.Result, error) {
	to := k.h.checkAddress(cfg)
	if k.wire != nil && !k.wire.usable(k.h, to) {
		k.wire.close()
		k.wire = nil
	}
	if k.wire == nil {
		w, err := k.h.wire(ctx, cfg, to)
		if err != nil {
			return active.Network, err
		}
		k.wire = w
	}
	sock := k.wire.link.sock
	stop := context.AfterFunc(ctx, func() {
		// Whatever waits on the connection sees its end.
		_ = sock.Control(func(fd uintptr) { _ = unix.Shutdown(int(fd), unix.SHUT_RDWR) })
	})
	var r active.Result
	var err error
	again := false
	switch {
	case cfg.TCP != nil:
		r, again, err = tcpProbe(k.wire.link.conn, cfg.TCP)
	case cfg.HTTP != nil:
		r, again, err = k.h.httpProbe(ctx, k.wire, cfg.HTTP)
	default:
		r, again, err = k.h.grpcProbe(ctx, k.wire, cfg.GRPC)
	}
	if !stop() || !again || !cfg.Reuse {
		k.wire.close()
		k.wire = nil
	}
	return r, err
}

// checkAddress is where the host is checked; invalid for a unix socket.
func (h *Host) checkAddress(cfg *cluster.HealthCheck) netip.AddrPort {
	to := h.Address()
	if !to.IsValid() {
		return to
	}
	if e := h.spec.Load().check; e != nil && e.Port != 0 {
		return netip.AddrPortFrom(to.Addr(), e.Port)
	}
	if cfg.AltPort != 0 {
		return netip.AddrPortFrom(to.Addr(), cfg.AltPort)
	}
	return to
}

// tcpProbe sends and waits for bytes (Envoy: TcpHealthCheckerImpl).
func tcpProbe(conn netio.Conn, t *cluster.TCPCheck) (active.Result, bool, error) {
	if len(t.Send) > 0 {
		if _, err := conn.Write(t.Send); err != nil {
			return active.Network, false, err
		}
	}
	if len(t.Receive) == 0 {
		return active.Success, false, nil
	}
	var got []byte
	buf := make([]byte, 4<<10)
	for !received(got, t.Receive) {
		if len(got) > maxCheckTCP {
			return active.Network, false, errors.New("read: not what is expected")
		}
		n, err := conn.Read(buf)
		got = append(got, buf[:n]...)
		if err != nil && !received(got, t.Receive) {
			return active.Network, false, err
		}
	}
	return active.Success, true, nil
}

// received tells whether all are in b in this order.
func received(b []byte, all [][]byte) bool {
	for _, p := range all {
		i := bytes.Index(b, p)
		if i < 0 {
			return false
		}
		b = b[i+len(p):]
	}
	return true
}

// checkHost is the authority of a request: the endpoint's own, the check's, or the
// cluster's name.
func (h *Host) checkHost(configured string) string {
	if e := h.spec.Load().check; e != nil && e.Hostname != "" {
		return e.Hostname
	}
	if configured != "" {
		return configured
	}
	return h.cluster.name
}

// httpProbe asks for a path (Envoy: HttpHealthCheckerImpl).
func (h *Host) httpProbe(ctx context.Context, w *wire, c *cluster.HTTPCheck) (active.Result, bool, error) {
	var req header.Headers
	h.request(&req, w, c.Method, h.checkHost(c.Host), c.Path)
	addHeaders(&req, c.Add)
	for _, n := range c.Remove {
		req.Del(header.Intern(n))
	}
	if c.Send != nil {
		req.SetString(header.ContentLength, strconv.Itoa(len(c.Send)))
	}
	keep := 0
	if len(c.Receive) > 0 {
		keep = cmp.Or(c.BodyLimit, maxCheckBody)
	}
	a, err := w.ask(ctx, &req, c.Send, keep)
	if err != nil {
		return active.Network, false, err
	}
	switch {
	case !within(c.Expected, a.code) && within(c.Retriable, a.code):
		return active.Retriable, a.again, fmt.Errorf("status %d", a.code)
	case !within(c.Expected, a.code):
		return active.Failed, a.again, fmt.Errorf("status %d", a.code)
	case !received(a.body, c.Receive):
		return active.Failed, a.again, errors.New("body: not what is expected")
	case a.degraded:
		return active.Degraded, a.again, nil
	}
	return active.Success, a.again, nil
}

func within(rs []cluster.StatusRange, code int) bool {
	for _, r := range rs {
		if int64(code) >= r.Start && int64(code) < r.End {
			return true
		}
	}
	return false
}

func (h *Host) request(req *header.Headers, w *wire, method, host, path string) {
	req.AddString(header.Method, method)
	if w.h2 != nil {
		scheme := "http"
		if w.link.tls != nil {
			scheme = "https"
		}
		req.AddString(header.Scheme, scheme)
	}
	req.AddString(header.Authority, host)
	req.AddString(header.Path, path)
	req.AddString(header.UserAgent, checkAgent)
}

func addHeaders(req *header.Headers, hs []cluster.CheckHeader) {
	for _, o := range hs {
		n := header.Intern(o.Name)
		if o.Name == "host" {
			n = header.Authority
		}
		if o.Overwrite || o.Name == "host" {
			req.SetString(n, o.Value)
		} else {
			req.AddString(n, o.Value)
		}
	}
}

// A checkAnswer is what came of a request.
type checkAnswer struct {
	code     int
	degraded bool
	status   string // grpc-status
	body     []byte // its beginning
	again    bool   // the connection can carry another request
}

// ask sends a request and reads the whole response, of whose body it keeps the beginning.
func (w *wire) ask(ctx context.Context, req *header.Headers, body []byte, keep int) (a checkAnswer, err error) {
	var x codec.Exchange = w.h1
	if w.h2 != nil {
		st, err := w.h2.Open()
		if err != nil {
			return a, fmt.Errorf("open stream: %w", err)
		}
		defer st.Release()
		x = st
	}
	deadline, _ := ctx.Deadline()
	x.Begin(nil)
	x.SetReadDeadline(deadline)
	if err = x.WriteHeaders(req, body == nil); err == nil && body != nil {
		err = x.WriteBody(body, true)
	}
	if err == nil {
		err = x.Flush()
	}
	if err != nil {
		return a, err
	}
	var resp, trailers header.Headers
	for a.code < 200 && a.code != 101 {
		if a.code, err = x.ReadHeaders(&resp); err != nil {
			return a, err
		}
	}
	if a.code == 101 {
		return a, nil
	}
	a.degraded = resp.Has(degradedField)
	total := 0
	for end := x.StartBody(&trailers); !end; {
		var p []byte
		if p, end, err = x.ReadBody(); err != nil {
			return a, err
		}
		total += len(p)
		a.body = append(a.body, p[:min(len(p), max(keep-len(a.body), 0))]...)
		if total > maxCheckBody {
			return a, nil
		}
	}
	a.status = string(resp.Value(header.GrpcStatus))
	if v, ok := trailers.Get(header.GrpcStatus); ok {
		a.status = string(v)
	}
	a.again = w.h2 != nil || w.h1.Settle()
	return a, nil
}

// serving is grpc.health.v1.HealthCheckResponse.SERVING.
const serving = 1

// grpcProbe calls grpc.health.v1.Health/Check (Envoy: GrpcHealthCheckerImpl).
func (h *Host) grpcProbe(ctx context.Context, w *wire, c *cluster.GRPCCheck) (active.Result, bool, error) {
	var req header.Headers
	h.request(&req, w, "POST", h.checkHost(c.Authority), "/grpc.health.v1.Health/Check")
	req.AddString(header.ContentType, "application/grpc")
	req.AddString(header.TE, "trailers")
	addHeaders(&req, c.Metadata)
	var m []byte
	if c.Service != "" {
		m = binary.AppendUvarint([]byte{1<<3 | 2}, uint64(len(c.Service)))
		m = append(m, c.Service...)
	}
	body := binary.BigEndian.AppendUint32([]byte{0}, uint32(len(m)))
	a, err := w.ask(ctx, &req, append(body, m...), 64)
	if err != nil {
		return active.Network, false, err
	}
	switch status, ok := servingStatus(a.body); {
	case a.code != 200:
		return active.Failed, a.again, fmt.Errorf("status %d", a.code)
	case a.status != "0":
		return active.Failed, a.again, fmt.Errorf("grpc-status %s", strconv.Quote(a.status))
	case !ok:
		return active.Failed, a.again, errors.New("malformed HealthCheckResponse")
	case status != serving:
		return active.Failed, a.again, fmt.Errorf("serving status %d", status)
	}
	return active.Success, a.again, nil
}

// servingStatus reads the status of a HealthCheckResponse with its prefix.
func servingStatus(b []byte) (status uint64, ok bool) {
	if len(b) < 5 || b[0] != 0 || uint64(binary.BigEndian.Uint32(b[1:])) != uint64(len(b)-5) {
		return 0, false
	}
	for b = b[5:]; len(b) > 0; {
		if b[0] != 1<<3 {
			return 0, false
		}
		v, n := binary.Uvarint(b[1:])
		if n <= 0 {
			return 0, false
		}
		status, b = v, b[1+n:]
	}
	return status, true
}

// ReadHeaders implements codec.Exchange. A response that says so makes the host
// fail its health checks at once.
func (a *Attempt) ReadHeaders(h *header.Headers) (code int, err error) {
	code, err = a.Exchange.ReadHeaders(h)
	if err == nil && h.Has(immediateFail) {
		a.Host.failNow()
	}
	return code, err
}
