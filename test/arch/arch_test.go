// Package arch holds the rules of this repository that a compiler does not
// check, as tests: who may import whom, what no package may contain, and under
// which licences the dependencies are.
package arch

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"
)

// module is the path all our packages begin with.
const module = "github.com/weirproxy/weir"

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// pkg is what `go list -json` says of a package.
type pkg struct {
	ImportPath, Name, Dir, Doc string

	GoFiles, CgoFiles, TestGoFiles, XTestGoFiles []string
	Imports, TestImports, XTestImports           []string

	ForTest  string
	Standard bool
	Module   *struct {
		Path, Version, Dir string
		Main               bool
	}
	Error *struct{ Err string }
}

// rel is the path below the module: "" for its root.
func (p *pkg) rel() string {
	return strings.TrimPrefix(strings.TrimPrefix(p.ImportPath, module), "/")
}

// sources lists the files of the package that are not tests, with their paths.
func (p *pkg) sources() []string { return p.paths(p.GoFiles, p.CgoFiles) }

// tests lists the package's test files, with their paths.
func (p *pkg) tests() []string { return p.paths(p.TestGoFiles, p.XTestGoFiles) }

func (p *pkg) paths(lists ...[]string) []string {
	var out []string
	for _, l := range lists {
		for _, f := range l {
			out = append(out, p.Dir+"/"+f)
		}
	}
	return out
}

// ours returns all packages of the module.
func ours(t *testing.T) []*pkg {
	t.Helper()
	pkgs, err := listOurs()
	if err != nil {
		t.Fatal(err)
	}
	return pkgs
}

var listOurs = sync.OnceValues(func() ([]*pkg, error) {
	if err := readFolders(); err != nil {
		return nil, err
	}
	return list("./...")
})

// readFolders opens every folder of the module. `go test` remembers what a
// test opened, but not what a program it ran did: without this, a result would
// be taken from its cache although a package was added.
func readFolders() error {
	return filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && (d.Name() == ".git" || d.Name() == "bin") {
			return fs.SkipDir
		}
		if errors.Is(err, fs.ErrNotExist) { // removed meanwhile
			return nil
		}
		return err
	})
}

// list runs `go list -e -json` in the root of the module.
func list(args ...string) ([]*pkg, error) {
	cmd := exec.Command("go", append([]string{"list", "-e", "-json"}, args...)...)
	cmd.Dir = "../.."
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go list %s: %w", strings.Join(args, " "), err)
	}
	var pkgs []*pkg
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		p := new(pkg)
		if err := dec.Decode(p); errors.Is(err, io.EOF) {
			return pkgs, nil
		} else if err != nil {
			return nil, fmt.Errorf("go list %s: %w", strings.Join(args, " "), err)
		}
		pkgs = append(pkgs, p)
	}
}

func TestPackagesAreListed(t *testing.T) {
	if n := len(ours(t)); n < 10 {
		t.Fatalf("go list found %d packages: the other tests prove nothing", n)
	}
}

func TestEveryPackageHasAComment(t *testing.T) {
	for _, p := range ours(t) {
		if len(p.sources()) > 0 && p.Doc == "" {
			t.Errorf("%s: no package comment; its first sentence says what the package is", p.ImportPath)
		}
	}
}
