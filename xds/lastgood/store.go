package lastgood

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"
)

// A Store is where the file of one process is.
type Store struct {
	Path  string
	Owner Owner
	Key   *Key // nil leaves out what is secret
}

// maxFile bounds what is read; 100,000 resources are some 50 MB.
const maxFile = 1 << 30

// Read gives what the file holds. An error of os.IsNotExist says that there is none; the others name the file.
func (s *Store) Read() (*State, error) {
	f, err := os.Open(s.Path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	switch {
	case err != nil:
		return nil, err
	case len(data) > maxFile:
		return nil, fmt.Errorf("%s %w: it is larger than %d bytes", s.Path, ErrCorrupt, maxFile)
	}
	st, err := Decode(data, s.Key)
	if err != nil {
		return nil, fmt.Errorf("%s %w", s.Path, err)
	}
	if why := s.Owner.differs(st.Owner); why != "" {
		return nil, fmt.Errorf("%s %w: %s", s.Path, ErrForeign, why)
	}
	return st, nil
}

// differs says in what a file's owner is another one.
func (o Owner) differs(file Owner) string {
	switch {
	case o.Node != file.Node:
		return fmt.Sprintf("it was written by node %q, this is %q", file.Node, o.Node)
	case o.Cluster != file.Cluster:
		return fmt.Sprintf("it was written in cluster %q, this is %q", file.Cluster, o.Cluster)
	case o.Source != file.Source:
		return "the bootstrap names other control planes than when it was written"
	}
	return ""
}

// Write puts a state in the place of the one before: whole or not at all, and readable for the owner only.
func (s *Store) Write(st *State, now time.Time) error {
	st.Saved, st.Owner = now, s.Owner
	data, err := Encode(st, s.Key)
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(s.Path), "."+filepath.Base(s.Path)+".*") // 0600
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if e := f.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = os.Rename(f.Name(), s.Path)
	}
	if err != nil {
		_ = os.Remove(f.Name())
		return err
	}
	return syncFolder(filepath.Dir(s.Path))
}

// syncFolder makes a rename last.
func syncFolder(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
