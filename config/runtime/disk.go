package runtime

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// The limits of a layer on disk: how deep folders may be (Envoy: MaxWalkDepth), and how much is read of one file, in bytes, and how
// many files there may be.
const (
	maxFolders = 16
	maxFile    = 64 << 10
	maxFiles   = 100_000
)

// A Folder is a layer on disk as it was read.
type Folder struct {
	Values map[string]*Value
	Dirs   []string // all folders that were read
}

// ReadFolder reads a layer from a folder: every file is a value, whose key is its path with dots for slashes. Lines that begin with
// "#" say nothing. Names that begin with a dot are passed over. Links are followed. A folder that is not there is fs.ErrNotExist.
func ReadFolder(dir string) (*Folder, error) {
	f := &Folder{Values: map[string]*Value{}}
	if err := f.walk(dir, "", 1); err != nil {
		return nil, err
	}
	return f, nil
}

func (f *Folder) walk(dir, prefix string, depth int) error {
	if depth > maxFolders {
		return fmt.Errorf("read %s: more than %d levels of folders", dir, maxFolders)
	}
	list, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	f.Dirs = append(f.Dirs, dir)
	for _, e := range list {
		name, path := e.Name(), filepath.Join(dir, e.Name())
		if strings.HasPrefix(name, ".") {
			continue
		}
		st, err := os.Stat(path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			continue // it went away, or is a link to nowhere
		case err != nil:
			return err
		case st.IsDir():
			err = f.walk(path, prefix+name+".", depth+1)
		case st.Mode().IsRegular():
			err = f.file(path, prefix+name)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (f *Folder) file(path, key string) error {
	if len(f.Values) >= maxFiles {
		return fmt.Errorf("read %s: more than %d files", path, maxFiles)
	}
	h, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { _ = h.Close() }()
	b, err := io.ReadAll(io.LimitReader(h, maxFile+1))
	switch {
	case err != nil:
		return err
	case len(b) > maxFile:
		return fmt.Errorf("read %s: more than %d bytes", path, maxFile)
	}
	f.Values[key] = ParseValue(uncommented(string(b)))
	return nil
}

// uncommented takes lines that are comments off a text, and blanks off its end.
func uncommented(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, "#") {
			b.WriteString(line)
		}
	}
	return strings.TrimRight(b.String(), " \t\r\n\v\f")
}
