package xds

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestDocument holds docs/xds.md to the table of types and to the scripts: all of them are told of, and none that is not there.
func TestDocument(t *testing.T) {
	const file = "../docs/xds.md"
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	text := string(b)
	head, rest, ok := strings.Cut(text, "-rewrite -->\n")
	_, tail, ok2 := strings.Cut(rest, "<!-- /types -->")
	if !ok || !ok2 {
		t.Fatalf("%s has no place for the types", file)
	}
	if want := head + "-rewrite -->\n" + typeTable() + "<!-- /types -->" + tail; want != text {
		if *rewrite {
			if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
				t.Fatal(err)
			}
		} else {
			t.Errorf("the types of %s are not fresh: run with -rewrite", file)
		}
	}
	var told []string
	for _, m := range regexp.MustCompile(`\(\.\./xds/testdata/(\w+)\.txt\)`).FindAllStringSubmatch(text, -1) {
		told = append(told, m[1])
	}
	scripts, _ := filepath.Glob("testdata/*.txt")
	for i, s := range scripts {
		scripts[i] = strings.TrimSuffix(filepath.Base(s), ".txt")
		if !slices.Contains(told, scripts[i]) {
			t.Errorf("%s does not tell of the script %s", file, scripts[i])
		}
	}
	for _, s := range told {
		if !slices.Contains(scripts, s) {
			t.Errorf("%s tells of the script %s, which is not there", file, s)
		}
	}
}

func typeTable() string {
	var b strings.Builder
	b.WriteString("| type | resource | asked for | named by | a removal | service |\n| --- | --- | --- | --- | --- | --- |\n")
	for _, r := range rows {
		asked, removal := "by name", "stays while referred to"
		if r.full {
			asked = "whole, or by name on demand"
		}
		if r.full || r.leaves {
			removal = "goes"
		}
		var owners []string
		for _, k := range r.owner {
			owners = append(owners, rows[k].noun)
		}
		if len(owners) == 0 {
			owners = []string{"the bootstrap"}
		}
		service := strings.TrimPrefix(r.rpc, "/")
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | `%s` |\n", upper(r.short), r.noun, asked, strings.Join(owners, ", "), removal, service)
	}
	return b.String()
}
