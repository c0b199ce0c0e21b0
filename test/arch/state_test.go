package arch

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"slices"
	"strings"
	"testing"
)

// allowedState are the package-level variables that may change, each with the
// reason why no owner can hold it: "package variable".
var allowedState = map[string]string{
	"proxy/buffer blocks":          "a pool serves the whole process; what comes out of it carries nothing over",
	"proxy/buffer larges":          "as blocks",
	"proxy/netio pipes":            "as blocks: empty pipes",
	"proxy/codec/h2 smallChunks":   "as blocks",
	"proxy/codec/h2 largeChunks":   "as blocks",
	"proxy/codec/h2 serverStreams": "as blocks: emptied streams; one for each connection would keep what an idle one does not need",
	"proxy/hcm lastDate":           "caches what the clock says; anybody may compute it",
}

// TestNoMutableState: a variable of a package is shared by every test and
// every proxy in the process. Error sentinels, interned names and compiled
// tables are fine as long as nobody writes to them; what is made to change
// (locks, pools, atomics, channels) is not.
func TestNoMutableState(t *testing.T) {
	seen := make(map[string]bool)
	for _, p := range ours(t) {
		if fits("cmd/...", p.rel()) || p.Name == "main" {
			continue
		}
		fset := token.NewFileSet()
		for _, f := range mutableState(fset, parse(t, fset, p.sources())) {
			key := p.rel() + " " + f.name
			seen[key] = true
			if allowedState[key] == "" {
				t.Errorf("%s: package variable %s %s", fset.Position(f.at), f.name, f.why)
			}
		}
	}
	for key := range allowedState {
		if !seen[key] {
			t.Errorf("allowedState has %q, which is no longer needed", key)
		}
	}
}

type finding struct {
	at        token.Pos
	name, why string
}

// mutableState finds package variables that are written anywhere in the
// package or whose type exists to be written. Imports are not resolved: names
// of this package are enough.
func mutableState(fset *token.FileSet, files []*ast.File) []finding {
	info := &types.Info{Defs: make(map[*ast.Ident]types.Object), Uses: make(map[*ast.Ident]types.Object)}
	conf := types.Config{Importer: emptyImporter{}, Error: func(error) {}}
	_, _ = conf.Check("p", fset, files, info) // imports that do not resolve are expected

	vars := make(map[types.Object]bool)
	var out []finding
	report := func(at ast.Node, obj types.Object, format string, args ...any) {
		f := finding{at.Pos(), obj.Name(), fmt.Sprintf(format, args...)}
		if !slices.ContainsFunc(out, func(o finding) bool { return o.name == f.name && o.why == f.why }) {
			out = append(out, f)
		}
	}
	for _, f := range files {
		for _, d := range f.Decls {
			gen, ok := d.(*ast.GenDecl)
			if !ok || gen.Tok != token.VAR {
				continue
			}
			for _, spec := range gen.Specs {
				vs := spec.(*ast.ValueSpec)
				for i, id := range vs.Names {
					obj := info.Defs[id]
					if obj == nil || id.Name == "_" {
						continue
					}
					vars[obj] = true
					var value ast.Expr
					if i < len(vs.Values) {
						value = vs.Values[i]
					}
					if kind := madeToChange(vs.Type, value); kind != "" {
						report(id, obj, "is a %s", kind)
					}
				}
			}
		}
	}
	// root returns the package variable an expression reaches into.
	root := func(e ast.Expr) types.Object {
		for {
			switch x := e.(type) {
			case *ast.Ident:
				if obj := info.Uses[x]; vars[obj] {
					return obj
				}
				return nil
			case *ast.SelectorExpr:
				e = x.X
			case *ast.IndexExpr:
				e = x.X
			case *ast.SliceExpr:
				e = x.X
			case *ast.StarExpr:
				e = x.X
			case *ast.ParenExpr:
				e = x.X
			default:
				return nil
			}
		}
	}
	write := func(at ast.Node, e ast.Expr, what string) {
		if e == nil {
			return
		}
		if obj := root(e); obj != nil {
			report(at, obj, "is %s", what)
		}
	}
	for _, f := range files {
		ast.Inspect(f, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.AssignStmt:
				for _, l := range n.Lhs {
					write(n, l, "assigned to")
				}
			case *ast.IncDecStmt:
				write(n, n.X, "assigned to")
			case *ast.RangeStmt:
				if n.Tok == token.ASSIGN {
					write(n, n.Key, "assigned to")
					write(n, n.Value, "assigned to")
				}
			case *ast.SendStmt:
				write(n, n.Chan, "sent to")
			case *ast.CallExpr:
				if id, ok := n.Fun.(*ast.Ident); ok && len(n.Args) > 0 &&
					(id.Name == "delete" || id.Name == "clear" || id.Name == "copy" || id.Name == "close") {
					write(n, n.Args[0], "changed by "+id.Name)
				}
			case *ast.UnaryExpr:
				if n.Op == token.AND {
					if _, index := n.X.(*ast.IndexExpr); !index { // &table[i] is how big entries are read
						write(n, n.X, "shared by its address")
					}
				}
			}
			return true
		})
	}
	return out
}

// madeToChange names the kind of a variable that only exists to be changed.
// sync.OnceValue and its like are constants computed late.
func madeToChange(typ, value ast.Expr) string {
	if call, ok := value.(*ast.CallExpr); ok {
		if id, ok := call.Fun.(*ast.Ident); ok && (id.Name == "make" || id.Name == "new") && len(call.Args) > 0 {
			if _, ok := call.Args[0].(*ast.ChanType); ok || id.Name == "new" {
				typ = call.Args[0]
			}
		}
	}
	if u, ok := value.(*ast.UnaryExpr); ok && u.Op == token.AND {
		value = u.X
	}
	if lit, ok := value.(*ast.CompositeLit); ok {
		typ = lit.Type
	}
	if star, ok := typ.(*ast.StarExpr); ok {
		typ = star.X
	}
	if arr, ok := typ.(*ast.ArrayType); ok {
		typ = arr.Elt
	}
	if gen, ok := typ.(*ast.IndexExpr); ok {
		typ = gen.X
	}
	switch t := typ.(type) {
	case *ast.ChanType:
		return "channel"
	case *ast.SelectorExpr:
		if x, ok := t.X.(*ast.Ident); ok && (x.Name == "sync" || x.Name == "atomic") {
			return x.Name + "." + t.Sel.Name
		}
	}
	return ""
}

// emptyImporter resolves every import to a package without content.
type emptyImporter struct{}

func (emptyImporter) Import(path string) (*types.Package, error) {
	name := path[strings.LastIndexByte(path, '/')+1:]
	p := types.NewPackage(path, name)
	p.MarkComplete()
	return p, nil
}

func TestMutableStateIsFound(t *testing.T) {
	f := func(src, want string) {
		t.Helper()
		fset := token.NewFileSet()
		file, err := parser.ParseFile(fset, "p.go", "package p\n"+src, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, x := range mutableState(fset, []*ast.File{file}) {
			got = append(got, x.name+" "+x.why)
		}
		if s := strings.Join(got, ", "); s != want {
			t.Errorf("%s\n got %q\nwant %q", src, s, want)
		}
	}
	f(`var ErrX = errors.New("x")`, "")
	f(`var table = [...]int{1, 2}; func g(i int) *int { return &table[i] }`, "")
	f(`var m = map[string]int{"a": 1}; func g() int { return m["a"] }`, "")
	f(`var m = map[string]int{}; func g() { m["a"] = 1 }`, "m is assigned to")
	f(`var m = map[string]int{}; func g() { m := m; m["a"] = 1 }`, "")
	f(`var m map[string]int; func g() { delete(m, "a") }`, "m is changed by delete")
	f(`var n int; func g() { n++ }`, "n is assigned to")
	f(`var n int; func g() { for n = range 3 {} }`, "n is assigned to")
	f(`var s struct{ a []int }; func g() { s.a[0], _ = 1, 2 }`, "s is assigned to")
	f(`var s struct{ a int }; func g() *int { return &s.a }`, "s is shared by its address")
	f(`import "sync"; var mu sync.Mutex`, "mu is a sync.Mutex")
	f(`import "sync"; var p = sync.Pool{}`, "p is a sync.Pool")
	f(`import "sync"; var p = &sync.Pool{}`, "p is a sync.Pool")
	f(`import "sync"; var v = sync.OnceValue(func() int { return 1 })`, "")
	f(`import "sync/atomic"; var c atomic.Pointer[int]`, "c is a atomic.Pointer")
	f(`import "sync/atomic"; var c [4]atomic.Int64`, "c is a atomic.Int64")
	f(`var c = make(chan int)`, "c is a channel")
	f(`var _ = 1; func g() { n := 1; n++; _ = n }`, "")
}
