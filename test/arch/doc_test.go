package arch

import (
	"go/ast"
	"go/token"
	"testing"
)

// TestExportedNamesHaveComments: every exported function, method, type,
// variable and constant says what it is. A comment on a group covers its
// members; methods of unexported types are their interface's to explain.
func TestExportedNamesHaveComments(t *testing.T) {
	for _, p := range ours(t) {
		fset := token.NewFileSet()
		for _, f := range parse(t, fset, p.sources()) {
			for _, d := range f.Decls {
				for _, id := range undocumented(d) {
					t.Errorf("%s: %s has no comment", fset.Position(id.Pos()), id.Name)
				}
			}
		}
	}
}

func undocumented(d ast.Decl) []*ast.Ident {
	var out []*ast.Ident
	switch d := d.(type) {
	case *ast.FuncDecl:
		if d.Name.IsExported() && d.Doc == nil && (d.Recv == nil || ast.IsExported(receiver(d.Recv))) {
			out = append(out, d.Name)
		}
	case *ast.GenDecl:
		for _, spec := range d.Specs {
			switch s := spec.(type) {
			case *ast.TypeSpec:
				if s.Name.IsExported() && s.Doc == nil && d.Doc == nil {
					out = append(out, s.Name)
				}
			case *ast.ValueSpec:
				if s.Doc != nil || s.Comment != nil || d.Doc != nil {
					continue
				}
				for _, id := range s.Names {
					if id.IsExported() {
						out = append(out, id)
					}
				}
			}
		}
	}
	return out
}

// receiver names the type of a method.
func receiver(recv *ast.FieldList) string {
	typ := recv.List[0].Type
	for {
		switch x := typ.(type) {
		case *ast.StarExpr:
			typ = x.X
		case *ast.IndexExpr:
			typ = x.X
		case *ast.IndexListExpr:
			typ = x.X
		case *ast.Ident:
			return x.Name
		default:
			return ""
		}
	}
}
