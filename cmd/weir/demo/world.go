package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/weirproxy/weir/test/netns"
	"github.com/weirproxy/weir/xds/server"
)

// world is everything the demo runs.
type world struct {
	o       Options
	top     *netns.Topology
	dir     string // for the bootstrap, the admin socket and logs
	origins origins
	control *control
	weir    *netns.Cmd
	exited  chan error
	cancel  context.CancelFunc
	wg      sync.WaitGroup
}

// newWorld makes namespaces, origins and the control plane, and starts Weir with
// interception.
func newWorld(ctx context.Context, o Options) (_ *world, err error) {
	w := &world{o: o}
	ctx, w.cancel = context.WithCancel(ctx)
	defer func() {
		if err != nil {
			err = errors.Join(err, w.close())
		}
	}()
	if w.dir, err = os.MkdirTemp("", "weir-demo-"); err != nil {
		return nil, err
	}
	if w.top, err = netns.NewTopology(netns.Options{}); err != nil {
		return nil, err
	}
	if err = w.startOrigins(ctx); err != nil {
		return nil, err
	}
	if err = w.startControl(ctx); err != nil {
		return nil, err
	}
	if err = w.startWeir(ctx); err != nil {
		return nil, err
	}
	return w, nil
}

// startControl runs the embedded control plane on the gateway's loopback.
func (w *world) startControl(ctx context.Context) error {
	w.control = &control{answers: make(chan server.Answer, 64), server: w.top.ServerAddr4()}
	s, err := server.New("", server.Options{OnAnswer: w.control.answered})
	if err != nil {
		return err
	}
	w.control.s = s
	if err := w.control.set(shares{V1: 90, V2: 10}); err != nil {
		return err
	}
	ln, err := w.top.Gateway.Listen(ctx, &net.ListenConfig{}, "tcp", controlAddr)
	if err != nil {
		return err
	}
	w.wg.Go(func() { _ = s.Serve(ctx, ln) })
	return nil
}

// controlAddr is where the control plane listens in the gateway.
const controlAddr = "127.0.0.1:18000"

// startWeir runs the proxy as anybody would, and waits until it is ready.
func (w *world) startWeir(ctx context.Context) error {
	boot := filepath.Join(w.dir, "bootstrap.yaml")
	if err := os.WriteFile(boot, []byte(fmt.Sprintf(bootstrap, w.admin())), 0o600); err != nil {
		return err
	}
	w.weir = w.top.Gateway.Command(context.WithoutCancel(ctx), w.o.Weir,
		"-c", boot, "--intercept", "80,443", "--intercept-interface", netns.ClientLink, "--intercept-reply-spoofed", "--drain-time-s", "5")
	var log io.Writer = io.Discard
	if w.o.Debug != nil {
		log = w.o.Debug
	}
	w.weir.Stdout, w.weir.Stderr = log, log
	if err := w.weir.Start(); err != nil {
		return err
	}
	w.exited = make(chan error, 1)
	w.wg.Go(func() { w.exited <- w.weir.Wait() })
	return w.until(ctx, func() (bool, error) {
		body, err := w.adminGet(ctx, "/ready")
		return err == nil && body == "LIVE\n", nil
	})
}

func (w *world) admin() string { return filepath.Join(w.dir, "admin.sock") }

// pollEvery is how often until asks again.
const pollEvery = 20 * time.Millisecond

// until waits for a condition, as long as the context lasts and Weir runs.
func (w *world) until(ctx context.Context, cond func() (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	t := time.NewTicker(pollEvery)
	defer t.Stop()
	for {
		ok, err := cond()
		if ok || err != nil {
			return err
		}
		select {
		case err := <-w.exited:
			w.exited <- err
			return fmt.Errorf("weir ended: %v", err)
		case <-ctx.Done():
			return errors.New("waited 10 s in vain")
		case <-t.C:
		}
	}
}

// close ends and removes everything; it may be called on half a world.
func (w *world) close() error {
	var errs []error
	if w.weir != nil && w.weir.Process != nil {
		_ = w.weir.Process.Signal(os.Interrupt)
		t := time.NewTimer(5 * time.Second)
		select {
		case err := <-w.exited:
			w.exited <- err
		case <-t.C:
			_ = w.weir.Process.Kill()
		}
		t.Stop()
	}
	w.cancel()
	w.origins.close()
	if w.top != nil {
		errs = append(errs, w.top.Close())
	}
	w.wg.Wait()
	if w.dir != "" {
		errs = append(errs, os.RemoveAll(w.dir))
	}
	return errors.Join(errs...)
}
