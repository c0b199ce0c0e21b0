package secret

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"

	"github.com/weirproxy/weir/config/fielderr"
)

// Sources are what besides its message a secret was read from: it is to be decoded again when they change.
type Sources struct {
	Files       []string // in the order in which they were read, each once
	WatchedDirs []string // watched_directory: whose changes count instead of the files' own folders'
}

func (s *Sources) file(name string) {
	if !slices.Contains(s.Files, name) {
		s.Files = append(s.Files, name)
	}
}

func (s *Sources) watch(d *corev3.WatchedDirectory) {
	if p := d.GetPath(); p != "" && !slices.Contains(s.WatchedDirs, p) {
		s.WatchedDirs = append(s.WatchedDirs, p)
	}
}

// Add joins the sources of another secret.
func (s *Sources) Add(o Sources) {
	for _, f := range o.Files {
		s.file(f)
	}
	for _, d := range o.WatchedDirs {
		s.watch(&corev3.WatchedDirectory{Path: d})
	}
}

// maxSource bounds a source, in bytes: the bundle of all public authorities is a quarter of a megabyte, and a device file has no
// end.
const maxSource = 16 << 20

// A reader reads data sources and notes which.
type reader struct {
	Sources
	l *fielderr.List
}

// read gives what a data source holds. What is wrong is recorded with the path of the field; the error never has what was read.
func (r *reader) read(path string, d *corev3.DataSource) ([]byte, bool) {
	switch s := d.GetSpecifier().(type) {
	case *corev3.DataSource_Filename:
		path += ".filename"
		if s.Filename == "" {
			r.l.Addf(path, "empty")
			return nil, false
		}
		r.file(s.Filename)
		b, err := readFile(s.Filename)
		if err != nil {
			r.l.Add(path, err)
			return nil, false
		}
		return b, r.some(path, b)
	case *corev3.DataSource_InlineBytes:
		return s.InlineBytes, r.some(path+".inline_bytes", s.InlineBytes)
	case *corev3.DataSource_InlineString:
		return []byte(s.InlineString), r.some(path+".inline_string", []byte(s.InlineString))
	case *corev3.DataSource_EnvironmentVariable:
		v, ok := os.LookupEnv(s.EnvironmentVariable)
		if !ok {
			r.l.Addf(path+".environment_variable", "%q is not set", s.EnvironmentVariable)
			return nil, false
		}
		return []byte(v), r.some(path+".environment_variable", []byte(v))
	}
	r.l.Addf(path, "unset")
	return nil, false
}

func (r *reader) some(path string, b []byte) bool {
	if len(b) == 0 {
		r.l.Addf(path, "empty")
	}
	return len(b) > 0
}

func readFile(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if st, err := f.Stat(); err != nil {
		return nil, err
	} else if st.IsDir() {
		return nil, errors.New("read " + name + ": is a directory")
	}
	b, err := io.ReadAll(io.LimitReader(f, maxSource+1))
	if err == nil && len(b) > maxSource {
		err = fmt.Errorf("read %s: more than %d bytes", name, maxSource)
	}
	return b, err
}
