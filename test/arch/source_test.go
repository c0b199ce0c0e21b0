package arch

import (
	"go/ast"
	"go/parser"
	"go/token"
	"strconv"
	"strings"
	"testing"
)

// parse reads files with their comments; what does not parse fails the build
// elsewhere and is skipped here.
func parse(t *testing.T, fset *token.FileSet, files []string) []*ast.File {
	t.Helper()
	var out []*ast.File
	for _, name := range files {
		f, err := parser.ParseFile(fset, name, nil, parser.SkipObjectResolution|parser.ParseComments)
		if err != nil {
			t.Errorf("%v", err)
			continue
		}
		out = append(out, f)
	}
	return out
}

// TestNoInit: what a program does before main cannot be read anywhere, and
// runs in every test.
func TestNoInit(t *testing.T) {
	for _, p := range ours(t) {
		if fits("cmd/...", p.rel()) {
			continue
		}
		fset := token.NewFileSet()
		for _, f := range parse(t, fset, p.sources()) {
			for _, d := range f.Decls {
				if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" {
					t.Errorf("%s: init() outside cmd", fset.Position(fn.Pos()))
				}
			}
		}
	}
}

// TestNoBlankImports: a package imported for its side effects is configuration
// nobody sees. `embed` has none; it switches a directive on.
func TestNoBlankImports(t *testing.T) {
	for _, p := range ours(t) {
		if fits("cmd/...", p.rel()) || fits("test/...", p.rel()) {
			continue
		}
		fset := token.NewFileSet()
		for _, f := range parse(t, fset, p.sources()) {
			for _, imp := range f.Imports {
				if imp.Name != nil && imp.Name.Name == "_" && imp.Path.Value != `"embed"` {
					t.Errorf("%s: blank import of %s", fset.Position(imp.Pos()), imp.Path.Value)
				}
			}
		}
	}
}

// TestNoSleepingTests: tests wait for a condition or in testing/synctest's
// time, never for a while.
func TestNoSleepingTests(t *testing.T) {
	for _, p := range ours(t) {
		calls(t, p.tests(), "time", func(at token.Position, name string) {
			if name == "Sleep" {
				t.Errorf("%s: time.Sleep in a test", at)
			}
		})
	}
}

// TestNoTimeAfter: its timer outlives whoever stopped waiting for it, and it
// cannot be reused.
func TestNoTimeAfter(t *testing.T) {
	for _, p := range ours(t) {
		calls(t, p.sources(), "time", func(at token.Position, name string) {
			if name == "After" || name == "Tick" {
				t.Errorf("%s: time.%s; use a timer and stop it", at, name)
			}
		})
	}
}

// socketOptions are the packages that may set socket options: whoever else
// needs one asks these.
var socketOptions = []string{
	"proxy/listener/...", "proxy/tcp/...", "proxy/conn/...", "proxy/netio/...",
	"proxy/intercept/...", "test/...", "cmd/...",
	"proxy/upstream/dns", // SO_MARK: a lookup must not be intercepted itself
}

func TestSocketOptions(t *testing.T) {
	for _, p := range ours(t) {
		if anyFits(socketOptions, p.rel()) {
			continue
		}
		for _, lib := range []string{"syscall", "golang.org/x/sys/unix"} {
			calls(t, p.sources(), lib, func(at token.Position, name string) {
				if strings.HasPrefix(name, "Setsockopt") {
					t.Errorf("%s: %s outside %v", at, name, socketOptions)
				}
			})
		}
	}
}

// calls visits every use of an exported name of the imported package.
func calls(t *testing.T, files []string, path string, visit func(at token.Position, name string)) {
	t.Helper()
	fset := token.NewFileSet()
	for _, f := range parse(t, fset, files) {
		local := localName(f, path)
		if local == "" {
			continue
		}
		ast.Inspect(f, func(n ast.Node) bool {
			if sel, ok := n.(*ast.SelectorExpr); ok {
				if x, ok := sel.X.(*ast.Ident); ok && x.Name == local {
					visit(fset.Position(sel.Pos()), sel.Sel.Name)
				}
			}
			return true
		})
	}
}

// localName is what the file calls the imported package, "" if it does not.
func localName(f *ast.File, path string) string {
	for _, imp := range f.Imports {
		if got, err := strconv.Unquote(imp.Path.Value); err != nil || got != path {
			continue
		}
		if imp.Name != nil {
			return imp.Name.Name
		}
		return path[strings.LastIndexByte(path, '/')+1:]
	}
	return ""
}
