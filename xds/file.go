package xds

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"os"
	"path/filepath"
	"strconv"
	"time"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/fsnotify/fsnotify"
	"github.com/weirproxy/weir/config"
	"github.com/weirproxy/weir/config/fielderr"
	"github.com/weirproxy/weir/config/yamlproto"
)

// A File is a path_config_source: a DiscoveryResponse as YAML or JSON, read again when it changes.
//
// Envoy reads again only when a file is moved into place, because a file that is being written may be cut anywhere and still be
// valid. Here any change counts, once the directory was quiet for a moment; an empty file is refused. Moving a file into place
// remains the way that cannot go wrong.
type File struct {
	Path string
	// Watch is watched_directory: the directory whose changes count, default that of Path (a Kubernetes volume changes a symbolic
	// link beside the file).
	Watch string
	Type  SourceType
}

// The pauses of a file source.
const (
	fileQuiet = 50 * time.Millisecond // without a change, before a file is read
	fileRetry = 5 * time.Second       // before a directory that cannot be watched is tried again
)

// watchFile posts a file's content now and after every change, until ctx ends.
func (c *Client) watchFile(ctx context.Context, source int, f File) {
	var last []byte
	read := func() {
		data, err := os.ReadFile(f.Path)
		if err == nil && last != nil && bytes.Equal(data, last) {
			return
		}
		last = data
		r := Received{Source: source}
		if err == nil {
			r.Response, r.Where, err = parseFile(f, data)
		}
		if err != nil {
			last = nil
			c.post(ctx.Done(), FileFailed{source, err})
			return
		}
		c.post(ctx.Done(), r)
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		w, err := watch(f)
		if err != nil {
			c.post(ctx.Done(), FileFailed{source, err})
			timer.Reset(fileRetry)
			select {
			case <-ctx.Done():
				return
			case <-timer.C:
				continue
			}
		}
		read()
		err = follow(ctx, w, timer, read)
		_ = w.Close()
		if ctx.Err() != nil {
			return
		}
		last = nil
		c.post(ctx.Done(), FileFailed{source, fmt.Errorf("watch %s: %w", f.Path, err)})
	}
}

// watch begins to watch the directories of a file.
func watch(f File) (*fsnotify.Watcher, error) {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, fmt.Errorf("watch %s: %w", f.Path, err)
	}
	dirs := []string{filepath.Dir(f.Path)}
	if f.Watch != "" {
		dirs = append(dirs, f.Watch)
	}
	for _, d := range dirs {
		if err := w.Add(d); err != nil {
			return nil, errors.Join(fmt.Errorf("watch %s: %w", d, err), w.Close())
		}
	}
	return w, nil
}

// follow calls read when the directory changed and then was quiet.
func follow(ctx context.Context, w *fsnotify.Watcher, quiet *time.Timer, read func()) error {
	quiet.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case err, ok := <-w.Errors:
			if !ok {
				return errors.New("watcher closed")
			}
			if !errors.Is(err, fsnotify.ErrEventOverflow) {
				return err
			}
			quiet.Reset(fileQuiet)
		case ev, ok := <-w.Events:
			if !ok {
				return errors.New("watcher closed")
			}
			if ev.Op != fsnotify.Chmod {
				quiet.Reset(fileQuiet)
			}
		case <-quiet.C:
			read()
		}
	}
}

// parseFile reads a DiscoveryResponse, and gives a function that finds the lines of its resources. Its type may be left out, and so
// may its version, which then is a hash of the content.
func parseFile(f File, data []byte) (*discoveryv3.DiscoveryResponse, func(int, error) error, error) {
	if len(bytes.TrimSpace(data)) == 0 {
		return nil, nil, fmt.Errorf("%s: empty file", f.Path)
	}
	r := &discoveryv3.DiscoveryResponse{}
	x, err := yamlproto.Unmarshal(data, r, yamlproto.Options{File: f.Path})
	if err != nil {
		return nil, nil, err
	}
	if r.TypeUrl == "" {
		r.TypeUrl = f.Type.TypeURL
	}
	if r.VersionInfo == "" {
		h := fnv.New64a()
		_, _ = h.Write(data)
		r.VersionInfo = strconv.FormatUint(h.Sum64(), 16)
	}
	return r, func(i int, err error) error { return located(x, i, err) }, nil
}

// located gives each mistake of the i-th resource its line.
func located(x *yamlproto.Index, i int, err error) error {
	var whole *config.Error
	if errors.As(err, &whole) {
		err = whole.Errs
	}
	var out []error
	for _, e := range fielderr.All(err) {
		out = append(out, x.Wrap(fielderr.Join("resources["+strconv.Itoa(i)+"]", e.Path), e.Err))
	}
	return errors.Join(out...)
}
