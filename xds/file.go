package xds

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"os"
	"strconv"
	"sync"
	"time"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/weirproxy/weir/config"
	"github.com/weirproxy/weir/config/fielderr"
	"github.com/weirproxy/weir/config/filewatch"
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

// fileRetry is how long a folder that cannot be watched is left alone before it is tried again.
const fileRetry = 5 * time.Second

// watchFile posts a file's content now and after every change, until ctx ends.
func (c *Client) watchFile(ctx context.Context, source int, f File) {
	for ctx.Err() == nil {
		err := c.followFile(ctx, source, f)
		if ctx.Err() != nil {
			return
		}
		c.post(ctx.Done(), FileFailed{source, err})
		pause, cancel := context.WithTimeout(ctx, fileRetry)
		<-pause.Done()
		cancel()
	}
}

// followFile does so as long as its folder can be watched.
func (c *Client) followFile(ctx context.Context, source int, f File) error {
	w, err := filewatch.New()
	if err != nil {
		return err
	}
	defer func() { _ = w.Close() }()
	var last []byte // nil after a failure
	told := ""      // the failure that was told last: other files of the folder may change all the time
	var known *pieces
	w.Moves = f.Type.TypeURL != SecretType // what is moved into place is whole; of secrets there may be another half
	for {
		if err := w.Watch(f.folders()...); err != nil {
			return err
		}
		switch data, r, err := f.read(last, &known); {
		case err != nil && err.Error() == told:
		case err != nil:
			last, known, told = nil, nil, err.Error()
			c.post(ctx.Done(), FileFailed{source, err})
		case r != nil:
			last, told, r.Source = data, "", source
			c.post(ctx.Done(), *r)
		}
		if err := w.Next(ctx); err != nil {
			return err
		}
	}
}

// folders are those whose changes count.
func (f *File) folders() []string {
	dirs := filewatch.Folders(f.Path)
	if f.Watch != "" {
		dirs = append(dirs, f.Watch)
	}
	return dirs
}

// read gives what a file holds, nil when that is what it held last. known is what its resources were, and becomes what they are.
func (f *File) read(last []byte, known **pieces) ([]byte, *Received, error) {
	data, err := os.ReadFile(f.Path)
	if err != nil || last != nil && bytes.Equal(data, last) {
		return data, nil, err
	}
	r := &Received{}
	if f.Type.TypeURL != SecretType {
		r.Response, *known = (*known).read(data, f.Type.TypeURL)
	}
	if r.Response != nil {
		f.complete(r.Response, data)
		r.Where = lines(*f, data)
		return data, r, nil
	}
	r.Response, r.Where, err = parseFile(*f, data)
	return data, r, err
}

// parseFile reads a DiscoveryResponse, and gives a function that finds the lines of its resources. Its type may be left out, and so
// may its version, which then is a hash of the content. A file of secrets may hold one with "@type", or a list of them, instead.
func parseFile(f File, data []byte) (*discoveryv3.DiscoveryResponse, func(int, error) error, error) {
	if len(bytes.TrimSpace(data)) == 0 {
		return nil, nil, fmt.Errorf("%s: empty file", f.Path)
	}
	r := &discoveryv3.DiscoveryResponse{}
	var where func(int, error) error
	if o := (yamlproto.Options{File: f.Path}); f.Type.TypeURL == SecretType {
		rs, err := yamlproto.UnmarshalResources(data, o)
		if err != nil {
			return nil, nil, err
		}
		for _, e := range rs {
			r.Resources = append(r.Resources, e.Any)
		}
		where = func(i int, err error) error { return located(rs[i].Index, "", err) }
	} else {
		if _, err := yamlproto.Unmarshal(data, r, o); err != nil {
			return nil, nil, err
		}
		where = lines(f, data)
	}
	f.complete(r, data)
	return r, where, nil
}

// complete puts in what may be left out.
func (f *File) complete(r *discoveryv3.DiscoveryResponse, data []byte) {
	if r.TypeUrl == "" {
		r.TypeUrl = f.Type.TypeURL
	}
	if r.VersionInfo == "" {
		h := fnv.New64a()
		_, _ = h.Write(data)
		r.VersionInfo = strconv.FormatUint(h.Sum64(), 16)
	}
}

// lines finds the lines of mistakes. The file is read again for that: the places of everything in a large one are many times as long
// as the file.
func lines(f File, data []byte) func(int, error) error {
	index := sync.OnceValue(func() *yamlproto.Index {
		x, _ := yamlproto.Unmarshal(data, &discoveryv3.DiscoveryResponse{}, yamlproto.Options{File: f.Path})
		return x
	})
	return func(i int, err error) error { return located(index(), fielderr.Index("resources", i), err) }
}

// located gives each mistake of a resource its line; at is where the index has it.
func located(x *yamlproto.Index, at string, err error) error {
	var whole *config.Error
	if errors.As(err, &whole) {
		err = whole.Errs
	}
	var out []error
	for _, e := range fielderr.All(err) {
		out = append(out, x.Wrap(fielderr.Join(at, e.Path), e.Err))
	}
	return errors.Join(out...)
}
