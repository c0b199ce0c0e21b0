package arch

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestLicences reads the licence files of every module the binary and the
// tests are built from.
func TestLicences(t *testing.T) {
	pkgs, err := list("-deps", "-test", "./...")
	if err != nil {
		t.Fatal(err)
	}
	dirs := make(map[string]string)
	for _, p := range pkgs {
		if p.Module != nil && !p.Module.Main {
			dirs[p.Module.Path] = p.Module.Dir
		}
	}
	if len(dirs) < 5 {
		t.Fatalf("go list -deps found %d modules: nothing was proven", len(dirs))
	}
	documented := dependencies(t)
	for _, mod := range slices.Sorted(maps.Keys(dirs)) {
		got := licence(t, dirs[mod])
		if got == "" {
			t.Errorf("%s: no licence among Apache-2.0, MIT, BSD, ISC in %s", mod, dirs[mod])
		}
		if want, ok := documented[mod]; ok && !strings.HasPrefix(want, got) {
			t.Errorf("%s: docs/dependencies.md says %s, the module says %s", mod, want, got)
		}
	}
}

// licence names the licence of a module, or "" for one we do not accept.
// Several files must all be acceptable; the first one names it.
func licence(t *testing.T, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	name := ""
	for _, e := range entries {
		up := strings.ToUpper(e.Name())
		if e.IsDir() || !strings.HasPrefix(up, "LICEN") && !strings.HasPrefix(up, "COPYING") {
			continue
		}
		text, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		kind := classify(string(text))
		if kind == "" {
			return ""
		}
		if name == "" {
			name = kind
		}
	}
	return name
}

func classify(text string) string {
	text = strings.Join(strings.Fields(text), " ")
	for _, no := range []string{"GNU GENERAL PUBLIC", "GNU LESSER", "GNU AFFERO", "Mozilla Public License", "Business Source License", "Server Side Public License"} {
		if strings.Contains(strings.ToLower(text), strings.ToLower(no)) {
			return ""
		}
	}
	switch {
	case strings.Contains(text, "Apache License") && strings.Contains(text, "Version 2.0"):
		return "Apache-2.0"
	case strings.Contains(text, "Permission is hereby granted, free of charge"):
		return "MIT"
	case strings.Contains(text, "Redistribution and use in source and binary forms"):
		return "BSD"
	case strings.Contains(text, "Permission to use, copy, modify, and/or distribute this software for any purpose with or without fee is hereby granted"),
		strings.Contains(text, "Permission to use, copy, modify, and distribute this software for any purpose with or without fee is hereby granted"):
		return "ISC"
	default:
		return ""
	}
}

func TestClassify(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		if got := classify(text); got != want {
			t.Errorf("%.30q: got %q, want %q", text, got, want)
		}
	}
	f("Apache License\n   Version 2.0, January 2004", "Apache-2.0")
	f("Permission is hereby granted,\nfree of charge, to any person", "MIT")
	f("Redistribution and use in source\nand binary forms", "BSD")
	f("Permission to use, copy, modify, and distribute this software for any\npurpose with or without fee is hereby granted", "ISC")
	f("GNU General Public License", "")
	f("Mozilla Public License Version 2.0; Apache License Version 2.0", "")
	f("all rights reserved", "")
}

// TestDirectDependenciesAreDocumented asks a line in docs/dependencies.md of
// every module one of our packages imports, and a requirement in go.mod of
// every line.
func TestDirectDependenciesAreDocumented(t *testing.T) {
	documented := dependencies(t)
	required := requirements(t)
	for _, mod := range required {
		if _, ok := documented[mod]; ok {
			continue
		}
		for _, p := range ours(t) {
			for _, imp := range slices.Concat(p.Imports, p.TestImports, p.XTestImports) {
				if moduleOf(imp, required) == mod {
					t.Errorf("%s imports %s; docs/dependencies.md has no line for %s", p.rel(), imp, mod)
				}
			}
		}
	}
	for mod := range documented {
		if !slices.Contains(required, mod) {
			t.Errorf("docs/dependencies.md has a line for %s, which go.mod does not require", mod)
		}
	}
}

// dependencies reads docs/dependencies.md: module → licence.
func dependencies(t *testing.T) map[string]string {
	t.Helper()
	text, err := os.ReadFile("../../docs/dependencies.md")
	if err != nil {
		t.Fatal(err)
	}
	out := make(map[string]string)
	for line := range strings.Lines(string(text)) {
		cells := strings.Split(line, "|")
		if len(cells) < 5 || !strings.Contains(cells[1], "`") {
			continue
		}
		mod := strings.Trim(cells[1], " `")
		for _, c := range cells[1:5] {
			if strings.TrimSpace(c) == "" {
				t.Errorf("docs/dependencies.md: %s: an empty cell", mod)
			}
		}
		out[mod] = strings.TrimSpace(cells[2])
	}
	return out
}

var requirement = regexp.MustCompile(`(?m)^(?:require )?\s*([a-z0-9.-]+\.[a-z]+/\S+) v\S+`)

// requirements lists the modules go.mod requires.
func requirements(t *testing.T) []string {
	t.Helper()
	text, err := os.ReadFile("../../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, m := range requirement.FindAllStringSubmatch(string(text), -1) {
		out = append(out, m[1])
	}
	if len(out) == 0 {
		t.Fatal("go.mod: no requirements found")
	}
	return out
}

// moduleOf returns the module an import comes from: the longest that fits.
func moduleOf(imp string, modules []string) string {
	best := ""
	for _, m := range modules {
		if (imp == m || strings.HasPrefix(imp, m+"/")) && len(m) > len(best) {
			best = m
		}
	}
	return best
}
