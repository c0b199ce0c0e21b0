package router

import (
	"time"

	"github.com/weirproxy/weir/proxy/upstream"
)

// terminates tells whether the request is a CONNECT whose bytes go to the cluster's
// host (Envoy: connect_config).
func (e *exchange) terminates() bool {
	if string(e.s.UpgradeType) != "connect" {
		return false
	}
	for i := range e.fw.Upgrades {
		if u := &e.fw.Upgrades[i]; u.Type == "connect" {
			return u.Terminate
		}
	}
	return false
}

// terminate opens a connection to a host and makes it the other end of a CONNECT.
func (e *exchange) terminate() error {
	s := e.s
	s.Info.Attempts++
	now := time.Now()
	e.requestDone(now)
	e.open.Deadline, _ = e.plan.connectBound(e.deadline)
	up, err := e.dial()
	if err != nil {
		e.fail(e.unopened(err))
		return nil
	}
	defer up.Close()
	s.Info.UpstreamFirstByte = time.Now()
	s.Info.Details = "via_upstream"
	s.SetStatus(200)
	e.cl.CountResponse(200)
	if err := e.agree(); err != nil {
		return e.clientLost(err)
	}
	e.tunnel(up, nil)
	return nil
}

// dial opens a connection to a host that takes one.
func (e *exchange) dial() (*upstream.TCP, *upstream.Error) {
	for n := 1; ; n++ {
		h, err := e.cl.Pick(&e.pick)
		if err != nil {
			return nil, err
		}
		e.s.Info.UpstreamHost = h.Address()
		e.open.Borrow(&e.s.Conn.Info, h.Address())
		up, err := e.cl.OpenTCP(e.s, h, &e.open)
		if err == nil || !err.Another || n == maxPicks {
			return up, err
		}
	}
}
