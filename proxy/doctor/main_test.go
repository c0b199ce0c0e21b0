package doctor

import (
	"flag"
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/google/go-cmp/cmp"

	"github.com/weirproxy/weir/test/netns"
)

// rewrite writes what the code says into the files that tests hold it to.
var rewrite = flag.Bool("rewrite", false, "write golden files")

func TestMain(m *testing.M) {
	_ = netns.Enter()
	goleak.VerifyTestMain(m)
}

// golden compares with a file.
func golden(t *testing.T, path, got string) {
	t.Helper()
	if *rewrite {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), got); d != "" {
		t.Errorf("%s (-rewrite writes it) %s", path, d)
	}
}
