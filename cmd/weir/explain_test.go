package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestExplainSays holds the answers about testdata/explain/world.yaml to a file: every case is a command line and what it prints.
func TestExplainSays(t *testing.T) {
	world := filepath.Join("testdata", "explain", "world.yaml")
	said := filepath.Join("testdata", "explain", "said.txt")
	var all strings.Builder
	for _, line := range []string{
		"http://shop.example/cart/../x?a=1 --draw 12",
		"http://shop.example/x --draw 85",
		"http://shop.example/cart -H x-version:2 -X POST --draw 1",
		"http://shop.example/old/page --draw 1",
		"http://nobody.example/ --draw 1",
		"http://shop.example/lost --draw 1",
		"--dest 203.0.113.5:443 --sni www.shop.example --alpn h2",
		"--dest 203.0.113.5:443 --sni other.example",
		"--listener nothing",
		"http://shop.example/x --draw 85 -o json",
		"ftp://shop.example/",
		"http://shop.example/ -H nothing",
	} {
		var out, errs bytes.Buffer
		code := execute(context.Background(), append([]string{"explain", "-c", world}, strings.Fields(line)...), &out, &errs)
		all.WriteString("$ weir explain -c world.yaml " + line + "\n" + out.String() + errs.String())
		all.WriteString("exit code " + string(rune('0'+code)) + "\n\n")
	}
	if *rewrite {
		if err := os.WriteFile(said, []byte(all.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(said)
	if err != nil {
		t.Fatal(err)
	}
	if all.String() != string(want) {
		t.Errorf("explain says\n%s\nbut not what is in %s (-rewrite writes it)", all.String(), said)
	}
}
