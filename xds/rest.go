package xds

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

// REST is a source that is polled (Envoy: api_type REST): a DiscoveryRequest goes there as JSON by POST, a DiscoveryResponse comes
// back. It has one type. A request carries the version accepted last, or none when other names are asked for than before; 304 and an
// empty answer say that there is nothing new. A refusal (NACK) is told by the next request.
type REST struct {
	Name string // for people, different for every source
	Type SourceType
	// Services are the servers to try, in this order: the next when one cannot be reached or does not answer well.
	Services []Service
	// Refresh is the interval between polls; up to a quarter is added, at random.
	Refresh time.Duration
	// Timeout bounds a poll; default 1 s.
	Timeout time.Duration

	first int // which of Services is tried first; owned by the goroutine of run
}

// The intervals of polling.
const (
	refreshJitter  = 0.25
	restTimeout    = time.Second
	restRetryTimes = 5 // the longest interval between tries, in intervals of polling
)

// restPaths are the paths of the types (the protos' google.api.http options).
var restPaths = map[string]string{
	ClusterType:  "/v3/discovery:clusters",
	EndpointType: "/v3/discovery:endpoints",
	ListenerType: "/v3/discovery:listeners",
	RouteType:    "/v3/discovery:routes",
	SecretType:   "/v3/discovery:secrets",
	"type.googleapis.com/envoy.config.route.v3.ScopedRouteConfiguration": "/v3/discovery:scoped-routes",
	"type.googleapis.com/envoy.service.runtime.v3.Runtime":               "/v3/discovery:runtime",
	"type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig":      "/v3/discovery:extension_configs",
}

func (r *REST) source() Source {
	refresh := max(r.Refresh, time.Millisecond)
	return Source{
		Name: r.Name, Types: []SourceType{r.Type}, NodeAlways: true, // every request stands for itself
		RetryBase: refresh, RetryMax: restRetryTimes * refresh,
	}
}

func (r *REST) alone(t SourceType) { r.Type = t }

// run polls until a poll fails. The connection is opened first, so that a server that is not there is never called connected.
func (r *REST) run(st *stream, post func(Happening), source int) error {
	defer st.cancel()
	if restPaths[r.Type.TypeURL] == "" {
		return fmt.Errorf("type %q has no REST service", r.Type.TypeURL)
	}
	if len(r.Services) == 0 {
		return errors.New("no server is named")
	}
	var errs []string
	for range r.Services {
		s := &r.Services[r.first%len(r.Services)]
		p, err := newPoller(st.ctx, r, s)
		if err == nil {
			defer p.close()
			post(Connected{source})
			if err = p.run(st, func(m *discoveryv3.DiscoveryResponse) { post(Received{Source: source, Response: m}) }); st.ctx.Err() == nil {
				r.first = (r.first + 1) % len(r.Services)
			}
			return err
		}
		r.first = (r.first + 1) % len(r.Services)
		if len(r.Services) > 1 {
			err = fmt.Errorf("%s: %w", s.Name, err)
		}
		errs = append(errs, err.Error())
	}
	return errors.New(strings.Join(errs, "; "))
}

// A poller asks one server.
type poller struct {
	http    http.Client
	idle    chan net.Conn // a connection that was opened ahead
	url     string
	host    string
	timeout time.Duration
	refresh time.Duration

	// owned by the goroutine of run
	want  *discoveryv3.DiscoveryRequest // what to ask for; nil before the first request
	asked bool                          // it was answered once
	told  bool                          // its error_detail was delivered
	last  []byte                        // the last answer that was taken
}

func newPoller(ctx context.Context, r *REST, s *Service) (*poller, error) {
	p := &poller{
		idle: make(chan net.Conn, 1), url: "http://xds" + restPaths[r.Type.TypeURL],
		host: cmp.Or(s.Authority, s.Name, s.Target), timeout: cmp.Or(r.Timeout, restTimeout), refresh: r.Refresh,
	}
	dial := s.dialer()
	t := &http.Transport{
		DisableCompression: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			select {
			case c := <-p.idle:
				return c, nil
			default:
				return dial(ctx)
			}
		},
	}
	if s.HTTP2 {
		t.Protocols = new(http.Protocols)
		t.Protocols.SetUnencryptedHTTP2(true) // TLS, if any, is Dial's
	}
	p.http = http.Client{Transport: t, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	c, err := dial(ctx)
	if err != nil {
		return nil, err
	}
	p.idle <- c
	return p, nil
}

// dialer gives how connections to the server are opened.
func (s *Service) dialer() func(context.Context) (net.Conn, error) {
	if s.Dial != nil {
		return s.Dial
	}
	return func(ctx context.Context) (net.Conn, error) {
		if s.DialContext != nil {
			return s.DialContext(ctx, s.Target)
		}
		network, addr := "tcp", s.Target
		if path, ok := strings.CutPrefix(addr, "unix:"); ok {
			network, addr = "unix", path
		}
		return (&net.Dialer{}).DialContext(ctx, network, addr)
	}
}

func (p *poller) close() {
	p.http.CloseIdleConnections()
	select {
	case c := <-p.idle:
		_ = c.Close()
	default:
	}
}

// run polls: at once when other names are asked for, and else when it is time.
func (p *poller) run(st *stream, take func(*discoveryv3.DiscoveryResponse)) error {
	t := time.NewTimer(0)
	defer t.Stop()
	for {
		select {
		case <-st.ctx.Done():
			return st.ctx.Err()
		case <-st.more:
			if !p.ask(st.take()) {
				continue
			}
		case <-t.C:
		}
		if p.want == nil {
			continue
		}
		m, err := p.poll(st.ctx)
		if err != nil {
			return err
		}
		if m != nil {
			take(m)
		}
		t.Reset(p.refresh + time.Duration(rand.Float64()*refreshJitter*float64(p.refresh)))
	}
}

// ask takes in what the session wants, and tells whether that cannot wait.
func (p *poller) ask(queue []proto.Message) (now bool) {
	for _, m := range queue {
		r, ok := m.(*discoveryv3.DiscoveryRequest)
		if !ok {
			continue // of a delta source, which this is not
		}
		if p.want == nil || !slices.Equal(p.want.GetResourceNames(), r.GetResourceNames()) {
			now, p.asked, p.last = true, false, nil
		}
		p.want, p.told = r, false
	}
	return now
}

// poll asks once; nil is nothing new.
func (p *poller) poll(ctx context.Context) (*discoveryv3.DiscoveryResponse, error) {
	body, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(p.request())
	if err != nil {
		return nil, fmt.Errorf("request: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, p.timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.url, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("request: %w", err)
	}
	req.Host = p.host
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "weir")
	resp, err := p.http.Do(req)
	if err != nil {
		return nil, plainly(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxMessage+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("response: %w", plainly(err))
	case len(data) > maxMessage:
		return nil, fmt.Errorf("response: more than %d bytes", maxMessage)
	case resp.StatusCode == http.StatusNotModified:
		data = nil
	case resp.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("response: status %d: %s", resp.StatusCode, firstLine(data))
	}
	p.asked, p.told = true, true
	if data = bytes.TrimSpace(data); len(data) == 0 || bytes.Equal(data, p.last) {
		return nil, nil
	}
	m, err := parseResponse(data, p.want.GetTypeUrl())
	if err != nil {
		return nil, err
	}
	p.last = data
	return m, nil
}

// request is what to send: what the session wants, as a request that stands for itself.
func (p *poller) request() *discoveryv3.DiscoveryRequest {
	r := &discoveryv3.DiscoveryRequest{Node: p.want.GetNode(), TypeUrl: p.want.GetTypeUrl(), ResourceNames: p.want.GetResourceNames()}
	if p.asked {
		r.VersionInfo = p.want.GetVersionInfo()
	}
	if !p.told {
		r.ErrorDetail = p.want.GetErrorDetail()
	}
	return r
}

// parseResponse reads a DiscoveryResponse. One without a type is of the type that was asked for.
func parseResponse(data []byte, typeURL string) (*discoveryv3.DiscoveryResponse, error) {
	m := &discoveryv3.DiscoveryResponse{}
	if err := (protojson.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(data, m); err != nil {
		return nil, fmt.Errorf("response: %w", err)
	}
	if m.TypeUrl == "" {
		m.TypeUrl = typeURL
	}
	return m, nil
}

// plainly takes the words off an HTTP client's error that say nothing.
func plainly(err error) error {
	if errors.Is(err, context.DeadlineExceeded) {
		return errors.New("no answer in time (request_timeout)")
	}
	for {
		u := errors.Unwrap(err)
		if _, whole := err.(*net.OpError); u == nil || whole { //nolint:errorlint // this very one
			return err
		}
		err = u
	}
}

// firstLine gives the beginning of a server's text.
func firstLine(b []byte) string {
	const most = 200
	line, _, _ := bytes.Cut(bytes.TrimSpace(b), []byte("\n"))
	return strings.ToValidUTF8(string(line[:min(len(line), most)]), "?")
}
