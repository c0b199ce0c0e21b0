package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/weirproxy/weir/config/bootstrap"
	"github.com/weirproxy/weir/xds"
	"github.com/weirproxy/weir/xds/lastgood"
)

// lastGoodName is the file below $STATE_DIRECTORY, which systemd sets for a unit with StateDirectory=.
const lastGoodName = "last-known-good"

// keepLastGood sets up the file of the last known good configuration, if there is to be one and a control plane to stand in for.
func (p *process) keepLastGood(o *xds.Options) error {
	path := p.o.lastGood
	if dir := os.Getenv("STATE_DIRECTORY"); path == "" && !p.o.changed("last-known-good") && filepath.IsAbs(dir) {
		path = filepath.Join(dir, lastGoodName)
	}
	if path == "" || p.l.boot.Proto.GetDynamicResources() == nil {
		return nil
	}
	s := &lastgood.Store{Path: path, Owner: owner(p.l.boot)}
	if f := p.o.lastGoodKey; f != "" {
		b, err := os.ReadFile(f)
		if err == nil {
			s.Key, err = lastgood.NewKey(b)
		}
		if err != nil {
			return fmt.Errorf("--last-known-good-key: %w", err)
		}
	}
	o.LastGood, o.LastGoodAfter = s.Read, p.lastGoodWait()
	p.keeper = lastgood.NewKeeper(s, func() lastgood.Progress {
		n := p.xds.Stats()
		return lastgood.Progress{Answered: n.Answered.Load(), Warming: n.Warming.Load() != 0}
	}, p.log.Named("lastgood"))
	return nil
}

// lastGoodWait is how long control planes are waited for: what the flag says, or else as long as the first answer is
// (initial_fetch_timeout), 15 s where that is for ever.
func (p *process) lastGoodWait() time.Duration {
	if p.o.changed("last-known-good-wait") {
		return max(time.Duration(p.o.lastGoodAfter)*time.Second, time.Millisecond)
	}
	const usual = 15 * time.Second
	wait := time.Duration(0)
	for _, s := range []*bootstrap.Source{p.l.boot.LDS, p.l.boot.CDS} {
		if s == nil || s.Kind == bootstrap.Path {
			continue
		}
		d := s.InitialFetchTimeout
		if d == 0 {
			d = usual
		}
		if wait == 0 || d < wait {
			wait = d
		}
	}
	if wait == 0 {
		wait = usual
	}
	return wait
}

// owner says whose configuration a process has: its node's, from the control planes that its bootstrap names.
func owner(b *bootstrap.Bootstrap) lastgood.Owner {
	o := lastgood.Owner{Node: b.Node.GetId(), Cluster: b.Node.GetCluster()}
	if raw, err := (proto.MarshalOptions{Deterministic: true}).Marshal(b.Proto.GetDynamicResources()); err == nil {
		sum := sha256.Sum256(raw)
		o.Source = hex.EncodeToString(sum[:8])
	}
	return o
}
