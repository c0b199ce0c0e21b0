package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/protobuf/proto"

	"github.com/weirproxy/weir/config/yamlproto"
	"github.com/weirproxy/weir/proxy/explain/dryrun"
)

// against asks a running Weir what a configuration would change: a bootstrap, a file of resources or a folder of such files.
func against(ctx context.Context, o *flags, admin, path, output string, out io.Writer) error {
	m, static, err := proposal(o, path)
	if err != nil {
		return err
	}
	body, err := proto.Marshal(m)
	if err != nil {
		return err
	}
	answer, err := post(ctx, admin, static, body)
	if err != nil {
		return fmt.Errorf("ask %s: %w", admin, err)
	}
	var r dryrun.Report
	if err := json.Unmarshal(answer, &r); err != nil {
		return fmt.Errorf("ask %s: %w", admin, err)
	}
	if output == "json" {
		_, _ = out.Write(append(bytes.TrimSpace(answer), '\n'))
	} else {
		r.Write(out)
	}
	if r.Breaks() {
		return problem{fmt.Errorf("%s would break something: %d resources rejected, %d ways lost", path, len(r.Rejected), len(r.Lost))}
	}
	return nil
}

// bootstrapFields are what only a bootstrap has at its top.
var bootstrapFields = regexp.MustCompile(`(?m)^[\s{]*"?(static_resources|staticResources|dynamic_resources|dynamicResources|admin|layered_runtime)"?\s*:`)

// proposal reads what is to be judged.
func proposal(o *flags, path string) (m *discoveryv3.DiscoveryResponse, static bool, err error) {
	files := []string{path}
	if st, err := os.Stat(path); err == nil && st.IsDir() {
		if files, err = resourceFiles(path); err != nil {
			return nil, false, err
		}
		if len(files) == 0 {
			return nil, false, fmt.Errorf("%s: no .yaml, .yml or .json file", path)
		}
	}
	m = &discoveryv3.DiscoveryResponse{}
	var errs []error
	for _, f := range files {
		data, err := os.ReadFile(f)
		switch {
		case err != nil:
			errs = append(errs, err)
			continue
		case len(files) == 1 && bootstrapFields.Match(data):
			return boot(o, f)
		}
		rs, err := yamlproto.UnmarshalResources(data, yamlproto.Options{File: f})
		if err != nil {
			errs = append(errs, err)
		}
		for _, r := range rs {
			m.Resources = append(m.Resources, r.Any)
		}
	}
	return m, false, errors.Join(errs...)
}

// resourceFiles are the files of resources in a folder and in the folders inside, sorted by name. What begins with a dot is not
// looked at.
func resourceFiles(dir string) (files []string, err error) {
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		switch hidden := strings.HasPrefix(d.Name(), ".") && path != dir; {
		case err != nil:
			return err
		case d.IsDir() && hidden:
			return filepath.SkipDir
		case d.IsDir() || hidden:
			return nil
		}
		switch filepath.Ext(path) {
		case ".yaml", ".yml", ".json":
			files = append(files, path)
		}
		return nil
	})
	return files, err
}

// boot gives the resources of a bootstrap.
func boot(o *flags, path string) (*discoveryv3.DiscoveryResponse, bool, error) {
	own := *o
	own.configPath = path
	l, err := load(&own)
	if err != nil {
		return nil, false, err
	}
	m := &discoveryv3.DiscoveryResponse{}
	for _, r := range l.static {
		m.Resources = append(m.Resources, r.Raw)
	}
	return m, true, nil
}

// post asks for a dry run at an admin address.
func post(ctx context.Context, admin string, static bool, body []byte) ([]byte, error) {
	path := "/dry_run"
	if static {
		path += "?static"
	}
	return askAdmin(ctx, admin, http.MethodPost, path, body)
}
