package server

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"
	"github.com/weirproxy/weir/config/protos"
	"github.com/weirproxy/weir/config/yamlproto"
	"go.uber.org/zap"
)

// readDir reads every resource of a folder: files named *.yaml, *.yml and *.json, not those that begin with a dot. Folders inside
// are not read.
func readDir(dir string) (*resourceSet, error) {
	files, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("read folder: %w", err)
	}
	set := &resourceSet{}
	var errs []error
	for _, f := range files { // sorted by name
		if !isResourceFile(f.Name()) {
			continue
		}
		path := filepath.Join(dir, f.Name())
		if st, err := os.Stat(path); err == nil && st.IsDir() {
			continue
		}
		errs = append(errs, readFile(set, path)...)
	}
	return set, errors.Join(errs...)
}

func isResourceFile(name string) bool {
	if strings.HasPrefix(name, ".") {
		return false
	}
	switch filepath.Ext(name) {
	case ".yaml", ".yml", ".json":
		return true
	}
	return false
}

// readFile adds the resources of a file to a set, and gives every mistake with its line.
func readFile(set *resourceSet, path string) []error {
	data, err := os.ReadFile(path)
	if err != nil {
		return []error{fmt.Errorf("read %s: %w", path, err)}
	}
	_ = protos.Types // linking it registers the types that "@type" may name
	rs, err := yamlproto.UnmarshalResources(data, yamlproto.Options{File: path})
	if err != nil {
		return []error{err}
	}
	var errs []error
	for _, r := range rs {
		m, err := r.Any.UnmarshalNew()
		if err != nil {
			errs = append(errs, r.Index.Wrap("", err))
			continue
		}
		if es := r.Index.Validate(m); len(es) > 0 {
			errs = append(errs, es)
			continue
		}
		if err := set.add(m, r.Index); err != nil {
			errs = append(errs, err)
		}
	}
	return errs
}

// The pauses of the folder's watch.
const (
	quietFor   = 100 * time.Millisecond // without a change, before the folder is read: a writer may not be done
	retryAfter = 2 * time.Second        // before a folder that cannot be watched is tried again
)

// watch reads the folder again after every change, until ctx ends.
func (s *Server) watch(ctx context.Context) {
	quiet := time.NewTimer(0)
	defer quiet.Stop()
	for ctx.Err() == nil {
		quiet.Stop()
		err := s.follow(ctx, quiet)
		if err == nil {
			return
		}
		s.log.Error("watch folder", zap.String("dir", s.dir), zap.Error(err))
		quiet.Reset(retryAfter)
		select {
		case <-ctx.Done():
		case <-quiet.C:
		}
	}
}

// follow watches once, and reloads each time the folder changed and then was quiet.
func (s *Server) follow(ctx context.Context, quiet *time.Timer) error {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		return err
	}
	defer w.Close()
	if err := w.Add(s.dir); err != nil {
		return err
	}
	quiet.Reset(0) // what changed before the watch began
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-w.Errors:
			if !errors.Is(err, fsnotify.ErrEventOverflow) {
				return errors.Join(errors.New("watcher ended"), err)
			}
			quiet.Reset(quietFor)
		case ev, ok := <-w.Events:
			if !ok {
				return errors.New("watcher ended")
			}
			if ev.Op != fsnotify.Chmod {
				quiet.Reset(quietFor)
			}
		case <-quiet.C:
			if err := s.Reload(); err != nil {
				s.refused(err)
			}
		}
	}
}

// refused logs each mistake of a folder on its own line.
func (s *Server) refused(err error) {
	for _, e := range flatten(err) {
		s.log.Error("folder refused, the last good one is served", zap.String("dir", s.dir), zap.Error(e))
	}
}

// flatten takes joined errors apart.
func flatten(err error) []error {
	many, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return []error{err}
	}
	var out []error
	for _, e := range many.Unwrap() {
		out = append(out, flatten(e)...)
	}
	return out
}
